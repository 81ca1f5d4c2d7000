"""A small sealed record for tests."""

from __future__ import annotations

from datetime import UTC, datetime

from archive.record import RecordFile, SealedManifest, seal_record
from archive.store import ObjectStore
from signing.seal import SealKey, make_sandbox_seal

SEALED_AT = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
KEY = SealKey.load(*make_sandbox_seal("Pli, essais", SEALED_AT))
OTHER_KEY = SealKey.load(*make_sandbox_seal("Autre", SEALED_AT))
TEXTS = {
    "chronologie.txt": "23/11/2026 14 h 30  Scellé  Pli\n".encode(),
    "chronologie.json": b"[]\n",
    "dossier.json": b"{}\n",
}


def seal_sample(store: ObjectStore, prefix: str, *, key: SealKey = KEY, size: int = 40) -> SealedManifest:
    """Seal two files of `size` bytes and the texts under `prefix`."""
    files = [
        RecordFile(path, store.put_bytes(f"{prefix}-depot/{number}", bytes([number]) * size))
        for number, path in enumerate(("pieces/délibération n° 1.pdf", "retours/ARActe.xml"), 1)
    ]
    return seal_record(store, key, prefix=prefix, files=files, texts=TEXTS, sealed_at=SEALED_AT)
