"""An envelope ready to leave: the XML of 1-1, 6-1 and 7-1, their names, and the check of the whole.

The same values always give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from lxml import etree

from schemas import xml
from schemas.actes import naming, references, schema
from schemas.actes.message import child, root, serialise
from schemas.actes.model import SIREN, Acte, Emetteur
from schemas.actes.naming import id_acte
from schemas.actes.opening import OpenedPackage, open_package
from schemas.findings import Finding, Refused
from schemas.tar import NORM_LIMIT

__all__ = [
    "OpenedPackage",
    "Package",
    "check_archive_size",
    "check_package",
    "id_acte",
    "open_package",
    "package_acte",
    "package_annulation",
    "package_demande_classification",
]


@dataclass(frozen=True, slots=True)
class Package:
    """Everything of an archive but the pieces' bytes."""

    archive_name: str
    envelope_name: str
    envelope_xml: bytes
    message_name: str
    message_xml: bytes
    piece_names: tuple[str, ...] = ()
    """Main document, then annexes; the order of the archive after envelope and message."""


def package_acte(
    acte: Acte,
    emetteur: Emetteur,
    *,
    jour: date,
    rang: int,
    adresses_retour: Sequence[str],
    trigramme: str,
    quadrigramme: str,
) -> Package:
    """The envelope of an act (1-1) that passed `rules.check_acte`.

    `jour` is the day of the envelope and `rang` its number of that day, from 1; answers go to every address
    of `adresses_retour`, the platform's first. Source: ACTES v1.1, fact sheet §1.2, §1.3 and §2.3.
    """
    names = naming.piece_names(acte, emetteur)
    nature = naming.abbreviation(acte.nature)
    message = naming.message_name(emetteur, "1-1", acte.date_decision, acte.numero, nature)
    return _package(
        emetteur,
        message,
        serialise(_acte(acte, names)),
        names,
        jour=jour,
        rang=rang,
        adresses_retour=adresses_retour,
        trigramme=trigramme,
        quadrigramme=quadrigramme,
    )


def package_annulation(
    id_acte: str,
    numero: str,
    nature: int,
    date_decision: date,
    emetteur: Emetteur,
    *,
    jour: date,
    rang: int,
    adresses_retour: Sequence[str],
    trigramme: str,
    quadrigramme: str,
) -> Package:
    """The envelope that cancels the transmission of the acknowledged act `id_acte` (6-1).

    Number, nature and date are the act's; they make the message's name (fact sheet §1.3).
    """
    name = naming.message_name(emetteur, "6-1", date_decision, numero, naming.abbreviation(nature))
    return _package(
        emetteur,
        name,
        serialise(root("Annulation", IDActe=id_acte)),
        (),
        jour=jour,
        rang=rang,
        adresses_retour=adresses_retour,
        trigramme=trigramme,
        quadrigramme=quadrigramme,
    )


def package_demande_classification(
    emetteur: Emetteur,
    date_classification: date | None,
    *,
    jour: date,
    rang: int,
    adresses_retour: Sequence[str],
    trigramme: str,
    quadrigramme: str,
) -> Package:
    """The envelope that asks for the classification (7-1); `date_classification` is the one at hand."""
    demande = root("DemandeClassification")
    if date_classification is not None:
        child(demande, "DateClassification", date_classification.isoformat())
    return _package(
        emetteur,
        naming.message_name(emetteur, "7-1"),
        serialise(demande),
        (),
        jour=jour,
        rang=rang,
        adresses_retour=adresses_retour,
        trigramme=trigramme,
        quadrigramme=quadrigramme,
    )


def check_package(package: Package, piece_count: int) -> list[Finding]:
    """What the norm has to say about our own package before it leaves; empty where all is well.

    Both documents against the XSD; names as §1.2 and §1.3 want them; `Annexes/@Nombre` equal to the annexes;
    every file named by a document is in the package and the other way round (fact sheet §10.2).
    `piece_count` counts the main document and the annexes, 0 for 6-1 and 7-1.
    """
    try:
        envelope = xml.parse(package.envelope_xml, place=package.envelope_name)
        message = xml.parse(package.message_xml, place=package.message_name)
    except Refused as refused:
        return list(refused.findings)
    findings = schema.validate(envelope, place=package.envelope_name)
    findings += schema.validate(message, place=package.message_name)
    findings += check_names(package)
    findings += references.check_references(
        references.formulaires(envelope), [package.message_name], package.envelope_name, "formulaire_absent"
    )
    findings += references.check_references(
        references.pieces(message), package.piece_names, package.message_name, "piece_absente"
    )
    findings += references.check_nombre(message, package.message_name)
    if piece_count != len(package.piece_names):
        findings.append(references.count_differs(package.message_name, len(package.piece_names), piece_count))
    return findings


def check_archive_size(size: int, *, place: str) -> list[Finding]:
    """The norm's limit on the packaged archive: 157 286 400 bytes (fact sheet §4); `size` in bytes."""
    return [Finding("taille_depassee", place, {"limite": str(NORM_LIMIT)})] if size > NORM_LIMIT else []


def check_names(package: Package) -> list[Finding]:
    """Names of archive, envelope, message and pieces, each by the pattern of fact sheet §1.2 and §1.3."""
    envelope = naming.parse_envelope_name(package.envelope_name)
    wrong = []
    if naming.envelope_of_archive(package.archive_name) != package.envelope_name:
        wrong.append(package.archive_name)
    if envelope is None:
        wrong.append(package.envelope_name)
    for name in (package.message_name, *package.piece_names):
        parsed = naming.parse_file_name(name)
        if parsed is None or (envelope is not None and parsed.siren != envelope.siren):
            wrong.append(name)
    return [Finding("nom_invalide", name, {"nom": name}) for name in wrong]


def _package(
    emetteur: Emetteur,
    message_name: str,
    message_xml: bytes,
    piece_names: tuple[str, ...],
    *,
    jour: date,
    rang: int,
    adresses_retour: Sequence[str],
    trigramme: str,
    quadrigramme: str,
) -> Package:
    envelope_name = naming.envelope_name(quadrigramme, emetteur.siren, jour, rang)
    return Package(
        archive_name=naming.archive_name(trigramme, envelope_name),
        envelope_name=envelope_name,
        envelope_xml=serialise(_enveloppe(emetteur, adresses_retour, message_name)),
        message_name=message_name,
        message_xml=message_xml,
        piece_names=piece_names,
    )


def _enveloppe(emetteur: Emetteur, adresses_retour: Sequence[str], message: str) -> etree._Element:
    enveloppe = root("EnveloppeCLMISILL")
    idcl = child(
        child(enveloppe, "Emetteur"),
        "IDCL",
        Departement=emetteur.departement,
        Arrondissement=emetteur.arrondissement,
        Nature=emetteur.nature,
    )
    idcl.set(SIREN, emetteur.siren)
    adresses = child(enveloppe, "AdressesRetour")
    for adresse in dict.fromkeys(adresses_retour):
        child(adresses, "Email", adresse)
    _fichier(child(enveloppe, "FormulairesEnvoyes"), "Formulaire", message)
    return enveloppe


def _acte(acte: Acte, names: tuple[str, ...]) -> etree._Element:
    message = root("Acte", Date=acte.date_decision, NumeroInterne=acte.numero, CodeNatureActe=acte.nature)
    for level, code in enumerate(acte.matiere, start=1):
        child(message, f"CodeMatiere{level}", CodeMatiere=code)
    child(message, "Objet", acte.objet)
    child(message, "ClassificationDateVersion", acte.classification_date.isoformat())
    _fichier(message, "Document", names[0])
    annexes = child(message, "Annexes", Nombre=len(names) - 1)
    for name in names[1:]:
        _fichier(annexes, "Annexe", name)
    child(message, "DocumentPapier", "O" if acte.document_papier else "N")
    return message


def _fichier(parent: etree._Element, name: str, nom: str) -> None:
    child(child(parent, name), "NomFichier", nom)
