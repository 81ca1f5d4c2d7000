"""The whole platform on real parts, and the software, the person and the ministry that use it."""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx2
import psycopg

from ops.stack import Ports, Stack
from tests.samples.actes import pdf

PATIENCE = 60.0
_numbers = itertools.count(1)


class Ministry:
    """The stand-in's control door: what it received, and how it shall misbehave."""

    def __init__(self, port: int) -> None:
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=10)

    def received(self) -> list[dict[str, Any]]:
        """Archives received whole."""
        rows: list[dict[str, Any]] = self.http.get("/recus").raise_for_status().json()
        return rows

    def shall(self, comportement: str, **rule: Any) -> None:
        """One more rule."""
        self.http.post("/reglages", json={"comportement": comportement, **rule}).raise_for_status()

    def behave(self) -> None:
        """No rule any more."""
        self.http.delete("/reglages").raise_for_status()

    def classification_is_of(self, day: str) -> None:
        """The version of the classification in force."""
        self.http.put("/classification", json={"date": day}).raise_for_status()


class Software:
    """Business software of the sample commune."""

    def __init__(self, page: str, token: str) -> None:
        self.http = httpx2.Client(base_url=page, timeout=30, headers={"Authorization": f"Bearer {token}"})

    def post(self, path: str, **request: Any) -> httpx2.Response:
        """A POST with a fresh idempotency key, unless one is given."""
        headers = {"Idempotency-Key": str(uuid.uuid4()), **request.pop("headers", {})}
        return self.http.post(path, headers=headers, **request)

    def get(self, path: str, **request: Any) -> httpx2.Response:
        """A GET."""
        return self.http.get(path, **request)

    def try_deposit(
        self,
        numero: str | None = None,
        *,
        document: bytes | None = None,
        key: str | None = None,
        **fields: Any,
    ) -> httpx2.Response:
        """Deposit an act; gives the answer, whatever it is."""
        acte = {
            "numero": numero or fresh_number(),
            "date_decision": "2026-11-20",
            "nature": 1,
            "matiere": "7.10",
            "objet": "Tarifs de la médiathèque",
            "type_piece": "99_DE",
            **fields,
        }
        return self.post(
            "/v1/actes",
            headers={"Idempotency-Key": key} if key else {},
            files={
                "acte": (None, json.dumps(acte).encode(), "application/json"),
                "document": ("deliberation.pdf", document or pdf(), "application/pdf"),
            },
        )

    def deposit(self, numero: str | None = None, **more: Any) -> str:
        """Deposit an act that must be accepted; gives its id."""
        answer = self.try_deposit(numero, **more)
        assert answer.status_code == 202, answer.text
        enveloppe_id: str = answer.json()["id"]
        return enveloppe_id

    def one(self, enveloppe_id: str) -> dict[str, Any]:
        """One envelope as the API shows it."""
        shown: dict[str, Any] = self.get(f"/v1/actes/{enveloppe_id}").raise_for_status().json()
        return shown

    def etat(self, enveloppe_id: str) -> str:
        """Its state."""
        word: str = self.one(enveloppe_id)["etat"]
        return word

    def wait_for(self, enveloppe_id: str, *etats: str, patience: float = PATIENCE) -> dict[str, Any]:
        """Wait until the envelope is in one of `etats`; gives it."""
        wait_until(lambda: self.etat(enveloppe_id) in etats, patience, lambda: self.one(enveloppe_id))
        return self.one(enveloppe_id)

    def proof(self, enveloppe_id: str) -> bytes:
        """The proof pack."""
        return self.get(f"/v1/actes/{enveloppe_id}/preuve").raise_for_status().content


class Platform:
    """A running stack."""

    def __init__(self, stack: Stack) -> None:
        assert stack.samples is not None
        self.stack = stack
        self.ministry = Ministry(stack.ports.ministry_control)
        self.software = Software(stack.addresses.page, stack.samples.token)

    def connection(self) -> psycopg.Connection:
        """To the register itself."""
        url = self.stack.database.url("pli").replace("+psycopg", "")
        return psycopg.connect(url, autocommit=True)

    def count(self, query: str, *values: object) -> int:
        """One number from the register."""
        with self.connection() as connection:
            row = connection.execute(query.encode(), values).fetchone()
        assert row is not None
        return int(row[0])


def fresh_number() -> str:
    """A number that no other test uses."""
    return f"E{next(_numbers)}"


def codes(shown: dict[str, Any]) -> list[str]:
    """The codes of the timeline of an envelope as the API shows it."""
    return [event["code"] for event in shown["evenements"]]


def wait_until(
    condition: Callable[[], bool], patience: float = PATIENCE, what: Callable[[], object] = lambda: ""
) -> None:
    """Ask again and again until `condition` holds."""
    over = time.monotonic() + patience
    while not condition():
        if time.monotonic() > over:
            raise AssertionError(f"not within {patience} s: {what()}")
        Event().wait(0.1)


@contextmanager
def platform_up(folder: Path, *, workers: int = 1, **overrides: str) -> Iterator[Platform]:
    """A platform in `folder`, watched, and gone afterwards."""
    stack = Stack(folder, lambda _line: None, workers=workers, overrides=overrides, ports=Ports.elsewhere())
    over = Event()
    watching = Thread(target=stack.supervisor.watch, args=(over,), daemon=True)
    try:
        stack.start()
        watching.start()
        platform = Platform(stack)
        with platform.ministry.http, platform.software.http:
            yield platform
    finally:
        over.set()
        if watching.is_alive():
            watching.join()
        stack.stop()
