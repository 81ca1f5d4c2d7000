"""Deposits as software sends them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import httpx2

from tests.api.conftest import Doors
from tests.samples.pdf import plain_pdf

ACTE: dict[str, Any] = {
    "numero": "2026_041",
    "date_decision": "2026-11-20",
    "nature": 1,
    "matiere": "7.10",
    "objet": "Vote du budget primitif",
}

File = tuple[str, tuple[str, bytes, str]]


def document(content: bytes | None = None, name: str = "délibération.pdf") -> File:
    """The part `document`."""
    return ("document", (name, plain_pdf() if content is None else content, "application/pdf"))


def annexe(content: bytes | None = None, name: str = "annexe.pdf") -> File:
    """A part `annexe`."""
    return ("annexe", (name, plain_pdf("Annexe") if content is None else content, "application/pdf"))


def deposit(
    doors: Doors,
    *,
    key: str | None = None,
    files: Sequence[File] | None = None,
    token: str | None = None,
    headers: dict[str, str] | None = None,
    **changes: Any,
) -> httpx2.Response:
    """POST /v1/actes with the sample act, its fields changed by `changes` (None takes one out)."""
    acte = {name: value for name, value in {**ACTE, **changes}.items() if value is not None}
    parts: list[Any] = [("acte", (None, json.dumps(acte).encode(), "application/json"))]
    parts += [document()] if files is None else files
    every = {
        "Authorization": f"Bearer {token or doors.mine.token}",
        "Idempotency-Key": key or doors.key(),
        **(headers or {}),
    }
    return doors.client.post("/v1/actes", files=parts, headers=every)


def nothing_left(doors: Doors) -> None:
    """No object, no row, no spooled file."""
    assert doors.objects() == []
    assert set(doors.rows().values()) == {0}
    spool = doors.settings.spool
    assert spool is None or not spool.exists() or list(spool.iterdir()) == []
