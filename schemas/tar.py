"""The one reader of archives from outside, and the one writer of ours: flat tar.gz, streamed both ways.

The reader understands plain ustar members only. It never writes a path, holds at most one block of the
archive, and stops at the first member that the norm's flat archive has no use for.

Refused here: `archive_illisible`, `taille_depassee`, `archive_bombe`, `archive_trop_de_membres`,
`archive_membre_interdit`, `archive_nom_interdit`, `archive_nom_double`.
"""

from __future__ import annotations

import io
import struct
import tarfile
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from schemas.findings import Finding, Refused, SizeMismatch

NORM_LIMIT = 157_286_400
"""150 MiB: the most that ACTES takes, packaged (fact sheet §4 and §10.1)."""

_BLOCK = 512
_CHUNK = 64 * 1024
_REGULAR = (b"0", b"\0")
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""No name, no time, unknown system: the same bytes wherever and whenever it is written."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """How much an archive may bring; sizes in bytes."""

    max_compressed: int = NORM_LIMIT
    max_content: int = NORM_LIMIT
    """Sum of the members' sizes."""
    max_ratio: int = 200
    """Expanded bytes for one compressed byte, once a mebibyte has come out."""
    max_members: int = 1000
    max_name: int = 100


DEFAULT_LIMITS = ArchiveLimits()


class _Expanded:
    """The bytes inside a gzip stream, counted on both sides."""

    def __init__(self, source: BinaryIO, place: str, limits: ArchiveLimits) -> None:
        self._source = source
        self._place = place
        self._limits = limits
        self._inflater = zlib.decompressobj(wbits=31)
        self._compressed = 0
        self._expanded = 0
        self._ready = b""

    def read(self, wanted: int) -> bytes:
        """Up to `wanted` bytes, empty at the end only."""
        if not self._ready:
            self._ready = self._inflate()
        taken, self._ready = self._ready[:wanted], self._ready[wanted:]
        return taken

    def read_exactly(self, wanted: int) -> bytes:
        """`wanted` bytes; raises `Refused` where the archive is cut."""
        pieces = []
        while wanted:
            piece = self.read(wanted)
            if not piece:
                raise _refused("archive_illisible", self._place)
            pieces.append(piece)
            wanted -= len(piece)
        return b"".join(pieces)

    def _inflate(self) -> bytes:
        while not self._inflater.eof:
            fed = self._inflater.unconsumed_tail or self._feed()
            try:
                out = self._inflater.decompress(fed, _CHUNK)
            except zlib.error:
                raise _refused("archive_illisible", self._place) from None
            if out:
                self._count(len(out))
                return out
        self._expect_end()
        return b""

    def _feed(self) -> bytes:
        data = self._source.read(_CHUNK)
        if not data:
            raise _refused("archive_illisible", self._place)
        self._compressed += len(data)
        if self._compressed > self._limits.max_compressed:
            raise _refused("taille_depassee", self._place, limite=str(self._limits.max_compressed))
        return data

    def _count(self, more: int) -> None:
        self._expanded += more
        if self._expanded > 2**20 + self._compressed * self._limits.max_ratio:
            raise _refused("archive_bombe", self._place)

    def _expect_end(self) -> None:
        # A second gzip member or bytes behind the first would be read by one tool and not by another.
        if self._inflater.unused_data or self._source.read(1):
            raise _refused("archive_illisible", self._place)


class _MemberBytes(io.RawIOBase):
    """The bytes of one member; what is not read is skipped by the next."""

    def __init__(self, expanded: _Expanded, size: int, place: str) -> None:
        self._expanded = expanded
        self._left = size
        self._place = place

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._expanded.read(min(len(buffer), self._left))
        if self._left and not data:
            raise _refused("archive_illisible", self._place)
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)

    def skip(self) -> None:
        """Read what is left."""
        while self._left:
            self._left -= len(self._expanded.read_exactly(min(_CHUNK, self._left)))


def read_archive(
    source: BinaryIO, *, place: str, limits: ArchiveLimits = DEFAULT_LIMITS
) -> Iterator[tuple[Member, BinaryIO]]:
    """The members of the tar.gz `source`, each with its bytes, in the archive's order.

    A member's bytes can be read until the next member is asked for. Raises `Refused` (codes at the head of
    this module) and nothing else of its own; `place` names the archive in the findings.
    """
    expanded = _Expanded(source, place, limits)
    names: set[str] = set()
    content = 0
    while (header := expanded.read_exactly(_BLOCK)) != bytes(_BLOCK):
        member = _member(header, place, limits)
        folded = member.name.casefold()
        if folded in names:
            raise _refused("archive_nom_double", place, nom=member.name)
        names.add(folded)
        content += member.size
        if len(names) > limits.max_members:
            raise _refused("archive_trop_de_membres", place, limite=str(limits.max_members))
        if content > limits.max_content:
            raise _refused("taille_depassee", place, limite=str(limits.max_content))
        data = _MemberBytes(expanded, member.size, place)
        yield member, io.BufferedReader(data)
        data.skip()
        expanded.read_exactly(-member.size % _BLOCK)
    _expect_padding(expanded, place)


def write_archive(out: BinaryIO, members: Iterable[tuple[str, int, BinaryIO]]) -> None:
    """Write `members` (name, size in bytes, bytes) to `out` as a flat tar.gz, in their order.

    The same members give the same archive: no date, owner or machine in it. Raises `SizeMismatch` where a
    member has more or fewer bytes than announced, ValueError for a name of more than 100 ASCII characters.
    """
    out.write(_GZIP_HEADER)
    deflater = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    crc = total = 0
    for data in _tar_bytes(members):
        crc = zlib.crc32(data, crc)
        total += len(data)
        out.write(deflater.compress(data))
    out.write(deflater.flush())
    out.write(struct.pack("<II", crc, total & 0xFFFFFFFF))


def _tar_bytes(members: Iterable[tuple[str, int, BinaryIO]]) -> Iterator[bytes]:
    for name, size, data in members:
        info = tarfile.TarInfo(name)
        info.size = size
        yield info.tobuf(tarfile.USTAR_FORMAT, "ascii")
        left = size
        while chunk := data.read(_CHUNK):
            left -= len(chunk)
            yield chunk
        if left:
            raise SizeMismatch(f"{name}: {size - left} bytes instead of {size}")
        yield bytes(-size % _BLOCK)
    yield bytes(2 * _BLOCK)


def _member(header: bytes, place: str, limits: ArchiveLimits) -> Member:
    name_field, size_field, sum_field = header[:100], header[124:136], header[148:156]
    # The sum is over the header with its own field blank: 8 spaces.
    if _octal(sum_field, place) != sum(header) - sum(sum_field) + 8 * 0x20:
        raise _refused("archive_illisible", place)
    name = _name(name_field.split(b"\0", 1)[0], place)
    if header[156:157] not in _REGULAR:
        raise _refused("archive_membre_interdit", place, nom=printable(name))
    # ustar's prefix field is a folder; the norm's archive is flat.
    in_folder = header[257:262] == b"ustar" and header[345] != 0 and header[263:265] == b"00"
    if in_folder or not flat_name(name, limits.max_name):
        raise _refused("archive_nom_interdit", place, nom=printable(name))
    return Member(name, _octal(size_field, place))


def _name(field: bytes, place: str) -> str:
    try:
        return field.decode("utf-8")
    except UnicodeDecodeError:
        raise _refused("archive_nom_interdit", place, nom=printable(field.decode("latin-1"))) from None


def flat_name(name: str, max_length: int = 100) -> bool:
    """Whether `name` is a plain file name: no folder, no control or invisible character, not too long."""
    return plain_name(name, max_length) and ":" not in name and name == name.strip()


def plain_name(name: str, max_length: int = 255) -> bool:
    """Whether `name` can be the name of a file that a person gives: no folder, no invisible character."""
    return (
        0 < len(name) <= max_length
        and name not in {".", ".."}
        and not set(name) & {"/", "\\"}
        and not any(unicodedata.category(c).startswith(("C", "Zl", "Zp")) for c in name)
    )


def printable(name: str) -> str:
    """`name` for a sentence: short, with nothing in it that a terminal or a page would obey."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name[:80])


def _octal(field: bytes, place: str) -> int:
    text = field.strip(b" \0")
    if not text.isdigit() or any(c in b"89" for c in text):
        raise _refused("archive_illisible", place)
    return int(text, 8)


def _expect_padding(expanded: _Expanded, place: str) -> None:
    while data := expanded.read(_CHUNK):
        if data.strip(b"\0"):
            raise _refused("archive_illisible", place)


def _refused(code: str, place: str, **params: str) -> Refused:
    return Refused([Finding(code, place, params)])
