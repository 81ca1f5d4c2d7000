"""Files on their way to a caller: streamed from the store, whole or by range, under a safe name."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.problems import Problem
from api.services import Services
from api.uploads import spool
from archive.proof import write_pack
from archive.store import ObjectMissing, Ref
from registry.envelopes import File, Record

CHUNK = 64 * 1024
_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a file: from `offset`, `length` of them."""

    offset: int
    length: int


def requested_span(header: str | None, size: int) -> Span | None:
    """The one range that `Range` asks for; None where the whole file is to be sent.

    Several ranges, another unit or an unreadable header mean the whole file (RFC 9110 §14.2). Raises
    `Problem` (416) where the range begins behind the end.
    """
    match = _RANGE.fullmatch((header or "").strip())
    if match is None or match.groups() == ("", "") or any(len(digits) > 18 for digits in match.groups()):
        return None
    first, last = match.groups()
    if first == "":
        begin, end = max(0, size - int(last)), size - 1
    else:
        begin, end = int(first), min(int(last) if last else size - 1, size - 1)
        if last and int(last) < int(first):
            return None
    if begin >= size or end < begin:
        raise Problem("plage_invalide", taille=str(size), headers={"Content-Range": f"bytes */{size}"})
    return Span(begin, end - begin + 1)


def disposition(name: str, *, inline: bool = False) -> str:
    """`Content-Disposition` with an ASCII and a UTF-8 name (RFC 6266, appendix D)."""
    plain = "".join(
        char if char.isascii() and char.isprintable() and char not in '"\\%' else "_" for char in name
    )
    kind = "inline" if inline else "attachment"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def digest_field(sha256: str, sha512: str | None = None) -> str:
    """Hex digests as a field of RFC 9530."""
    known = [("sha-256", sha256), ("sha-512", sha512)]
    return ", ".join(f"{name}=:{b64encode(bytes.fromhex(value)).decode()}:" for name, value in known if value)


class _Closing(StreamingResponse):
    """A streamed answer that gives its source back however it ends, also before its first byte."""

    def __init__(
        self, source: ExitStack, chunks: Iterator[bytes], status: int, headers: dict[str, str]
    ) -> None:
        super().__init__(chunks, status, headers)
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await run_in_threadpool(self._source.close)


def send_file(request: Request, services: Services, file: File, *, inline: bool = False) -> Response:
    """The answer with a stored file: ranges, validators, digests; never a redirect to the store.

    Raises `Problem`: 416 for a range behind the end, 500 where the vault has lost the object, 503 where the
    store is out of reach.
    """
    etag = f'"{file.sha256}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Repr-Digest": digest_field(file.sha256, file.sha512),
    }
    if etag in {tag.strip() for tag in request.headers.get("if-none-match", "").split(",")}:
        return Response(status_code=304, headers=headers)
    fresh = request.headers.get("if-range", etag) == etag
    span = requested_span(request.headers.get("range") if fresh else None, file.size)
    headers |= {
        "Content-Type": file.media_type,
        "Content-Disposition": disposition(file.nom_norme or file.nom, inline=inline),
        "Content-Length": str(file.size if span is None else span.length),
    }
    if span is None:
        headers["Content-Digest"] = headers["Repr-Digest"]
    else:
        headers["Content-Range"] = f"bytes {span.offset}-{span.offset + span.length - 1}/{file.size}"
    if request.method == "HEAD" or file.size == 0:
        return Response(status_code=200 if span is None else 206, headers=headers)
    source = ExitStack()
    ref = Ref(file.bucket, file.key, file.sha256, file.sha512, file.size)
    whole = span or Span(0, file.size)
    try:
        chunks = source.enter_context(services.store.open(ref, whole.offset, whole.length))
    except ObjectMissing as error:
        raise Problem("fichier_altere") from error
    return _Closing(source, chunks, 200 if span is None else 206, headers)


def send_proof(services: Services, record: Record, name: str) -> Response:
    """The answer with the proof pack of a sealed record.

    The pack is made whole before its first byte leaves, on disk: every file is checked against the manifest
    while it is packed, and a caller never holds a proof that was cut short.
    """
    source = ExitStack()
    folder = source.enter_context(spool(services.settings.spool))
    pack = source.enter_context((folder / "preuve.zip").open("w+b"))
    manifest = Ref(
        record.manifest_bucket, record.manifest_key, "", record.manifest_sha512, record.manifest_size
    )
    try:
        write_pack(pack, services.store, manifest)
    except BaseException:
        source.close()
        raise
    size = pack.tell()
    pack.seek(0)
    headers = {
        "Content-Type": "application/zip",
        "Content-Disposition": disposition(name),
        "Content-Length": str(size),
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return _Closing(source, iter(lambda: pack.read(CHUNK), b""), 200, headers)
