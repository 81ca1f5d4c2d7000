"""What the ministry answers to an archive, and the mails that carry it (fact sheet §1.4, §5.5, §6.3)."""

from __future__ import annotations

import re
from base64 import encodebytes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from secrets import token_hex
from typing import BinaryIO

from lxml import etree

from sandbox.rules import Comportement
from schemas import xml
from schemas.actes import answers as build
from schemas.actes.classification import national
from schemas.actes.model import ACTES, SIREN, a
from schemas.actes.opening import OpenedPackage, open_package
from schemas.findings import Refused
from schemas.tar import read_archive

SENDER = "ne-pas-repondre@ministere.invalid"
_ENVELOPE_LIMIT = 1024 * 1024
_SIREN_IN_NAME = re.compile(r"^[^-]*-[^-]*--(\d{9})-")


@dataclass(frozen=True, slots=True)
class Attachment:
    """One file of a mail."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """One return: its transaction and its files, envelope first."""

    transaction: str
    recipients: tuple[str, ...]
    files: tuple[Attachment, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """What answers depend on beside the archive."""

    jour: date
    """Today at the ministry; for an act known already, the day it was first received."""
    rang: int
    quadrigramme: str
    classification: date
    """Version in force."""


def siren_of(archive_name: str) -> str | None:
    """The SIREN in the name of an archive."""
    found = _SIREN_IN_NAME.match(archive_name)
    return found[1] if found else None


def read(source: BinaryIO, archive_name: str) -> OpenedPackage | None:
    """The archive as the ministry reads it, or None where it breaks the norm."""
    try:
        opened = open_package(source)
    except Refused:
        return None
    return opened if opened.envelope_name == _envelope_name(archive_name) else None


def refuse_envelope(source: BinaryIO, archive_name: str, jour: date) -> Answer:
    """AnomalieEnveloppe, around as much of the envelope as can be read."""
    envelope_name = _envelope_name(archive_name)
    envelope = _envelope_in(source, envelope_name) or _bare_envelope(siren_of(archive_name) or "000000000")
    anomaly = build.build_anomalie_enveloppe(
        envelope, jour=jour, nature="100", detail="ODT-VERIF-17 : l'enveloppe n'est pas conforme à la norme"
    )
    return Answer("ANO", _recipients(envelope), (Attachment(f"ANO_{envelope_name}", anomaly),))


def answer(opened: OpenedPackage, moment: Moment, *, refuse: bool) -> Answer:
    """The ministry's answer to a sound archive; `refuse`: an anomaly of the act, whatever it says."""
    transaction, message = _message(opened, moment, refuse=refuse)
    return _answer(opened, moment, transaction, message)


def about_unknown_act(opened: OpenedPackage, moment: Moment) -> Answer:
    """An acknowledgement (1-2) of an act that nobody sent, to the same collectivité."""
    if opened.acte is None or opened.id_acte is None:
        message = build.build_ar_annulation(
            id_acte=f"{opened.emetteur.departement}-{opened.emetteur.siren}-20200101-INCONNU-DE",
            date_reception=moment.jour,
        )
        return _answer(opened, moment, "6-2", message)
    strange = f"X{moment.rang}_INCONNU"[-15:]
    acte = xml.parse(opened.message_xml, place="Acte")
    acte.set(a("NumeroInterne"), strange)
    message = build.build_ar_acte(
        _serialised(acte),
        id_acte=opened.id_acte.replace(f"-{opened.acte.numero}-", f"-{strange}-"),
        date_reception=moment.jour,
        classification=moment.classification,
    )
    return _answer(opened, moment, "1-2", message)


def mislabelled(given: Answer) -> Answer:
    """The same answer in UTF-8, still labelled ISO-8859-1."""
    files = (replace(file, content=file.content.decode("latin-1").encode()) for file in given.files)
    return replace(given, files=tuple(files))


def mail(given: Answer) -> bytes:
    """The mail that carries an answer: its files as separate attachments.

    Written by hand: names and addresses are plain ASCII by the norm, and `email` takes ten times as long.
    """
    boundary = f"=_{token_hex(12)}"
    head = (
        f"From: {SENDER}\n"
        f"To: {', '.join(given.recipients)}\n"
        f"Subject: [ACTES] {given.files[-1].name}\n"
        "MIME-Version: 1.0\n"
        f'Content-Type: multipart/mixed; boundary="{boundary}"\n\n'
        f"--{boundary}\n"
        'Content-Type: text/plain; charset="iso-8859-1"\n'
        "Content-Transfer-Encoding: 8bit\n\n"
        "Retour de la préfecture en pièces jointes.\n"
    )
    parts = [_part(boundary, file) for file in given.files]
    return b"".join([head.encode("latin-1", "replace"), *parts, f"--{boundary}--\n".encode()])


def _part(boundary: str, file: Attachment) -> bytes:
    head = (
        f"--{boundary}\n"
        f'Content-Type: application/xml; name="{file.name}"\n'
        f'Content-Disposition: attachment; filename="{file.name}"\n'
        "Content-Transfer-Encoding: base64\n\n"
    )
    return head.encode("ascii", "replace") + encodebytes(file.content)


def _message(opened: OpenedPackage, moment: Moment, *, refuse: bool) -> tuple[str, bytes]:
    if opened.transaction == "7-1":
        have = opened.date_classification
        if have is not None and have >= moment.classification:
            return "7-3", build.build_classification_sans_changement(moment.classification)
        return "7-2", _classification(moment.classification)
    if opened.acte is None:
        return "6-2", build.build_ar_annulation(id_acte=str(opened.id_acte), date_reception=moment.jour)
    refusal = _refusal(opened, moment, refuse=refuse)
    if refusal is not None:
        nature, detail = refusal
        return "1-3", build.build_anomalie_acte(
            opened.message_xml,
            jour=moment.jour,
            nature=nature,
            detail=detail,
            classification=moment.classification,
        )
    return "1-2", build.build_ar_acte(
        opened.message_xml,
        id_acte=str(opened.id_acte),
        date_reception=moment.jour,
        classification=moment.classification,
    )


def _refusal(opened: OpenedPackage, moment: Moment, *, refuse: bool) -> tuple[str, str] | None:
    """Nature and detail of an AnomalieActe, or None for an act that passes."""
    assert opened.acte is not None
    if refuse:
        return "999", "ODT-VERIF-99 : anomalie demandée par un réglage du bac à sable"
    if opened.acte.numero.endswith("_NACK"):
        return "999", "ODT-VERIF-99 : anomalie demandée par le numéro de l'acte (bac à sable)"
    if opened.acte.classification_date < moment.classification:
        return "002", "ODT-VERIF-01 : la classification utilisée n'est pas celle qui est en vigueur"
    return None


def _answer(opened: OpenedPackage, moment: Moment, transaction: str, message: bytes) -> Answer:
    message_name = build.message_return_name(opened.message_name, transaction, moment.rang)
    envelope = build.build_enveloppe_retour(
        siren=opened.emetteur.siren,
        departement=opened.emetteur.departement,
        arrondissement=opened.emetteur.arrondissement,
        formulaires=[message_name],
    )
    envelope_name = build.envelope_return_name(moment.quadrigramme, opened.emetteur, moment.jour, moment.rang)
    files = (Attachment(envelope_name, envelope), Attachment(message_name, message))
    return Answer(transaction, opened.adresses_retour, files)


@cache
def _classification(version: date) -> bytes:
    return build.build_retour_classification(replace(national(), date_version=version))


def _envelope_name(archive_name: str) -> str:
    """The envelope that an archive of this name holds (fact sheet §1.2)."""
    return archive_name.partition("-")[2].removesuffix(".tar.gz") + ".xml"


def _envelope_in(source: BinaryIO, envelope_name: str) -> bytes | None:
    """The envelope's XML, where the archive can be read that far and the document parses."""
    source.seek(0)
    try:
        for member, data in read_archive(source, place=envelope_name):
            if member.name == envelope_name and member.size <= _ENVELOPE_LIMIT:
                content = data.read()
                xml.parse(content, place=envelope_name)
                return content
    except Refused:
        return None
    return None


def _bare_envelope(siren: str) -> bytes:
    """An envelope of which nothing but the sender's SIREN is known."""
    root = etree.Element(f"{{{ACTES}}}EnveloppeCLMISILL", nsmap={"actes": ACTES})
    sender = etree.SubElement(etree.SubElement(root, a("Emetteur")), a("IDCL"))
    sender.set(SIREN, siren)
    return _serialised(root)


def _serialised(root: etree._Element) -> bytes:
    return bytes(etree.tostring(root, encoding="ISO-8859-1"))  # type: ignore[arg-type]


def _recipients(envelope: bytes) -> tuple[str, ...]:
    return tuple(email.text or "" for email in xml.parse(envelope, place="enveloppe").iter(a("Email")))


def compose(
    opened: OpenedPackage | None,
    source: BinaryIO,
    archive_name: str,
    moment: Moment,
    rules: Sequence[Comportement],
) -> list[Answer]:
    """All mails for one archive, as the rules in force bend them; empty where none is to be sent."""
    if Comportement.JAMAIS in rules:
        return []
    if opened is None or Comportement.ANOMALIE_ENVELOPPE in rules:
        given = [refuse_envelope(source, archive_name, moment.jour)]
    else:
        given = [answer(opened, moment, refuse=Comportement.ANOMALIE_ACTE in rules)]
    if Comportement.MAUVAIS_ENCODAGE in rules:
        given = [mislabelled(one) for one in given]
    if Comportement.DOUBLE_REPONSE in rules:
        given *= 2
    if Comportement.ACTE_INCONNU in rules and opened is not None:
        given.append(about_unknown_act(opened, moment))
    return given
