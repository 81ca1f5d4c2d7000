"""Opening an archive that somebody else packed: business software's, or what the stand-in receives."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import BinaryIO

from lxml import etree

from schemas import content, xml
from schemas.actes import naming, references, schema
from schemas.actes.model import SIREN, Acte, Emetteur, Piece, a
from schemas.findings import Finding, Refused
from schemas.tar import Member, read_archive

_MAX_MESSAGE = 4 * 2**20
_MAX_XML_KEPT = 8
"""Documents that may be envelope or message; more than an envelope and its message is wrong already."""

TRANSACTIONS = {"Acte": "1-1", "Annulation": "6-1", "DemandeClassification": "7-1"}
"""Messages of a collectivité that are opened; answers to letters (2-2, 3-3, 3-4, 4-3, 4-4) come later."""


Keep = Callable[[Member, BinaryIO], None]


@dataclass(frozen=True, slots=True)
class OpenedPackage:
    """What a ready-made archive holds, checked; the pieces' bytes went to `keep`."""

    envelope_name: str
    envelope_xml: bytes
    message_name: str
    message_xml: bytes
    emetteur: Emetteur
    adresses_retour: tuple[str, ...]
    transaction: str
    """`1-1`, `6-1` or `7-1`."""
    acte: Acte | None
    """The act of a 1-1; its pieces carry the names of the archive."""
    id_acte: str | None
    """The act cancelled by a 6-1, or the identifier that a 1-1 will get."""
    date_classification: date | None
    """What a 7-1 says it has."""
    pieces: tuple[Member, ...]
    """Main document, then annexes, in the order of the message."""


@dataclass(frozen=True, slots=True)
class _Seen:
    member: Member
    head: bytes
    tail: bytes
    kept: bytes | None
    """The whole, where it may be the envelope or the message."""


def open_package(
    source: BinaryIO,
    *,
    archive_name: str = "",
    keep: Keep | None = None,
) -> OpenedPackage:
    """Read the tar.gz `source` once, and check it as the ministry would.

    `archive_name`, where it is known, has to name the envelope inside (fact sheet §1.2).
    Hardened reading (`schemas.tar`), both documents against the XSD, names, references both ways,
    `Annexes/@Nombre`, one message. `keep` gets each member that can only be a piece, as a stream that it
    must read before it returns. Raises `Refused` with all findings of the first step that has any.
    """
    place = archive_name or "archive.tar.gz"
    seen = {s.member.name: s for s in _read(source, place, keep)}
    envelope_name, envelope_xml, envelope = _envelope(seen, place)
    if archive_name and naming.envelope_of_archive(archive_name) != envelope_name:
        raise _refused("nom_invalide", archive_name, nom=archive_name)
    _stop_at(schema.validate(envelope, place=envelope_name))
    named = references.formulaires(envelope)
    if len(named) != 1:
        raise _refused("formulaire_unique", envelope_name, nombre=str(len(named)))
    kept = seen[named[0]].kept if named[0] in seen else None
    if kept is None:
        raise _refused("formulaire_absent", envelope_name, nom=named[0])
    message = xml.parse(kept, place=named[0])
    _stop_at(schema.validate(message, place=named[0]))
    present = [name for name in seen if name not in {envelope_name, named[0]}]
    _stop_at(
        _check_envelope_name(envelope_name, envelope)
        + references.check_references(references.pieces(message), present, named[0], "piece_absente")
        + references.check_nombre(message, named[0])
        + _check_file_names([named[0], *present], envelope)
    )
    emetteur = _emetteur(envelope)
    acte = _acte(message, seen) if message.tag == a("Acte") else None
    return OpenedPackage(
        envelope_name=envelope_name,
        envelope_xml=envelope_xml,
        message_name=named[0],
        message_xml=kept,
        emetteur=emetteur,
        adresses_retour=tuple(e.text or "" for e in envelope.iterfind(f"{a('AdressesRetour')}/{a('Email')}")),
        transaction=_transaction(message, named[0]),
        acte=acte,
        id_acte=_identifier(acte, emetteur) if acte else message.get(a("IDActe")),
        date_classification=_day(message.findtext(a("DateClassification"))),
        pieces=tuple(seen[name].member for name in references.pieces(message)),
    )


def _read(source: BinaryIO, place: str, keep: Keep | None) -> list[_Seen]:
    seen: list[_Seen] = []
    documents = 0
    for member, data in read_archive(source, place=place):
        if _may_be_message(member):
            documents += 1
            if documents > _MAX_XML_KEPT:
                raise _refused("formulaire_unique", place, nombre=str(documents))
            whole = data.read()
            seen.append(_Seen(member, whole[: content.EDGE], whole[-content.EDGE :], whole))
        else:
            window = _Window(data)
            stream = io.BufferedReader(window, 64 * 1024)
            if keep is not None:
                keep(member, stream)
            while stream.read(64 * 1024):
                pass
            seen.append(_Seen(member, window.head, window.tail, None))
    return seen


def _may_be_message(member: Member) -> bool:
    """Envelopes have a name of their own, messages a rank of 0 or none and no piece type; both are small."""
    parsed = naming.parse_file_name(member.name)
    a_piece = parsed is not None and (parsed.code_pj != "" or bool(parsed.rang))
    return member.name.endswith(".xml") and not a_piece and member.size <= _MAX_MESSAGE


class _Window(io.RawIOBase):
    """A member's bytes for the caller, its two ends kept in passing."""

    def __init__(self, data: BinaryIO) -> None:
        self._data = data
        self.head = b""
        self.tail = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        chunk = self._data.read(len(buffer))
        if len(self.head) < content.EDGE:
            self.head = (self.head + chunk)[: content.EDGE]
        self.tail = (self.tail + chunk[-content.EDGE :])[-content.EDGE :]
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _envelope(seen: dict[str, _Seen], place: str) -> tuple[str, bytes, etree._Element]:
    found = []
    for name, one in seen.items():
        if one.kept is not None:
            root = xml.parse(one.kept, place=name)
            if root.tag == a("EnveloppeCLMISILL"):
                found.append((name, one.kept, root))
    if len(found) != 1:
        raise _refused("enveloppe_unique", place, nombre=str(len(found)))
    return found[0]


def _check_envelope_name(name: str, envelope: etree._Element) -> list[Finding]:
    parsed = naming.parse_envelope_name(name)
    if parsed is None or parsed.siren != _emetteur(envelope).siren:
        return [Finding("nom_invalide", name, {"nom": name})]
    return []


def _check_file_names(names: list[str], envelope: etree._Element) -> list[Finding]:
    siren = _emetteur(envelope).siren
    parsed = {name: naming.parse_file_name(name) for name in names}
    return [
        Finding("nom_invalide", name, {"nom": name})
        for name, file in parsed.items()
        if file is None or file.siren != siren
    ]


def _emetteur(envelope: etree._Element) -> Emetteur:
    idcl = envelope.find(f"{a('Emetteur')}/{a('IDCL')}")
    assert idcl is not None, "the schema wants one"
    return Emetteur(
        siren=str(idcl.get(SIREN)),
        departement=str(idcl.get(a("Departement"))),
        arrondissement=str(idcl.get(a("Arrondissement"))).strip(),
        nature=str(idcl.get(a("Nature"))).strip(),
    )


def _acte(message: etree._Element, seen: dict[str, _Seen]) -> Acte:
    matiere = [message.find(a(f"CodeMatiere{level}")) for level in range(1, 6)]
    document, *annexes = [_piece(seen[name]) for name in references.pieces(message)]
    date_decision = _day(message.get(a("Date")))
    classification_date = _day(message.findtext(a("ClassificationDateVersion")))
    if date_decision is None or classification_date is None:
        raise _refused("date_illisible", "/date_decision")
    return Acte(
        numero=str(message.get(a("NumeroInterne"))),
        date_decision=date_decision,
        nature=_integer(message.get(a("CodeNatureActe")), "nature_inconnue", "/nature", "nature"),
        matiere=tuple(
            _integer(level.get(a("CodeMatiere")), "matiere_inconnue", "/matiere", "matiere")
            for level in matiere
            if level is not None
        ),
        objet=message.findtext(a("Objet")) or "",
        classification_date=classification_date,
        document=document,
        annexes=tuple(annexes),
        document_papier=(message.findtext(a("DocumentPapier")) or "").strip() == "O",
    )


def _piece(seen: _Seen) -> Piece:
    name = seen.member.name
    parsed = naming.parse_file_name(name)
    media_type = content.identify(seen.head, seen.tail, place=name)
    return Piece(name, media_type, seen.member.size, parsed.code_pj if parsed else "")


def _identifier(acte: Acte, emetteur: Emetteur) -> str:
    try:
        return naming.id_acte(acte, emetteur)
    except KeyError:
        raise _refused("nature_inconnue", "/nature", nature=str(acte.nature)) from None


def _transaction(message: etree._Element, name: str) -> str:
    root = etree.QName(message).localname
    try:
        return TRANSACTIONS[root]
    except KeyError:
        raise _refused("message_non_traite", name, racine=root) from None


def _integer(text: str | None, code: str, place: str, name: str) -> int:
    """The schema bounds no integer; Python bounds the digits that it reads."""
    if not re.fullmatch(r"\s*[+-]?[0-9]{1,6}\s*", text or ""):
        raise _refused(code, place, **{name: (text or "")[:40]})
    return int(text or "")


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat((text or "").strip()[:10])
    except ValueError:
        return None


def _stop_at(findings: list[Finding]) -> None:
    if findings:
        raise Refused(findings)


def _refused(code: str, place: str, **params: str) -> Refused:
    return Refused([Finding(code, place, params)])
