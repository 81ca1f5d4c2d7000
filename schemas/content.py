"""What a file is, by its bytes: never by its name.

`identify` looks at both ends and is cheap enough for every upload; `inspect` opens the file.

Refused or found here: `fichier_vide`, `fichier_executable`, `format_inconnu`, `fichier_polyglotte`,
`pdf_illisible`, `pdf_chiffre`, `image_illisible`, and the codes of `schemas.xml`.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import pikepdf

from schemas import xml
from schemas.catalogue import UNRECOGNISED
from schemas.findings import Finding, Refused
from schemas.tar import NORM_LIMIT

PDF, XML, JPEG, PNG = "application/pdf", "application/xml", "image/jpeg", "image/png"
LABELS = {PDF: "PDF", XML: "XML", JPEG: "JPEG", PNG: "PNG"}
"""Names of the formats as people say them."""
EDGE = 4096
"""Bytes of each end that `identify` wants."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_XML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml\s|!--|!DOCTYPE|[A-Za-z_])")
_EXECUTABLE = (
    b"MZ",
    b"\x7fELF",
    b"\xfe\xed\xfa\xce",
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
    b"#!",
    b"\x00asm",
)
_KNOWN = {
    b"PK\x03\x04": "ZIP (docx, xlsx, odt…)",
    b"PK\x05\x06": "ZIP",
    b"\xd0\xcf\x11\xe0": "OLE2 (doc, xls…)",
    b"\x1f\x8b": "gzip",
    b"{\\rtf": "RTF",
    b"GIF8": "GIF",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "RAR",
}
"""Names of formats that depositors send by mistake, so that the refusal can say it."""

_ZIP_END = b"PK\x05\x06"
_ZIP_END_SIZE = 22
_ZIP_COMMENT = 0xFFFF
_PDF_END = re.compile(rb"startxref\s+[0-9]+\s+%%EOF[\s\0]*\Z")
_MAX_CHUNKS = 100_000
_MAX_UNPACKED = 128 * 2**20
_SOS, _EOI = 0xDA, 0xD9
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def limit_pdf_reader() -> None:
    """Bound what qpdf unpacks, for the whole process: whoever opens a PDF from outside calls it first."""
    pikepdf.settings.set_qpdf_limits(
        flate_max_memory=_MAX_UNPACKED,
        run_length_max_memory=_MAX_UNPACKED,
        png_max_memory=_MAX_UNPACKED,
        tiff_max_memory=_MAX_UNPACKED,
        doc_max_warnings=1000,
    )


limit_pdf_reader()


def identify(head: bytes, tail: bytes, *, place: str) -> str:
    """The media type of a file, from its first and last 4 KiB (or the whole of a shorter one).

    One of PDF, XML, JPEG or PNG, the formats that ACTES takes (fact sheet §4). Raises `Refused` for an empty
    file, an executable, any other format, and for a file that is two formats at once.
    """
    if not head:
        raise _refused("fichier_vide", place)
    if head.startswith(_EXECUTABLE):
        raise _refused("fichier_executable", place)
    media_type = _by_head(head)
    if media_type is None:
        raise _refused("format_inconnu", place, trouve=_name(head))
    if not _ends_well(media_type, tail) or _zip_behind(tail):
        raise _refused("fichier_polyglotte", place, format=LABELS[media_type])
    return media_type


def inspect(source: BinaryIO, media_type: str, *, place: str) -> list[Finding]:
    """What opening the file finds wrong; empty where it is what `media_type` says.

    `source` is seekable. A PDF opens, is not locked by a password and has a page; XML is well formed within
    the bounds of `schemas.xml`; an image has the structure of its format, its pixels are not decoded.
    """
    try:
        _refuse_zip(source, media_type, place)
        source.seek(0)
        _DEEP[media_type](source, place)
    except Refused as refused:
        return list(refused.findings)
    return []


def ends(source: BinaryIO) -> tuple[bytes, bytes]:
    """The first and last 4 KiB of a seekable file, for `identify`."""
    source.seek(0)
    head = source.read(EDGE)
    size = source.seek(0, io.SEEK_END)
    source.seek(max(0, size - EDGE))
    return head, source.read(EDGE)


def _by_head(head: bytes) -> str | None:
    for magic, media_type in ((b"%PDF-", PDF), (_PNG, PNG), (_JPEG, JPEG)):
        if head.startswith(magic):
            return media_type
    return XML if _XML.match(head) else None


def _name(head: bytes) -> str:
    return next((name for magic, name in _KNOWN.items() if head.startswith(magic)), UNRECOGNISED)


def _ends_well(media_type: str, tail: bytes) -> bool:
    match media_type:
        case "application/pdf":
            return _PDF_END.search(tail) is not None
        case "image/png":
            return tail.endswith(b"IEND\xaeB`\x82")
        case "image/jpeg":
            return tail.rstrip(b"\0\r\n").endswith(b"\xff\xd9")
        case _:
            return tail.rstrip(b"\0 \t\r\n").endswith(b">")


def _zip_behind(tail: bytes) -> bool:
    """Whether a ZIP reader, which starts at the end, would find an archive here.

    Its end record either comes behind the PDF's last startxref, or claims the rest of the file as its
    comment. A ZIP attached inside a PDF does neither.
    """
    at = tail.rfind(_ZIP_END)
    if at < 0 or len(tail) < at + _ZIP_END_SIZE:
        return False
    comment = int.from_bytes(tail[at + 20 : at + 22], "little")
    return at + _ZIP_END_SIZE + comment == len(tail) or b"startxref" not in tail[at:]


def _refuse_zip(source: BinaryIO, media_type: str, place: str) -> None:
    size = source.seek(0, io.SEEK_END)
    source.seek(max(0, size - _ZIP_COMMENT - _ZIP_END_SIZE))
    tail = source.read()
    at = tail.rfind(_ZIP_END)
    # Without its own end in sight, only a record that accounts for every byte to the end is one.
    claims = 0 <= at <= len(tail) - _ZIP_END_SIZE and (
        at + _ZIP_END_SIZE + int.from_bytes(tail[at + 20 : at + 22], "little") == len(tail)
    )
    if claims or (media_type == PDF and _zip_behind(tail)):
        raise _refused("fichier_polyglotte", place, format=LABELS[media_type])


def _inspect_pdf(source: BinaryIO, place: str) -> None:
    try:
        with pikepdf.open(source) as pdf:
            if len(pdf.pages) == 0:
                raise _refused("pdf_illisible", place)
    except pikepdf.PasswordError:
        raise _refused("pdf_chiffre", place) from None
    except (pikepdf.PdfError, RuntimeError, ValueError, TypeError, KeyError, OSError):
        # qpdf reports some damage as plain errors of the language.
        raise _refused("pdf_illisible", place) from None


def _inspect_xml(source: BinaryIO, place: str) -> None:
    xml.check(source, place=place, max_bytes=NORM_LIMIT, max_nodes=20_000_000)


def _inspect_png(source: BinaryIO, place: str) -> None:
    """Signature, IHDR first, IDAT, IEND last with nothing behind; each chunk with its check sum."""
    if source.read(len(_PNG)) != _PNG:
        raise _refused("image_illisible", place)
    kinds: list[bytes] = []
    for kind, length, first in _png_chunks(source, place):
        if not kinds and (kind != b"IHDR" or length != 13 or b"\0\0\0\0" in (first[:4], first[4:8])):
            raise _refused("image_illisible", place)
        kinds.append(kind)
    if b"IDAT" not in kinds or kinds[-1] != b"IEND" or kinds.count(b"IEND") != 1 or source.read(1):
        raise _refused("image_illisible", place)


def _png_chunks(source: BinaryIO, place: str) -> Iterator[tuple[bytes, int, bytes]]:
    for _ in range(_MAX_CHUNKS):
        header = _exactly(source, 8, place)
        length, kind = struct.unpack(">I4s", header)
        crc, first, left = zlib.crc32(kind), b"", length
        while left:
            data = _exactly(source, min(left, 64 * 1024), place)
            first = first or data[:13]
            crc = zlib.crc32(data, crc)
            left -= len(data)
        if _exactly(source, 4, place) != struct.pack(">I", crc):
            raise _refused("image_illisible", place)
        yield kind, length, first
        if kind == b"IEND":
            return
    raise _refused("image_illisible", place)


def _inspect_jpeg(source: BinaryIO, place: str) -> None:
    """SOI, segments with their lengths, a frame of some size before the first scan."""
    if _exactly(source, 2, place) != b"\xff\xd8":
        raise _refused("image_illisible", place)
    framed = False
    for _ in range(_MAX_CHUNKS):
        marker = _marker(source, place)
        if marker in _STANDALONE:
            continue
        if marker == _EOI:
            break
        length = int.from_bytes(_exactly(source, 2, place), "big")
        if length < 2:
            break
        segment = _exactly(source, length - 2, place)
        if marker in _FRAMES:
            framed = len(segment) >= 6 and b"\0\0" not in (segment[1:3], segment[3:5])
        if marker == _SOS and framed:
            return
    raise _refused("image_illisible", place)


def _marker(source: BinaryIO, place: str) -> int:
    if _exactly(source, 1, place) != b"\xff":
        raise _refused("image_illisible", place)
    for _ in range(_MAX_CHUNKS):
        code = _exactly(source, 1, place)[0]
        if code != 0xFF:
            return code
    raise _refused("image_illisible", place)


def _exactly(source: BinaryIO, size: int, place: str) -> bytes:
    data = source.read(size)
    if len(data) != size:
        raise _refused("image_illisible", place)
    return data


_DEEP = {PDF: _inspect_pdf, XML: _inspect_xml, PNG: _inspect_png, JPEG: _inspect_jpeg}


def _refused(code: str, place: str, **params: str) -> Refused:
    return Refused([Finding(code, place, params)])
