"""Uploads: a multipart body read as it streams, hashed on the way, kept in files of a spool folder.

Nothing is held in memory beyond one chunk; what is too large, too many or unreadable is refused as soon as
it shows; the answer closes the connection, so that the caller stops sending (`api/problems.py`).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from base64 import b64decode
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, BinaryIO

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from api.problems import Problem
from schemas.findings import Finding

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_PARTS = 1000
MAX_FIELD = 64 * 1024
"""Bytes of a part that is not a file (the act's JSON)."""
MAX_HEADERS = 8
MAX_HEADER = 4096
"""Bytes of one header of a part."""
MAX_NAME = 200
"""Characters of a file's name."""
OVERHEAD = MAX_PARTS * 1024
"""Bytes that boundaries and headers may take around the files before a declared length is refused unread."""
IDLE_SECONDS = 60
"""A caller who sends nothing for so long has gone; a slow line sends something."""
CHUNK = 64 * 1024
EDGE = 4096
"""Bytes of the head and tail by which a format is recognised."""
TEXT_SPACES = "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came in, on disk in the spool."""

    field: str
    """Name of its part."""
    nom: str
    path: Path
    size: int
    sha256: str
    sha512: str

    def edges(self) -> tuple[bytes, bytes]:
        """First and last 4 KiB, for the recognition of the format."""
        with self.path.open("rb") as source:
            head = source.read(EDGE)
            source.seek(max(0, self.size - EDGE))
            return head, source.read(EDGE)


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart body: small fields by name, files in the order of their parts."""

    fields: Mapping[str, bytes]
    files: tuple[Upload, ...]

    def named(self, name: str) -> tuple[Upload, ...]:
        """The files of the parts called `name`."""
        return tuple(upload for upload in self.files if upload.field == name)


@contextmanager
def spool(folder: Path | None) -> Iterator[Path]:
    """A folder for the files of one request; gone with everything in it at the end of the block."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="pli-", dir=folder) as name:
        yield Path(name)


async def receive_form(
    request: Request, into: Path, *, limit: int, fields: Collection[str], files: Collection[str]
) -> Form:
    """Read a `multipart/form-data` body into files under `into`.

    `limit` bounds the bytes of all files together; `fields` and `files` name the parts that may come (fields
    at most once). Raises `Problem`: 400 for an unreadable or unfinished body or a wrong `Content-Digest`, 413
    for too much of anything, 415 for another content type, 422 for parts and names that are not accepted.
    """
    boundary = _boundary(request)
    _refuse_declared_length(request, limit + OVERHEAD, limit)
    digests = _Digests(request)
    form = _FormReader(into, limit, frozenset(fields), frozenset(files))
    parser = MultipartParser(
        boundary, form.callbacks(), max_header_count=MAX_HEADERS, max_header_size=MAX_HEADER
    )
    try:
        async for chunk in _chunks(request):
            digests.update(chunk)
            parser.write(chunk)
    except FormParserError as error:
        code = "entete_de_partie_trop_long" if "header" in str(error).lower() else "corps_illisible"
        raise Problem(code) from error
    finally:
        form.close()
    if not form.ended:
        raise Problem("multipart_inacheve")
    digests.check()
    return Form(form.fields, tuple(form.uploads))


async def receive_body(request: Request, into: Path, *, limit: int, nom: str) -> Upload:
    """Read a body that is one file into `into`; raises `Problem` as `receive_form` does."""
    _refuse_declared_length(request, limit, limit)
    digests = _Digests(request)
    file = _OpenFile("", nom, into / "corps")
    room = limit
    try:
        async for chunk in _chunks(request):
            room -= len(chunk)
            if room < 0:
                raise _too_large(limit)
            digests.update(chunk)
            file.write(chunk)
    finally:
        file.close()
    digests.check()
    return file.upload()


def spool_file(path: Path, nom: str, source: BinaryIO) -> Upload:
    """Copy a stream (a member of an archive) into the spool."""
    file = _OpenFile("", nom, path)
    try:
        while chunk := source.read(CHUNK):
            file.write(chunk)
    finally:
        file.close()
    return file.upload()


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Problem("televersement_interrompu") from None
        if chunk:
            yield chunk


def media_type(request: Request) -> str:
    """The media type of the body, lower case, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _boundary(request: Request) -> bytes:
    if media_type(request) != "multipart/form-data":
        raise Problem("type_de_contenu_non_admis", admis="multipart/form-data")
    _, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        raise Problem("corps_illisible")
    return boundary


def _refuse_declared_length(request: Request, most: int, limit: int) -> None:
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > most:
        raise _too_large(limit)


def _too_large(limit: int) -> Problem:
    return Problem("taille_depassee", limite=str(limit))


class _OpenFile:
    """A file of the spool while its bytes come in."""

    def __init__(self, field_name: str, nom: str, path: Path) -> None:
        self._field, self._nom, self._path = field_name, nom, path
        self._out: BinaryIO = path.open("wb")
        self._sha256, self._sha512 = hashlib.sha256(), hashlib.sha512()
        self._size = 0

    def write(self, data: bytes | memoryview) -> None:
        self._out.write(data)
        self._sha256.update(data)
        self._sha512.update(data)
        self._size += len(data)

    def close(self) -> None:
        self._out.close()

    def upload(self) -> Upload:
        return Upload(
            self._field, self._nom, self._path, self._size, self._sha256.hexdigest(), self._sha512.hexdigest()
        )


@dataclass(slots=True)
class _Part:
    """One part while its headers and bytes come in."""

    headers: dict[str, bytes] = field(default_factory=dict)
    header_name: bytearray = field(default_factory=bytearray)
    header_value: bytearray = field(default_factory=bytearray)
    name: str = ""
    text: bytearray | None = None
    file: _OpenFile | None = None


class _FormReader:
    """The parser's callbacks: sorts parts into fields and files, within the limits."""

    def __init__(self, into: Path, limit: int, fields: frozenset[str], files: frozenset[str]) -> None:
        self._into, self._limit, self._room = into, limit, limit
        self._field_names, self._file_names = fields, files
        self._part = _Part()
        self._parts = 0
        self.fields: dict[str, bytes] = {}
        self.uploads: list[Upload] = []
        self.ended = False

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def close(self) -> None:
        if self._part.file is not None:
            self._part.file.close()

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise Problem("trop_de_parties", limite=str(MAX_PARTS))
        self._part = _Part()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._part.header_name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._part.header_value += data[start:end]

    def _header_end(self) -> None:
        part = self._part
        part.headers[part.header_name.decode("latin-1").lower()] = bytes(part.header_value)
        part.header_name, part.header_value = bytearray(), bytearray()

    def _headers_finished(self) -> None:
        part = self._part
        _, options = parse_options_header(part.headers.get("content-disposition", b""))
        part.name = _text(options.get(b"name"), "corps_illisible")
        if part.name in self._file_names and options.get(b"filename") == b"":
            # What a browser sends for a file input left empty (HTML §4.10.21.8): no file.
            part.file = part.text = None
        elif part.name in self._file_names:
            nom = _file_name(options.get(b"filename"), part.name)
            part.file = _OpenFile(part.name, nom, self._into / f"{self._parts}")
        elif part.name in self._field_names:
            if part.name in self.fields:
                raise Problem("partie_en_double", nom=part.name)
            part.text = bytearray()
        else:
            raise Problem("partie_inconnue", nom=_shown(part.name))

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if part.file is not None:
            self._room -= end - start
            if self._room < 0:
                raise _too_large(self._limit)
            part.file.write(memoryview(data)[start:end])
        elif part.text is not None:
            part.text += data[start:end]
            if len(part.text) > MAX_FIELD:
                raise Problem("champ_trop_long", nom=part.name, limite=str(MAX_FIELD))
        elif end > start:
            raise Problem("nom_fichier_invalide", findings=[Finding("nom_fichier_invalide", f"/{part.name}")])

    def _end(self) -> None:
        part = self._part
        if part.file is not None:
            part.file.close()
            self.uploads.append(part.file.upload())
        elif part.text is not None:
            self.fields[part.name] = bytes(part.text)

    def _finish(self) -> None:
        self.ended = True


def _text(value: bytes | None, code: str) -> str:
    try:
        return (value or b"").decode()
    except UnicodeDecodeError:
        raise Problem(code) from None


def _shown(name: str) -> str:
    return "".join(char for char in name[:40] if char.isprintable())


def _file_name(value: bytes | None, part: str) -> str:
    name = _text(value, "nom_fichier_invalide")
    if not acceptable_name(name):
        raise Problem("nom_fichier_invalide", findings=[Finding("nom_fichier_invalide", f"/{part}")])
    return name


def acceptable_name(name: str) -> bool:
    """Whether a file may be called so: 1 to 200 printable characters, no folder in it, not `.` or `..`."""
    return (
        0 < len(name) <= MAX_NAME
        and name.strip(". ") != ""
        and all(char.isprintable() or char in TEXT_SPACES for char in name)
        and not {"/", "\\"} & set(name)
    )


class _Digests:
    """Checks `Content-Digest` (RFC 9530) over the whole body, where the caller sent one that we know."""

    _KNOWN = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}

    def __init__(self, request: Request) -> None:
        self._expected: list[tuple[hashlib._Hash, bytes]] = []
        for item in filter(None, (i.strip() for i in request.headers.get("content-digest", "").split(","))):
            name, _, value = item.partition("=")
            if not (value.startswith(":") and value.endswith(":") and len(value) > 2):
                raise Problem("empreinte_illisible")
            try:
                digest = b64decode(value[1:-1], validate=True)
            except ValueError:
                raise Problem("empreinte_illisible") from None
            if name.lower() in self._KNOWN:
                self._expected.append((self._KNOWN[name.lower()](), digest))

    def update(self, chunk: bytes) -> None:
        for running, _ in self._expected:
            running.update(chunk)

    def check(self) -> None:
        if not all(hmac.compare_digest(running.digest(), digest) for running, digest in self._expected):
            raise Problem("empreinte_differente")
