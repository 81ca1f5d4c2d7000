"""The REST API as a caller sees it: what `pli submit`, `pli status` and the sample's way through use.

ClientError
├── Unreachable      the platform does not answer; worth another try
└── RefusedByApi     it answered no, with its reasons (RFC 9457)
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import httpx2

from schemas.catalogue import Lang

TIMEOUT = httpx2.Timeout(60, connect=5)


class ClientError(Exception):
    """Root of what can go wrong between a caller and the platform."""


class Unreachable(ClientError):
    """The platform does not answer."""


@dataclass
class RefusedByApi(ClientError):
    """The platform said no."""

    status: int
    code: str
    title: str
    detail: str = ""
    findings: list[dict[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.title}"


@dataclass(frozen=True, slots=True)
class Piece:
    """One file of a deposit."""

    part: str
    """`document` or `annexe`."""
    name: str
    content: BinaryIO
    """Read while it is sent."""


@dataclass(frozen=True, slots=True)
class Deposited:
    """What a deposit gave."""

    id: str
    replayed: bool
    """The same key had made it before."""


class Api:
    """One platform, as one caller.

    Args:
        url: its address, `https://host`.
        token: the caller's token.
        lang: language of its sentences.
    """

    def __init__(self, url: str, token: str, lang: Lang) -> None:
        self.url = url.rstrip("/")
        self._http = httpx2.Client(
            base_url=self.url,
            timeout=TIMEOUT,
            headers={"Authorization": f"Bearer {token}", "Accept-Language": lang},
        )

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def submit(self, fields: Mapping[str, object], pieces: list[Piece], key: str) -> Deposited:
        """Deposit an act once, whatever happens on the way: the same `key` gives the same envelope."""
        parts: list[tuple[str, Any]] = [("acte", (None, json.dumps(fields), "application/json"))]
        parts += [(piece.part, (piece.name, piece.content, _media_type(piece.name))) for piece in pieces]
        with self._talk():
            answer = self._http.post("/v1/actes", files=parts, headers={"Idempotency-Key": key})
        body = _checked(answer)
        return Deposited(body["id"], answer.headers.get("idempotent-replayed", "") == "true")

    def envelope(self, envelope_id: str) -> dict[str, Any]:
        """One envelope with its timeline."""
        with self._talk():
            return _checked(self._http.get(f"/v1/actes/{envelope_id}"))

    def count(self) -> int:
        """Envelopes that this caller may see."""
        with self._talk():
            return int(_checked(self._http.get("/v1/actes", params={"limite": 1, "total": "oui"}))["total"])

    def download(self, address: str, into: Path) -> None:
        """Save what lies at `address` (absolute, or a path of the platform) as the file `into`."""
        with self._talk(), self._http.stream("GET", address) as answer:
            if answer.is_error:
                answer.read()
                _checked(answer)
            with into.open("wb") as file:
                for chunk in answer.iter_bytes():
                    file.write(chunk)

    @contextmanager
    def _talk(self) -> Iterator[None]:
        try:
            yield
        except httpx2.TransportError as error:
            raise Unreachable(self.url) from error


def _checked(answer: httpx2.Response) -> dict[str, Any]:
    """The answer's JSON; raises `RefusedByApi` for a refusal."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and answer.is_success:
        return body
    problem = body if isinstance(body, dict) else {}
    raise RefusedByApi(
        answer.status_code,
        str(problem.get("code", "reponse_illisible")),
        str(problem.get("title", "")),
        str(problem.get("detail", "")),
        list(problem.get("erreurs", [])),
    )


def _media_type(name: str) -> str:
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
