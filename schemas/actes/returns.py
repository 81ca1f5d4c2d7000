"""Returns of the ministry: one mail, its return envelope and its message, read with tolerance.

What the norm promises and what arrives differ (fact sheet §2.1, §6.3, §10.4): bytes in UTF-8 under a Latin-1
label, parts nested and in any order, codes that the schema lacks, names that say nothing. So the root element
and the identifiers inside decide; the schema has no say here. What cannot be recognised is `Refused`, for
the quarantine.

Refused here: `courriel_illisible`, `retour_sans_xml`, `retour_multicanal`, `retour_inconnu`,
`retour_multiple`, `retour_non_traite`, `retour_incomplet`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from email.message import Message
from email.parser import BytesParser

from lxml import etree

from schemas import xml
from schemas.actes.model import ACTES, SIREN, a
from schemas.actes.naming import parse_envelope_name, parse_file_name, parse_id_acte
from schemas.actes.text import transliterate
from schemas.findings import Finding, Refused
from schemas.tar import flat_name

MAX_MAIL = 256 * 2**20
_MAX_PARTS = 200

LETTERS = {
    "CourrierSimple": "2-1",
    "DemandePieceComplementaire": "3-1",
    "ARPieceComplementaire": "3-5",
    "LettreObservations": "4-1",
    "ARReponseRejetLettreObservations": "4-5",
    "DefereTA": "5-1",
}
"""Returns that are recognised and kept; their flows come with a later issue."""


@dataclass(frozen=True, slots=True)
class ReturnMessage:
    """A return, as far as it could be read; what is missing in it is None."""

    transaction: str
    """`1-2`, `1-3`, `6-2`, `7-2`, `7-3`, or `ANO` for a refused envelope."""
    siren: str | None
    """The collectivité that it is for."""
    id_acte: str | None
    numero: str | None
    date_reception: date | None
    """DateReception of 1-2 and 6-2."""
    anomalie_nature: str | None
    anomalie_detail: str | None
    faulty_envelope: str | None
    """Name of the refused envelope's XML, where the mail told it (``ANO_…``)."""
    date_classification: date | None
    """The classification in force: of 7-2 and 7-3 themselves, beside 1-2 and 1-3."""
    xml_name: str
    xml: bytes
    """The message: as received, or transcoded to ISO-8859-1 where its label lied (see `notes`)."""
    envelope_name: str | None
    envelope_xml: bytes | None
    notes: tuple[str, ...] = ()
    """Codes of what had to be tolerated: `encodage_corrige`, `enveloppe_absente`, `document_illisible`."""
    destinataire: str | None = None
    """SIREN that the return envelope names, where there is one: it may contradict `siren`."""
    faulty_message: str | None = None
    """Name of the message inside the refused envelope: tells which one it was when the mail does not."""


@dataclass(frozen=True, slots=True)
class _Document:
    name: str | None
    data: bytes
    root: etree._Element
    corrected: bool

    @property
    def kind(self) -> str:
        return str(etree.QName(self.root).localname)


def parse_return(raw_mail: bytes) -> ReturnMessage:
    """The return in the mail `raw_mail`.

    Raises `Refused` (codes at the head of this module) where nothing can be recognised, and nothing else.
    """
    documents, unreadable, texts = _parts(raw_mail)
    actes = [d for d in documents if etree.QName(d.root).namespace == ACTES]
    envelopes = [d for d in actes if d.kind == "EnveloppeMISILLCL"]
    messages = _distinct([d for d in actes if d.kind != "EnveloppeMISILLCL"])
    known = [d for d in messages if d.kind in _READERS or d.kind in LETTERS]
    if not known:
        raise _unrecognised(messages or documents, unreadable, texts)
    if len(known) > 1:
        raise _refused("retour_multiple", nombre=str(len(known)))
    (document,) = known
    if document.kind in LETTERS:
        raise _refused("retour_non_traite", racine=document.kind, transaction=LETTERS[document.kind])
    message = _READERS[document.kind](document)
    if unreadable:
        message = replace(message, notes=(*message.notes, "document_illisible"))
    return _with_envelope(message, envelopes)


def _with_envelope(message: ReturnMessage, envelopes: list[_Document]) -> ReturnMessage:
    if not envelopes:
        if message.transaction == "ANO":
            return message
        return replace(message, notes=(*message.notes, "enveloppe_absente"))
    envelope = envelopes[0]
    destinataire = envelope.root.find(a("Destinataire"))
    siren = destinataire.get(SIREN) if destinataire is not None else None
    notes = message.notes
    if envelope.corrected and "encodage_corrige" not in notes:
        notes = (*notes, "encodage_corrige")
    return replace(
        message,
        siren=message.siren or _stripped(siren),
        destinataire=_stripped(siren),
        envelope_name=envelope.name,
        envelope_xml=envelope.data,
        notes=notes,
    )


def _ar_acte(document: _Document) -> ReturnMessage:
    recu = document.root.find(a("ActeRecu"))
    base = _identified(document)
    return replace(
        base,
        transaction="1-2",
        numero=_number(recu) or base.numero,
        date_classification=_day(document.root.findtext(a("ClassificationDateVersionEnCours"))),
    )


def _anomalie_acte(document: _Document) -> ReturnMessage:
    recu = document.root.find(a("ActeRecu"))
    numero = _number(recu)
    if numero is None:
        raise _refused("retour_incomplet", racine=document.kind, manque="NumeroInterne")
    return replace(
        _anomalie(document),
        transaction="1-3",
        numero=numero,
        date_classification=_day(document.root.findtext(a("ClassificationDateVersionEnCours"))),
    )


def _anomalie_enveloppe(document: _Document) -> ReturnMessage:
    recue = document.root.find(a("EnveloppeRecue"))
    idcl = recue.find(f"{a('Emetteur')}/{a('IDCL')}") if recue is not None else None
    name = recue.findtext(f".//{a('Formulaire')}/{a('NomFichier')}") if recue is not None else None
    faulty = (document.name or "").removeprefix("ANO_")
    known = parse_envelope_name(faulty) if faulty != document.name else None
    about = parse_file_name(name.strip()) if name else None
    siren = _stripped(idcl.get(SIREN)) if idcl is not None else None
    return replace(
        _anomalie(document),
        transaction="ANO",
        siren=siren or (known.siren if known else None) or (about.siren if about else None),
        numero=(about.numero or None) if about else None,
        faulty_envelope=faulty if known else None,
        faulty_message=name.strip() if name else None,
    )


def _ar_annulation(document: _Document) -> ReturnMessage:
    return replace(_identified(document), transaction="6-2")


def _retour_classification(document: _Document) -> ReturnMessage:
    return _dated(document, "7-2")


def _sans_changement(document: _Document) -> ReturnMessage:
    return _dated(document, "7-3")


_READERS = {
    "ARActe": _ar_acte,
    "AnomalieActe": _anomalie_acte,
    "AnomalieEnveloppe": _anomalie_enveloppe,
    "ARAnnulation": _ar_annulation,
    "RetourClassification": _retour_classification,
    "ReponseClassificationSansChangement": _sans_changement,
}


def _blank(document: _Document) -> ReturnMessage:
    return ReturnMessage(
        transaction="",
        siren=None,
        id_acte=None,
        numero=None,
        date_reception=None,
        anomalie_nature=None,
        anomalie_detail=None,
        faulty_envelope=None,
        date_classification=None,
        xml_name=document.name or f"{document.kind}.xml",
        xml=document.data,
        envelope_name=None,
        envelope_xml=None,
        notes=("encodage_corrige",) if document.corrected else (),
    )


def _identified(document: _Document) -> ReturnMessage:
    """What IDActe and DateReception tell; without both a return proves nothing."""
    id_acte = _stripped(document.root.get(a("IDActe")))
    received = _day(document.root.get(a("DateReception")))
    if id_acte is None or received is None:
        missing = "IDActe" if id_acte is None else "DateReception"
        raise _refused("retour_incomplet", racine=document.kind, manque=missing)
    parts = parse_id_acte(id_acte)
    return replace(
        _blank(document),
        id_acte=id_acte,
        siren=parts.siren if parts else None,
        numero=parts.numero if parts else None,
        date_reception=received,
    )


def _anomalie(document: _Document) -> ReturnMessage:
    return replace(
        _blank(document),
        anomalie_nature=_stripped(document.root.findtext(a("Nature"))),
        anomalie_detail=_stripped(document.root.findtext(a("Detail"))),
    )


def _dated(document: _Document, transaction: str) -> ReturnMessage:
    current = _day(document.root.findtext(a("DateClassification")))
    if current is None:
        raise _refused("retour_incomplet", racine=document.kind, manque="DateClassification")
    return replace(_blank(document), transaction=transaction, date_classification=current)


def _number(acte: etree._Element | None) -> str | None:
    return _stripped(acte.get(a("NumeroInterne"))) if acte is not None else None


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat((text or "").strip()[:10])
    except ValueError:
        return None


def _stripped(text: str | None) -> str | None:
    return (text or "").strip() or None


def _distinct(documents: list[_Document]) -> list[_Document]:
    """The same document attached twice (multipart/alternative) is one."""
    return list({document.data: document for document in reversed(documents)}.values())[::-1]


def _parts(raw: bytes) -> tuple[list[_Document], list[Finding], list[str]]:
    """XML documents of the mail, findings about the unreadable ones, and its texts."""
    documents: list[_Document] = []
    unreadable: list[Finding] = []
    texts: list[str] = []
    for part in _leaves(raw):
        data = part.get_payload(decode=True)
        if not isinstance(data, bytes) or not data.strip():
            continue
        name = _file_name(part)
        if part.get_content_maintype() == "text":
            texts.append(data[: 2**20].decode("utf-8", "replace"))
        if _looks_like_xml(data, name):
            try:
                documents.append(_document(name, data))
            except Refused as refused:
                unreadable.extend(refused.findings)
    return documents, unreadable, texts


def _leaves(raw: bytes) -> Iterator[Message]:
    # The parser of the standard library recurses into parts; their number is bounded before it may.
    lowered = raw.lower() if len(raw) <= MAX_MAIL else b""
    nested = lowered.count(b"multipart/") + lowered.count(b"message/")
    if not lowered or nested > _MAX_PARTS:
        raise _refused("courriel_illisible")
    try:
        mail = BytesParser().parsebytes(raw)
        leaves = [part for part in mail.walk() if not part.is_multipart()]
    except (ValueError, LookupError, TypeError, AttributeError, IndexError, RecursionError):
        raise _refused("courriel_illisible") from None
    yield from leaves


def _file_name(part: Message) -> str | None:
    """The attachment's name where it is a plain one; it is shown and kept, never relied on."""
    try:
        name = part.get_filename()
    except (ValueError, LookupError, TypeError, AttributeError, IndexError):
        return None
    return name if isinstance(name, str) and flat_name(name, 120) else None


def _looks_like_xml(data: bytes, name: str | None) -> bool:
    head = data[:512].removeprefix(b"\xef\xbb\xbf").lstrip()
    if name is not None and name.lower().endswith(".xml"):
        return True
    return (
        head.startswith(b"<")
        and re.match(rb"<!doctype\s+html|<html|<head|<body", head, re.IGNORECASE) is None
    )


def _document(name: str | None, data: bytes) -> _Document:
    place = name or "courriel"
    data = data.strip()
    fixed = _relabelled(data)
    if fixed is not None:
        return _Document(name, fixed, xml.parse(fixed, place=place), corrected=True)
    return _Document(name, data, xml.parse(data, place=place), corrected=False)


def _relabelled(data: bytes) -> bytes | None:
    """`data` in true ISO-8859-1 where its label and its bytes disagree; None where they agree."""
    if data.isascii():
        return None
    declared = xml.declared_encoding(data) or "utf-8"
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Bytes that are not UTF-8 though labelled so: every byte is something in Windows' Latin-1.
        return _as_latin1(data.decode("cp1252", "replace")) if declared in {"utf-8", "us-ascii"} else None
    return None if declared == "utf-8" else _as_latin1(text)


def _as_latin1(text: str) -> bytes:
    body = re.sub(r"\A\s*<\?xml[^>]*\?>", "", text)
    return b'<?xml version="1.0" encoding="ISO-8859-1"?>' + transliterate(body).encode("iso-8859-1")


def _unrecognised(documents: list[_Document], unreadable: list[Finding], texts: list[str]) -> Refused:
    if any(_speaks_of_several_channels(text) for text in texts):
        return _refused("retour_multicanal")
    if documents:
        return _refused("retour_inconnu", racine=documents[0].kind[:60])
    return Refused(unreadable) if unreadable else _refused("retour_sans_xml")


def _speaks_of_several_channels(text: str) -> bool:
    """Whether an HTML mail says that the act was identified as sent by several channels (fact sheet §6.3)."""
    return re.search(r"multi-?\s?cana(l|ux)|plusieurs\s+(canaux|voies)", text, re.IGNORECASE) is not None


def _refused(code: str, **params: str) -> Refused:
    return Refused([Finding(code, "courriel", params)])
