"""What the stand-in received and owes: one SQLite file, flushed with each archive.

An archive and the mails that answer it are written in one transaction, before its sender reads HTTP 200:
killed at any moment, nothing acknowledged is lost and each answer leaves once.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS recus (
    id INTEGER PRIMARY KEY,
    archive TEXT NOT NULL,
    transaction_code TEXT,
    siren TEXT,
    numero TEXT,
    id_acte TEXT,
    reponse TEXT NOT NULL,
    recu_le TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS recus_id_acte ON recus (id_acte);
CREATE TABLE IF NOT EXISTS courriers (
    id INTEGER PRIMARY KEY,
    du_le REAL NOT NULL,
    contenu BLOB
);
CREATE INDEX IF NOT EXISTS courriers_dus ON courriers (du_le) WHERE contenu IS NOT NULL;
CREATE TABLE IF NOT EXISTS memoire (cle TEXT PRIMARY KEY, valeur TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Receipt:
    """One archive received whole."""

    archive: str
    recu_le: str
    """ISO instant."""
    reponse: str
    """Transactions of the answer, or ``jamais``."""
    transaction: str | None = None
    siren: str | None = None
    numero: str | None = None
    id_acte: str | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A mail that is due at an instant (seconds since the epoch)."""

    due: float
    raw: bytes


class Journal:
    """The journal in the file `path`; used from one thread."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)
        self.mark = str(self.remember("marque", secrets.token_hex(4)))
        """Tells the mails of this journal from those of another that shares the Maildir."""

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def receive(self, receipt: Receipt, mails: Sequence[Outgoing], **memory: object) -> None:
        """Write an archive, its answers and what has to be kept in `memory`, all or nothing."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(
                "INSERT INTO recus (archive, transaction_code, siren, numero, id_acte, reponse, recu_le)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    receipt.archive,
                    receipt.transaction,
                    receipt.siren,
                    receipt.numero,
                    receipt.id_acte,
                    receipt.reponse,
                    receipt.recu_le,
                ),
            )
            self._db.executemany(
                "INSERT INTO courriers (du_le, contenu) VALUES (?, ?)",
                [(mail.due, mail.raw) for mail in mails],
            )
            for key, value in memory.items():
                self.keep(key, value)

    def count(self) -> int:
        """How many archives were received so far."""
        [[count]] = self._db.execute("SELECT coalesce(max(id), 0) FROM recus")
        return int(count)

    def first_received(self, id_acte: str) -> str | None:
        """When the act was received and acknowledged for the first time, as an ISO instant."""
        row = self._db.execute(
            "SELECT recu_le FROM recus WHERE id_acte = ? AND reponse = '1-2' ORDER BY id LIMIT 1", (id_acte,)
        ).fetchone()
        return str(row[0]) if row else None

    def due(self, now: float, limit: int = 100) -> list[tuple[int, bytes]]:
        """Mails to deliver by `now`, oldest first."""
        return self._db.execute(
            "SELECT id, contenu FROM courriers WHERE contenu IS NOT NULL AND du_le <= ?"
            " ORDER BY du_le, id LIMIT ?",
            (now, limit),
        ).fetchall()

    def next_due(self) -> float | None:
        """When the next mail is due."""
        [[due]] = self._db.execute("SELECT min(du_le) FROM courriers WHERE contenu IS NOT NULL")
        return float(due) if due is not None else None

    def delivered(self, mails: Sequence[int]) -> None:
        """These mails are in the mailbox.

        Not flushed by itself: where it is lost, the mailbox tells what was delivered.
        """
        self._db.execute("PRAGMA synchronous = NORMAL")
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "UPDATE courriers SET contenu = NULL WHERE id = ?", [(one,) for one in mails]
            )
        self._db.execute("PRAGMA synchronous = FULL")

    def received(self) -> list[dict[str, Any]]:
        """Each archive by name, in the order of arrival: how often, and how often its act in all."""
        rows = self._db.execute(
            "SELECT r.archive, count(*), max(r.transaction_code), max(r.siren), max(r.numero),"
            " max(r.id_acte), min(r.recu_le), group_concat(r.reponse),"
            " coalesce((SELECT count(*) FROM recus a WHERE a.id_acte = max(r.id_acte)"
            " AND a.transaction_code = max(r.transaction_code)), 0)"
            " FROM recus r GROUP BY r.archive ORDER BY min(r.id)"
        )
        names = ("archive", "fois", "transaction", "siren", "numero", "id_acte", "recu_le", "reponses")
        return [dict(zip((*names, "fois_acte"), row, strict=True)) for row in rows]

    def keep(self, key: str, value: object) -> None:
        """Remember `value` (anything that JSON holds) under `key`."""
        self._db.execute("INSERT OR REPLACE INTO memoire VALUES (?, ?)", (key, json.dumps(value)))

    def remember(self, key: str, default: object) -> Any:
        """What is kept under `key`; where nothing is, `default` is kept first."""
        self._db.execute("INSERT OR IGNORE INTO memoire VALUES (?, ?)", (key, json.dumps(default)))
        [[value]] = self._db.execute("SELECT valeur FROM memoire WHERE cle = ?", (key,))
        return json.loads(value)
