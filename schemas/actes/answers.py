"""Answers of the ministry, as its stand-in writes them (1-2, 1-3, 6-2, 7-2, 7-3, AnomalieEnveloppe).

All bytes are ISO-8859-1 with the prefix ``actes:``; names as fact sheet §1.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from datetime import date

from lxml import etree

from schemas import xml
from schemas.actes.classification import Classification
from schemas.actes.message import SCHEMA_LOCATION, child, root, serialise
from schemas.actes.model import SIREN, Emetteur, a


def build_ar_acte(message_xml: bytes, *, id_acte: str, date_reception: date, classification: date) -> bytes:
    """ARActe (1-2) for the Acte `message_xml`; `classification` is the date of the one in force."""
    answer = root("ARActe", IDActe=id_acte, DateReception=date_reception)
    answer.append(_received("ActeRecu", message_xml))
    child(answer, "ClassificationDateVersionEnCours", classification.isoformat())
    return serialise(answer)


def build_anomalie_acte(
    message_xml: bytes, *, jour: date, nature: str, detail: str | None, classification: date
) -> bytes:
    """AnomalieActe (1-3): `nature` is three digits, `detail` begins ``ODT-VERIF-nn`` (fact sheet §5.5)."""
    answer = root("AnomalieActe")
    _refusal(answer, jour, nature, detail)
    answer.append(_received("ActeRecu", message_xml))
    child(answer, "ClassificationDateVersionEnCours", classification.isoformat())
    return serialise(answer)


def build_anomalie_enveloppe(envelope_xml: bytes, *, jour: date, nature: str, detail: str | None) -> bytes:
    """AnomalieEnveloppe for the EnveloppeCLMISILL `envelope_xml`; `nature` is 001–005 or 100."""
    answer = root("AnomalieEnveloppe")
    _refusal(answer, jour, nature, detail)
    answer.append(_received("EnveloppeRecue", envelope_xml))
    return serialise(answer)


def build_ar_annulation(*, id_acte: str, date_reception: date) -> bytes:
    """ARAnnulation (6-2)."""
    return serialise(root("ARAnnulation", IDActe=id_acte, DateReception=date_reception))


def build_retour_classification(classification: Classification) -> bytes:
    """RetourClassification (7-2); natures keep their piece types' order."""
    answer = root("RetourClassification")
    child(answer, "DateClassification", classification.date_version.isoformat())
    natures = child(answer, "NaturesActes")
    for nature in classification.natures:
        node = child(
            natures,
            "NatureActe",
            CodeNatureActe=nature.code,
            Libelle=nature.libelle,
            TypeAbrege=nature.abrege,
        )
        for type_pj in nature.types_pj:
            child(node, "TypePJNatureActe", CodeTypePJ=type_pj.code, Libelle=type_pj.libelle)
    _add_matieres(child(answer, "Matieres"), classification, ())
    return serialise(answer)


def build_classification_sans_changement(date_classification: date) -> bytes:
    """ReponseClassificationSansChangement (7-3): the one of this date is still in force."""
    answer = root("ReponseClassificationSansChangement")
    child(answer, "DateClassification", date_classification.isoformat())
    return serialise(answer)


def build_enveloppe_retour(
    *, siren: str, departement: str, arrondissement: str | None, formulaires: Sequence[str]
) -> bytes:
    """EnveloppeMISILLCL around `formulaires` (file names), to the collectivité `siren`.

    From the sous-préfecture where an arrondissement is given, else from the préfecture.
    """
    envelope = root("EnveloppeMISILLCL")
    emetteur = child(envelope, "Emetteur")
    if arrondissement is None:
        child(emetteur, "IDPref", Departement=departement)
    else:
        child(emetteur, "IDSousPref", Departement=departement, Arrondissement=arrondissement)
    envoyes = child(envelope, "FormulairesEnvoyes")
    for name in formulaires:
        child(child(envoyes, "Formulaire"), "NomFichier", name)
    child(envelope, "Destinataire").set(SIREN, siren)
    return serialise(envelope)


def envelope_return_name(quadrigramme: str, emetteur: Emetteur, jour: date, rang: int) -> str:
    """Name of a return envelope from the sous-préfecture of `emetteur` (fact sheet §1.4)."""
    service = f"SPREF{emetteur.departement}{emetteur.arrondissement}"
    return f"{quadrigramme}--{service}-{emetteur.siren}-{jour.isoformat().replace('-', '')}-{rang}.xml"


def message_return_name(message_name: str, transaction: str, rang: int = 0) -> str:
    """Name of the answer `transaction` (``1-2``…) to the message `message_name` (``…-1-1_0.xml``)."""
    base = message_name.rsplit("-", 2)[0]
    return f"{base}-{transaction}_{rang}.xml"


def _refusal(answer: etree._Element, jour: date, nature: str, detail: str | None) -> None:
    child(answer, "Date", jour.isoformat())
    child(answer, "Nature", nature)
    if detail is not None:
        child(answer, "Detail", detail)


def _received(name: str, document: bytes) -> etree._Element:
    """The document as it was received, under the name that answers give it."""
    received = deepcopy(xml.parse(document, place=name))
    received.tag = a(name)
    received.attrib.pop(SCHEMA_LOCATION, "")
    return received


def _add_matieres(parent: etree._Element, classification: Classification, path: tuple[int, ...]) -> None:
    for below, label in classification.children(path).items():
        node = child(parent, f"Matiere{len(below)}", CodeMatiere=below[-1], Libelle=label)
        _add_matieres(node, classification, below)
