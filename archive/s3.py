"""The object store on any S3, through the `minio` client.

Object Lock is used where the server truly has it: `object_lock` locks a small object and tries to delete it,
because servers exist that accept a lock and ignore it. Sources: Amazon S3 API reference (PutObject,
GetObject, PutObjectRetention), RFC 9110 §14 for ranges.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, cast

import urllib3
from minio import Minio
from minio.commonconfig import COMPLIANCE
from minio.error import InvalidResponseError, S3Error, ServerError
from minio.retention import Retention
from urllib3.response import BaseHTTPResponse

from archive.store import ObjectAltered, ObjectMissing, ObjectStore, Ref, StoreError, StoreUnavailable

CHUNK = 1024 * 1024
PART = 5 * 1024 * 1024
"""Bytes held while a file goes up: the smallest part that S3 allows."""
CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 60.0
POOL_SIZE = 32
DEFAULT_REGION = "us-east-1"
PROBE_KEY = "pli-essai-de-verrou"
PROBE_SECONDS = 30

_MISSING = frozenset({"NoSuchKey", "NoSuchVersion"})
_SERVER_FAILURES = frozenset(
    {"InternalError", "ServiceUnavailable", "SlowDown", "RequestTimeout", "XMinioServerNotInitialized"}
)
_BUCKET_IS_THERE = frozenset({"BucketAlreadyExists", "BucketAlreadyOwnedByYou"})


class S3Store(ObjectStore):
    """One bucket of an S3 server; threads may share it."""

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        access_key: str,
        secret_key: str,
        *,
        secure: bool,
        region: str | None = None,
        client: Any = None,
    ) -> None:
        """Open `bucket` at `endpoint` (``host:port``), and make it where it is not there.

        `secure` chooses TLS, `region` is signed into each request, `client` stands in for `minio.Minio`.
        Raises `StoreUnavailable` where the server can't be reached, `StoreError` where it refuses.
        """
        self.bucket = bucket
        self._client = client or Minio(
            endpoint,
            access_key,
            secret_key,
            secure=secure,
            region=region or DEFAULT_REGION,
            http_client=_Pool(),
        )
        self._lock_known: bool | None = None
        self._probing = threading.Lock()
        self._make_bucket()

    def put_file(self, key: str, path: Path) -> Ref:
        """Store the file at `path`, in parts of 5 MiB, hashed while it is read."""
        with path.open("rb") as source:
            return self._put(key, source, path.stat().st_size)

    def put_bytes(self, key: str, data: bytes) -> Ref:
        """Store small `data` in one request."""
        return self._put(key, io.BytesIO(data), len(data))

    @contextmanager
    def open(self, ref: Ref, offset: int = 0, length: int = 0) -> Iterator[Iterator[bytes]]:
        """The bytes of `ref` in chunks, from `offset`, `length` bytes (0: to the end); not hashed."""
        if offset >= ref.size:
            yield iter(())
            return
        with _translated(ref.key):
            response = self._client.get_object(ref.bucket, ref.key, offset=offset, length=length)
        try:
            yield _chunks(response, ref.key)
        finally:
            response.close()
            response.release_conn()

    def read(self, ref: Ref, limit: int) -> bytes:
        """All bytes of a small object, checked against `ref.sha512`."""
        if ref.size > limit:
            raise ObjectAltered(ref.key)
        into = io.BytesIO()
        self.fetch(ref, into)
        return into.getvalue()

    def fetch(self, ref: Ref, into: BinaryIO) -> None:
        """Copy all bytes of `ref`, checked while copying: `into` holds wrong bytes where it raises."""
        digest, left = hashlib.sha512(), ref.size
        with self.open(ref) as chunks:
            for chunk in chunks:
                left -= len(chunk)
                if left < 0:
                    raise ObjectAltered(ref.key)
                digest.update(chunk)
                into.write(chunk)
        if left or digest.hexdigest() != ref.sha512:
            raise ObjectAltered(ref.key)

    def delete(self, key: str) -> None:
        """Remove an object that no record names; removing nothing is no error."""
        with _translated():
            try:
                self._client.remove_object(self.bucket, key)
            except S3Error as error:
                if error.code not in _MISSING:
                    raise

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys under `prefix`, in the server's order."""
        with _translated():
            for found in self._client.list_objects(self.bucket, prefix=prefix, recursive=True):
                yield str(found.object_name)

    def object_lock(self) -> bool:
        """Whether the bucket truly refuses the deletion of a locked object; tried once, then remembered."""
        with self._probing:
            if self._lock_known is None:
                with _translated():
                    self._lock_known = self._probe_lock()
            return self._lock_known

    def lock(self, ref: Ref, until_iso: str) -> None:
        """Put `ref` under retention (compliance mode: nobody shortens it) until the ISO 8601 instant.

        Nothing happens on a server without Object Lock. Raises ValueError for an instant without zone.
        """
        until = datetime.fromisoformat(until_iso)
        if until.tzinfo is None:
            raise ValueError("retention needs an instant with its zone")
        if self.object_lock():
            with _translated(ref.key):
                self._client.set_object_retention(
                    ref.bucket, ref.key, Retention(COMPLIANCE, until.astimezone(UTC))
                )

    def _make_bucket(self) -> None:
        with _translated():
            if self._client.bucket_exists(self.bucket):
                return
            try:
                self._client.make_bucket(self.bucket, object_lock=True)
            except S3Error as error:
                if error.code in _BUCKET_IS_THERE:
                    return
                self._make_plain_bucket()

    def _make_plain_bucket(self) -> None:
        try:
            self._client.make_bucket(self.bucket)
        except S3Error as error:
            if error.code not in _BUCKET_IS_THERE:
                raise

    def _put(self, key: str, source: BinaryIO, size: int) -> Ref:
        hashed = _HashingReader(source)
        with _translated():
            self._client.put_object(
                self.bucket,
                key,
                cast("BinaryIO", hashed),
                length=size,
                part_size=PART,
                num_parallel_uploads=1,
            )
        return Ref(self.bucket, key, hashed.sha256.hexdigest(), hashed.sha512.hexdigest(), size)

    def _probe_lock(self) -> bool:
        self._forget_old_probes()
        written = self._client.put_object(self.bucket, PROBE_KEY, io.BytesIO(b"pli"), 3)
        version = written.version_id
        if not version:
            self._client.remove_object(self.bucket, PROBE_KEY)
            return False
        until = datetime.now(UTC) + timedelta(seconds=PROBE_SECONDS)
        try:
            self._client.set_object_retention(
                self.bucket, PROBE_KEY, Retention(COMPLIANCE, until), version_id=version
            )
        except S3Error as error:
            _raise_failure_of_the_server(error)
            self._client.remove_object(self.bucket, PROBE_KEY, version_id=version)
            return False
        return self._deletion_is_refused(version)

    def _deletion_is_refused(self, version: str) -> bool:
        try:
            self._client.remove_object(self.bucket, PROBE_KEY, version_id=version)
        except S3Error as error:
            _raise_failure_of_the_server(error)
        try:
            self._client.stat_object(self.bucket, PROBE_KEY, version_id=version)
        except S3Error as error:
            _raise_failure_of_the_server(error)
            return False
        return True

    def _forget_old_probes(self) -> None:
        """Remove what earlier probes left, where their retention has ended; the server refuses the rest."""
        try:
            for old in self._client.list_objects(self.bucket, prefix=PROBE_KEY, include_version=True):
                self._client.remove_object(self.bucket, old.object_name, version_id=old.version_id)
        except S3Error as error:
            _raise_failure_of_the_server(error)


class _HashingReader(io.BufferedIOBase):
    """A file that is hashed as it is read."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.sha256 = hashlib.sha256()
        self.sha512 = hashlib.sha512()

    def read(self, size: int | None = -1, /) -> bytes:
        data = self._source.read(-1 if size is None else size)
        self.sha256.update(data)
        self.sha512.update(data)
        return data


class _Pool(urllib3.PoolManager):
    """Connections with time limits. ``text/xml`` is read as its other name, the only one that `minio` knows
    (RFC 7303 §9.2; rclone answers so)."""

    def __init__(self) -> None:
        super().__init__(
            num_pools=4,
            maxsize=POOL_SIZE,
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT),
            retries=urllib3.Retry(total=2, backoff_factor=0.1, status_forcelist=(500, 502, 503, 504)),
        )

    def urlopen(self, method: str, url: str, *args: Any, **options: Any) -> BaseHTTPResponse:
        response = super().urlopen(method, url, *args, **options)
        if response.headers.get("content-type", "").startswith("text/xml"):
            response.headers["content-type"] = "application/xml"
        return response


def _chunks(response: Any, key: str) -> Iterator[bytes]:
    with _translated(key):
        yield from response.stream(CHUNK, decode_content=False)


@contextmanager
def _translated(key: str = "") -> Iterator[None]:
    """Errors of the client and of the wire, in the store's own family."""
    try:
        yield
    except S3Error as error:
        if error.code in _MISSING:
            raise ObjectMissing(key) from error
        if error.code == "InvalidRange":
            raise ObjectAltered(key) from error
        if error.code in _SERVER_FAILURES:
            raise StoreUnavailable(error.code) from error
        raise StoreError(f"the object store refused: {error.code}") from error
    except (ServerError, InvalidResponseError, urllib3.exceptions.HTTPError) as error:
        raise StoreUnavailable(type(error).__name__) from error


def _raise_failure_of_the_server(error: S3Error) -> None:
    """A refusal is an answer to a probe; a failure of the server is none."""
    if error.code in _SERVER_FAILURES:
        raise error
