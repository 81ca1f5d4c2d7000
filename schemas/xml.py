"""The one parser for XML from outside: no DTD, no entity, no network; bounded before and while parsing.

Refused here: `xml_trop_gros`, `xml_encodage`, `xml_doctype`, `xml_trop_profond`, `xml_trop_de_noeuds`,
`xml_mal_forme`.
"""

from __future__ import annotations

import io
import re
from typing import BinaryIO

from lxml import etree

from schemas.findings import Finding, Refused

MAX_BYTES = 16 * 2**20
MAX_DEPTH = 100
MAX_NODES = 500_000
_CHUNK = 64 * 1024
_PROLOG = 64 * 1024

_BOM = b"\xef\xbb\xbf"
_ENCODINGS = frozenset({"utf-8", "us-ascii", "ascii", "iso-8859-1", "iso-8859-15", "windows-1252"})
"""ASCII in their lower half, so that a DOCTYPE can be seen in the bytes before any parser reads them."""
_DECLARATION = re.compile(rb"<\?xml\s[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"'][^>]*\?>")


class _Gate:
    """A SAX target that builds nothing: it counts, and stops the parser at the first excess."""

    def __init__(self, place: str, max_depth: int, max_nodes: int) -> None:
        self._place = place
        self._max_depth = max_depth
        self._max_nodes = max_nodes
        self._depth = 0
        self._nodes = 0

    def start(self, _tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._nodes += 1 + len(attributes)
        if self._depth > self._max_depth:
            raise _refused("xml_trop_profond", self._place, limite=str(self._max_depth))
        if self._nodes > self._max_nodes:
            raise _refused("xml_trop_de_noeuds", self._place, limite=str(self._max_nodes))

    def doctype(self, _name: str, _public: str | None, _system: str | None) -> None:
        # The prolog was looked at before; this one is for a parser that reads it otherwise than we do.
        raise _refused("xml_doctype", self._place)

    def end(self, _tag: str) -> None:
        self._depth -= 1

    def close(self) -> None:
        return None


def parse(
    data: bytes,
    *,
    place: str,
    max_bytes: int = MAX_BYTES,
    max_depth: int = MAX_DEPTH,
    max_nodes: int = MAX_NODES,
) -> etree._Element:
    """The root element of the document `data`.

    `place` names the document in findings; the bounds count bytes, nested elements, and elements with
    attributes together. Raises `Refused` (codes at the head of this module) and nothing else.
    """
    check(io.BytesIO(data), place=place, max_bytes=max_bytes, max_depth=max_depth, max_nodes=max_nodes)
    try:
        return etree.fromstring(data, _parser(None))
    except etree.XMLSyntaxError as error:
        raise _malformed(error, place) from None


def check(
    source: BinaryIO,
    *,
    place: str,
    max_bytes: int = MAX_BYTES,
    max_depth: int = MAX_DEPTH,
    max_nodes: int = MAX_NODES,
) -> None:
    """Read `source` to its end as `parse` would, keeping nothing: for documents too large for memory.

    Raises `Refused` as soon as a bound is passed, without reading further.
    """
    chunk = source.read(max(_PROLOG, _CHUNK))
    _check_prolog(chunk, place)
    parser = _parser(_Gate(place, max_depth, max_nodes))
    read = 0
    try:
        while chunk:
            read += len(chunk)
            if read > max_bytes:
                raise _refused("xml_trop_gros", place, limite=str(max_bytes))
            parser.feed(chunk)
            chunk = source.read(_CHUNK)
        parser.close()
    except etree.XMLSyntaxError as error:
        raise _malformed(error, place) from None


def declared_encoding(data: bytes) -> str | None:
    """The encoding that the XML declaration names, in lower case; None where it names none."""
    found = _DECLARATION.match(data.removeprefix(_BOM)[:_CHUNK])
    return found[1].decode("ascii").lower() if found else None


def _parser(target: object) -> etree.XMLParser:
    return etree.XMLParser(
        target=target,  # type: ignore[arg-type]  # the stubs want all of a target's methods
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        no_network=True,
        # Its own limits would refuse a signed PDF of 10 MB in a budget; ours hold before it sees a byte.
        huge_tree=True,
    )


def _check_prolog(head: bytes, place: str) -> None:
    """Refuse what hides its bytes from us (encoding) and every DOCTYPE, before the parser sees a byte."""
    encoding = declared_encoding(head)
    if b"\0" in head[:4] or (encoding is not None and encoding not in _ENCODINGS):
        raise _refused("xml_encodage", place, encodage=encoding or "UTF-16/UTF-32")
    head = head.removeprefix(_BOM)
    at = 0
    while True:
        at += len(head[at:]) - len(head[at:].lstrip(b" \t\r\n"))
        for opening, closing in ((b"<?", b"?>"), (b"<!--", b"-->")):
            if head.startswith(opening, at):
                end = head.find(closing, at + len(opening))
                if end < 0:
                    raise _refused("xml_mal_forme", place, ligne="1")
                at = end + len(closing)
                break
        else:
            break
    if head.startswith(b"<!", at):
        raise _refused("xml_doctype", place)
    if not head.startswith(b"<", at):
        raise _refused("xml_mal_forme", place, ligne=str(head.count(b"\n", 0, at) + 1))


def _malformed(error: etree.XMLSyntaxError, place: str) -> Refused:
    return _refused("xml_mal_forme", place, ligne=str(error.lineno or 1))


def _refused(code: str, place: str, **params: str) -> Refused:
    return Refused([Finding(code, place, params)])
