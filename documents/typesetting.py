"""Typesetting with typst: one warm compiler a thread, our face only, values as data.

Values travel as one JSON text in `sys.inputs` and are never spliced into the template's code.
"""

from __future__ import annotations

import json
import re
import threading
import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import typst

from documents.errors import DocumentError

_ROOM = Path(__file__).parent
_FONTS = _ROOM / "fonts"
_LONG = 30
"""Characters that fit into every column."""
_UNBROKEN = re.compile(rf"[^\s-]{{{_LONG},}}")
_SEPARATED = re.compile(r"[^_./:@]*[_./:@]+|[^_./:@]+")
_BREAK = "\u200b"


class _Compilers(threading.local):
    """A typst compiler serves one thread at a time; it keeps fonts and parsed templates warm."""

    def __init__(self) -> None:
        self.by_template: dict[str, Any] = {}


_compilers = _Compilers()


def typeset(template: str, values: Mapping[str, Any], *, epoch: int) -> bytes:
    """The PDF (PDF/A-3a and PDF/UA-1) that `template` makes of `values`.

    `template` names a file of this room, `values` is what JSON can hold (each text already `printable`), and
    `epoch` (seconds since 1970, UTC) dates the document: the same arguments give the same bytes.
    Raises `DocumentError` ``composition_impossible`` where typst refuses.
    """
    return _compile(template, values, pdf_standards=["a-3a", "ua-1"], timestamp=epoch)


def typeset_part(template: str, values: Mapping[str, Any]) -> bytes:
    """A page meant to be drawn inside other PDFs: as `typeset`, but without tags, date or standard."""
    return _compile(template, values, pdf_tags=False, timestamp=0)


def _compile(template: str, values: Mapping[str, Any], **options: Any) -> bytes:
    inputs = {"values": json.dumps(values, ensure_ascii=False)}
    try:
        pdf: bytes = _compiler(template).compile(format="pdf", sys_inputs=inputs, **options)
    except typst.TypstError as error:
        raise DocumentError("composition_impossible") from error
    return pdf


def printable(text: str) -> str:
    """`text` in characters that our face holds.

    Composed (NFC); blanks and line ends become a space, control characters vanish, and a character that the
    face lacks is written out as ``[U+6C49]``: PDF/A refuses text without a glyph (ISO 19005-3, 6.2.11).
    """
    composed = unicodedata.normalize("NFC", text)
    if composed.isascii() and composed.isprintable():
        return composed
    return "".join(_shown(character) for character in composed)


def flowing(text: str) -> str:
    """`text`, `printable`, that may break in a long run, which would leave the page otherwise: behind its
    separators, and anywhere only where it has none."""
    return _UNBROKEN.sub(lambda run: _BREAK.join(_pieces(run[0])), printable(text))


def _pieces(run: str) -> list[str]:
    parts = _SEPARATED.findall(run)
    return [piece for part in parts for piece in (part if len(part) >= _LONG else [part])]


def _shown(character: str) -> str:
    if ord(character) in _coverage():
        return character
    if character.isspace():
        return " "
    if unicodedata.category(character) in ("Cc", "Cf"):
        return ""
    return f"[U+{ord(character):04X}]"


@cache
def _coverage() -> frozenset[int]:
    ranges = (_FONTS / "coverage.txt").read_text(encoding="ascii").split()
    points: set[int] = set()
    for line in ranges:
        first, _, last = line.partition("-")
        points.update(range(int(first, 16), int(last or first, 16) + 1))
    return frozenset(points)


def _compiler(template: str) -> Any:
    known = _compilers.by_template
    if template not in known:
        known[template] = typst.Compiler(
            input=str(_ROOM / template),
            root=str(_ROOM),
            font_paths=[str(_FONTS)],
            ignore_system_fonts=True,
        )
    return known[template]
