"""Delivery into a Maildir: written whole under ``tmp``, flushed, then renamed into ``new``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


class Maildir:
    """A Maildir on disk, made where it is missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("tmp", "new", "cur"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def deliver(self, mails: Sequence[tuple[str, bytes]]) -> None:
        """Deliver mails, each under its own name; durable once this returns."""
        for name, raw in mails:
            partial = self._folder / "tmp" / name
            with partial.open("wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(self._folder / "new" / name)
        _flush_folder(self._folder / "new")

    def has(self, name: str) -> bool:
        """Whether a mail was delivered under `name`, wherever its owner moved it since."""
        return any(
            found.parent.name in {"new", "cur"} for found in self._folder.rglob(f"{name}*") if found.is_file()
        )


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
