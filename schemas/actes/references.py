"""What an envelope and a message say of each other and of their files (fact sheet §10.2)."""

from __future__ import annotations

from collections.abc import Sequence

from lxml import etree

from schemas.actes.model import a
from schemas.findings import Finding


def check_references(named: Sequence[str], present: Sequence[str], place: str, code: str) -> list[Finding]:
    """Files that `place` names but that are not present, and the other way round, each once."""
    missing = [Finding(code, place, {"nom": name}) for name in named if name not in present]
    unnamed = [Finding("fichier_non_reference", name, {"nom": name}) for name in present if name not in named]
    twice = sorted({name for name in named if named.count(name) > 1})
    return missing + unnamed + [Finding("reference_double", place, {"nom": name}) for name in twice]


def check_nombre(message: etree._Element, place: str) -> list[Finding]:
    """`Annexes/@Nombre` equals the number of Annexe, which a schema cannot say (fact sheet §2.3)."""
    annexes = message.find(a("Annexes"))
    if annexes is None:
        return []
    announced, found = (annexes.get(a("Nombre")) or "").strip(), len(annexes.findall(a("Annexe")))
    if announced.isdecimal() and int(announced) == found:
        return []
    return [count_differs(place, announced, found)]


def formulaires(envelope: etree._Element) -> list[str]:
    """Names of the messages that an envelope carries."""
    return _names(envelope, f"{a('FormulairesEnvoyes')}/{a('Formulaire')}")


def pieces(message: etree._Element) -> list[str]:
    """Names of the pieces that a message refers to, main document first."""
    return _names(message, a("Document")) + _names(message, f"{a('Annexes')}/{a('Annexe')}")


def count_differs(place: str, announced: object, found: object) -> Finding:
    """The number of pieces is not the one announced."""
    return Finding("annexes_nombre", place, {"annonce": str(announced), "trouve": str(found)})


def _names(node: etree._Element, path: str) -> list[str]:
    return [(f.findtext(a("NomFichier")) or "").strip() for f in node.iterfind(path)]
