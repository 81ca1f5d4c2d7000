"""A load of real deposits against a real stack, and a bare workflow to compare with."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

import httpx2
import psycopg
from temporalio.client import Client

from bench.bare import BARE_QUEUE
from ops.settings import Settings, load_settings
from ops.stack import Ports, Stack
from registry import accounts
from registry.door import Platform, Register
from schemas.identifiers import luhn
from tests.samples.actes import pdf


@contextmanager
def stack_up(workers: int = 1, **overrides: str) -> Iterator[Stack]:
    """A whole platform in a folder of its own, watched, and gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="pli-bench-") as folder:
        Path(folder).chmod(0o755)
        stack = Stack(
            Path(folder), lambda _line: None, workers=workers, overrides=overrides, ports=Ports.elsewhere()
        )
        over = Event()
        watching = Thread(target=stack.supervisor.watch, args=(over,), daemon=True)
        try:
            stack.start()
            watching.start()
            yield stack
        finally:
            over.set()
            if watching.is_alive():
                watching.join()
            stack.stop()


@contextmanager
def settings_of(stack: Stack) -> Iterator[Settings]:
    """The stack's settings, as one of its own processes reads them."""
    before = dict(os.environ)
    os.environ.update(stack.settings())
    try:
        yield load_settings()
    finally:
        os.environ.clear()
        os.environ.update(before)


class Depositor:
    """Business software that deposits acts for one body."""

    def __init__(self, http: httpx2.AsyncClient, token: str) -> None:
        self._http = http
        self._token = token
        self._document = pdf()

    async def deposit(self, numero: str) -> str:
        """Deposit one act; gives its id."""
        acte = {
            "numero": numero,
            "date_decision": datetime.now(UTC).date().isoformat(),
            "nature": 1,
            "matiere": "7.10",
            "objet": f"Tarifs de la médiathèque, {numero}",
            "type_piece": "99_DE",
        }
        answer = await self._http.post(
            "/v1/actes",
            headers={"Authorization": f"Bearer {self._token}", "Idempotency-Key": str(uuid.uuid4())},
            files={
                "acte": (None, json.dumps(acte).encode(), "application/json"),
                "document": ("deliberation.pdf", self._document, "application/pdf"),
            },
        )
        if answer.status_code != 202:
            raise RuntimeError(f"{answer.status_code}: {answer.text[:500]}")
        enveloppe_id: str = answer.json()["id"]
        return enveloppe_id


def number(n: int) -> str:
    """An act's number that no other run of this process uses."""
    return f"B{_RUN}_{n}"


_RUN = uuid.uuid4().hex[:5].upper()


class Sealed:
    """Which envelopes have ended, asked of the register directly."""

    def __init__(self, stack: Stack) -> None:
        self._connection = psycopg.connect(stack.database.url("pli").replace("+psycopg", ""), autocommit=True)

    def count(self) -> int:
        """Envelopes sealed so far."""
        row = self._connection.execute("select count(*) from enveloppe where etat = 'scelle'").fetchone()
        assert row is not None
        return int(row[0])

    def seconds(self, ids: list[str]) -> list[float]:
        """From acceptance to the seal, of each of `ids`."""
        rows = self._connection.execute(
            "select extract(epoch from r.sealed_at - e.created_at) from enveloppe e"
            " join sealed_record r on r.enveloppe_id = e.id where e.id = any(%s)",
            [ids],
        ).fetchall()
        return [float(row[0]) for row in rows]


async def carry(
    depositors: list[Depositor], sealed: Sealed, first: int, count: int, concurrency: int
) -> tuple[float, list[str]]:
    """Carry `count` acts with at most `concurrency` of them between deposit and seal; gives the seconds and
    the ids."""
    began, start = time.monotonic(), sealed.count()
    ids: list[str] = []
    pending: set[asyncio.Task[str]] = set()
    submitted = 0
    while (done := sealed.count() - start) < count:
        while submitted < count and submitted - done < concurrency:
            depositor = depositors[submitted % len(depositors)]
            pending.add(asyncio.create_task(depositor.deposit(number(first + submitted))))
            submitted += 1
        if time.monotonic() - began > 60 + count:
            raise TimeoutError(f"{done} of {count} sealed")
        await asyncio.sleep(0.05)
        finished = {task for task in pending if task.done()}
        pending -= finished
        ids += [task.result() for task in finished]
    return time.monotonic() - began, ids


async def bare(client: Client, count: int, concurrency: int) -> float:
    """Run `count` bare workflows, `concurrency` at a time; gives the seconds."""
    began = time.monotonic()
    places = asyncio.Semaphore(concurrency)

    async def one() -> None:
        async with places:
            await client.execute_workflow("Bare", id=f"bare-{uuid.uuid4()}", task_queue=BARE_QUEUE)

    await asyncio.gather(*(one() for _ in range(count)))
    return time.monotonic() - began


@asynccontextmanager
async def depositors_of(stack: Stack, tokens: list[str]) -> AsyncIterator[list[Depositor]]:
    """One piece of business software a token."""
    limits = httpx2.Limits(max_connections=60, max_keepalive_connections=60)
    async with httpx2.AsyncClient(base_url=stack.addresses.page, timeout=60, limits=limits) as http:
        yield [Depositor(http, token) for token in tokens]


def tokens_of_bodies(stack: Stack, count: int) -> list[str]:
    """The tokens of `count` more bodies."""
    register = Register(stack.database.url("pli"), pool_size=1)
    now = datetime.now(UTC)
    try:
        with register.session(Platform("bench")) as session:
            person = accounts.add_user(
                session, now, email="bench@pli.test", nom="Bench", password=uuid.uuid4().hex
            )
            bodies = [
                accounts.add_collectivite(
                    session,
                    now,
                    siren=siren,
                    nom=f"Commune {siren}",
                    departement="999",
                    arrondissement="1",
                    nature="31",
                    email="mairie@commune.test",
                )
                for siren in sirens(count)
            ]
            for body in bodies:
                accounts.grant(session, person, "agent", body)
            return [
                accounts.create_token(
                    session,
                    now,
                    collectivite_id=body,
                    label="Bench",
                    rights=("actes:deposer", "actes:lire"),
                    responsible_user_id=person,
                ).secret
                for body in bodies
            ]
    finally:
        register.close()


def sirens(count: int) -> list[str]:
    """Numbers of bodies that nobody bears, with a right key (Luhn)."""
    stems = (f"2199{n:04}" for n in range(1000, 1000 + count))
    return [next(stem + str(key) for key in range(10) if luhn(stem + str(key))) for stem in stems]
