"""Objects: one small interface over any S3, through the `minio` client.

StoreError
├── ObjectMissing      nothing under this key
├── ObjectAltered      what was read back has another hash than the reference says
└── StoreUnavailable   the server did not answer; worth another try
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class Ref:
    """A file by reference: what workflows pass instead of bytes."""

    bucket: str
    key: str
    sha256: str
    """Hex, for `Content-Digest` of the API."""
    sha512: str
    """Hex; the hash of the records."""
    size: int
    """Bytes."""


class StoreError(Exception):
    """Root of the errors of the object store."""


class ObjectMissing(StoreError):
    """Nothing is stored under this key."""


class ObjectAltered(StoreError):
    """The bytes read are not those that the reference names."""


class StoreUnavailable(StoreError):
    """The server could not be reached or answered with its own failure; try again."""


class ObjectStore(Protocol):
    """What Pli asks of a store. Every method may raise `StoreUnavailable`."""

    def put_file(self, key: str, path: Path) -> Ref:
        """Store the file at `path` under `key` and give its reference (hashed while read)."""
        ...

    def put_bytes(self, key: str, data: bytes) -> Ref:
        """Store small `data` (under a few MiB) under `key`."""
        ...

    def open(self, ref: Ref, offset: int = 0, length: int = 0) -> AbstractContextManager[Iterator[bytes]]:
        """The bytes of `ref` in chunks of at most 1 MiB, from `offset`, `length` bytes (0: to the end)."""
        ...

    def read(self, ref: Ref, limit: int) -> bytes:
        """All bytes of a small object, checked against `ref.sha512`; `ObjectAltered` where they differ or
        where the object is larger than `limit`."""
        ...

    def fetch(self, ref: Ref, into: BinaryIO) -> None:
        """Copy all bytes of `ref` into a file, checked against its hash while copying."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object that no record names; removing nothing is no error."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys under `prefix`."""
        ...

    def object_lock(self) -> bool:
        """Whether the bucket truly refuses the deletion of a locked object (tried once, remembered)."""
        ...

    def lock(self, ref: Ref, until_iso: str) -> None:
        """Put `ref` under retention until the instant, where the server has Object Lock."""
        ...
