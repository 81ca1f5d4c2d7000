"""The classification of a préfecture: natures, piece types by nature, and matières (message 7-2).

It is data with a date. Each authority uses the one that its préfecture sent it; until then `national()`,
read from `data/classification_nationale.xml` and read again as soon as that file changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

from lxml import etree

from schemas import xml
from schemas.actes.model import ACTES, a
from schemas.findings import Finding, Refused

_NATIONAL = Path(__file__).with_name("data") / "classification_nationale.xml"
_LEVELS = 5


@dataclass(frozen=True, slots=True)
class TypePj:
    """A type that a piece may have."""

    code: str
    libelle: str


@dataclass(frozen=True, slots=True)
class Nature:
    """A nature of acts, with the piece types allowed for it."""

    code: int
    abrege: str
    """Two letters, part of names and of the IDActe."""
    libelle: str
    types_pj: tuple[TypePj, ...] = ()


@dataclass(frozen=True)
class Classification:
    """A dated classification."""

    date_version: date
    natures: tuple[Nature, ...]
    matieres: Mapping[tuple[int, ...], str]
    """Label of each matière by its path, ``(7, 10)``, in the order of the file."""

    def nature(self, code: int) -> Nature:
        """The nature `code`; raises KeyError where there is none."""
        for nature in self.natures:
            if nature.code == code:
                return nature
        raise KeyError(code)

    def allowed_types(self, nature: int) -> tuple[TypePj, ...]:
        """Piece types for `nature`: generic ones first, then by label (notice Actes 2.2, fact sheet §3.4)."""
        known = next((n.types_pj for n in self.natures if n.code == nature), ())
        return tuple(sorted(known, key=lambda t: (not t.code.startswith("99_"), t.libelle)))

    def default_type(self, nature: int) -> str | None:
        """The generic type of `nature`, its first ``99_`` in the file; None where it has none."""
        known = next((n.types_pj for n in self.natures if n.code == nature), ())
        return next((t.code for t in known if t.code.startswith("99_")), None)

    def label(self, matiere: tuple[int, ...]) -> str | None:
        """Label of `matiere`; None where the classification lacks it."""
        return self.matieres.get(matiere)

    def children(self, matiere: tuple[int, ...] = ()) -> dict[tuple[int, ...], str]:
        """Labels of the matières one level below `matiere` (or of level 1), by their paths."""
        depth = len(matiere) + 1
        return {
            path: label
            for path, label in self.matieres.items()
            if len(path) == depth and path[:-1] == matiere
        }


def national() -> Classification:
    """The national part: natures, piece types and matières of levels 1 and 2."""
    return _read(_NATIONAL, _NATIONAL.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def parse_classification(data: bytes) -> Classification:
    """The classification in a RetourClassification (7-2).

    Piece types may be missing (files from before 2018). Raises `Refused` with `classification_illisible`
    where natures, matières or the date cannot be read, or with a code of `schemas.xml`.
    """
    root = xml.parse(data, place="RetourClassification")
    if root.tag != a("RetourClassification"):
        raise _unreadable()
    try:
        found = Classification(
            date_version=date.fromisoformat((root.findtext(a("DateClassification")) or "").strip()),
            natures=tuple(_nature(node) for node in root.iterfind(f"{a('NaturesActes')}/{a('NatureActe')}")),
            matieres=_matieres(root),
        )
    except (KeyError, ValueError):
        raise _unreadable() from None
    if not found.natures or not found.matieres:
        raise _unreadable()
    return found


@lru_cache(maxsize=4)
def _read(path: Path, _mtime_ns: int) -> Classification:
    return parse_classification(path.read_bytes())


def _nature(node: etree._Element) -> Nature:
    types = tuple(
        TypePj(_attribute(t, "CodeTypePJ"), _attribute(t, "Libelle"))
        for t in node.iterfind(a("TypePJNatureActe"))
    )
    code = int(_attribute(node, "CodeNatureActe"))
    return Nature(code, _attribute(node, "TypeAbrege"), _attribute(node, "Libelle"), types)


def _matieres(root: etree._Element) -> dict[tuple[int, ...], str]:
    found: dict[tuple[int, ...], str] = {}

    def visit(parent: etree._Element, path: tuple[int, ...]) -> None:
        for node in parent.iterfind(a(f"Matiere{len(path) + 1}")):
            below = (*path, int(_attribute(node, "CodeMatiere")))
            found[below] = _attribute(node, "Libelle")
            if len(below) < _LEVELS:
                visit(node, below)

    for matieres in root.iterfind(a("Matieres")):
        visit(matieres, ())
    return found


def _attribute(node: etree._Element, name: str) -> str:
    value = node.get(f"{{{ACTES}}}{name}")
    if value is None:
        raise KeyError(name)
    return str(value)


def _unreadable() -> Refused:
    return Refused([Finding("classification_illisible", "RetourClassification")])
