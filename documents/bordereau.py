"""The acknowledgement bordereau: what was sent, what the State answered, every step with its proof.

One PDF that is both a record (PDF/A-3a, ISO 19005-3) and readable by everyone (PDF/UA-1, ISO 14289-1), with
the State's own answer attached. Its contents are those of the field's bordereau d'acquittement (ACTES fact
sheet §7.5). The template only lays out; every word and number is made here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from documents.typesetting import flowing, printable, typeset

_PARIS = ZoneInfo("Europe/Paris")
_MOIS = (
    "janvier", "février", "mars", "avril", "mai", "juin",
    "juillet", "août", "septembre", "octobre", "novembre", "décembre",
)  # fmt: skip
_TRANSACTIONS = {
    "1-1": "Transmission d’un acte",
    "6-1": "Annulation de la transmission d’un acte",
    "7-1": "Demande de la classification",
}
_NBSP = "\u00a0"


@dataclass(frozen=True, slots=True)
class Fichier:
    """One file of the transmission."""

    libelle: str
    """What it is: ``Acte``, ``Annexe 1 · Avis``, ``Enveloppe métier``…"""
    nom: str
    """Name as deposited."""
    media_type: str
    size: int
    """Bytes."""
    sha512: str
    """Hex."""
    nom_norme: str = ""
    """Name that the norm gives (§1.3)."""


@dataclass(frozen=True, slots=True)
class Etape:
    """One step of the timeline."""

    libelle: str
    acteur: str
    """Who did it, or whose turn it is."""
    at: datetime | None
    """When, with its zone; of a step to come the expected instant, or None."""
    preuve: str = ""
    """What proves it: the name of a file of the record, an answer, a hash."""
    a_venir: bool = False
    """True while the step is still to come: drawn in outline."""


@dataclass(frozen=True, slots=True)
class PieceJointe:
    """An XML that travels inside the PDF."""

    nom: str
    xml: bytes
    description: str


@dataclass(frozen=True, slots=True)
class Bordereau:
    """Everything that the bordereau shows. Texts are plain French texts, as people wrote them."""

    collectivite: str
    siren: str
    departement: str
    deposant: str
    """Who deposited: a person's name or a software's label."""
    enveloppe_id: str
    transaction: str
    """``1-1``, ``6-1`` or ``7-1``."""
    numero: str
    objet: str
    nature: str
    """Label of the nature (§3.1)."""
    date_decision: date
    matiere_code: str
    """Dotted, ``7.10``."""
    matiere: str
    """Label in the classification that was in force."""
    document_papier: bool
    id_acte: str
    """Unique identifier of the act (§1.5), as acknowledged."""
    envoye: datetime
    """When the ministry's server took the envelope."""
    recu: date
    """`DateReception` of the acknowledgement."""
    etabli: datetime
    """When this bordereau was made; dates the PDF."""
    fichiers: tuple[Fichier, ...] = ()
    etapes: tuple[Etape, ...] = ()
    jointes: tuple[PieceJointe, ...] = ()
    annule: date | None = None
    """Day of the acknowledged cancellation (6-2)."""
    url_archivage: str = ""
    notifications: tuple[str, ...] = ()
    """Who was told."""


def render_bordereau(bordereau: Bordereau) -> bytes:
    """The bordereau as PDF/A-3a and PDF/UA-1; the same bordereau gives the same bytes.

    Raises `documents.errors.DocumentError` ``composition_impossible`` where typst refuses.
    """
    return typeset("bordereau.typ", _values(bordereau), epoch=int(bordereau.etabli.timestamp()))


def _values(b: Bordereau) -> dict[str, Any]:
    titre = f"Bordereau d’acquittement de l’acte {b.numero}"
    return {
        "titre": printable(titre),
        "titre_court": "Bordereau d’acquittement",
        "auteur": printable(b.collectivite),
        "description": printable(b.objet),
        "collectivite": flowing(b.collectivite),
        "collectivite_detail": printable(f"SIREN {b.siren}, département {b.departement}"),
        "objet": flowing(b.objet),
        "id_acte": printable(b.id_acte),
        "dates": _dates(b),
        "faits": [{"libelle": name, "valeur": flowing(value)} for name, value in _facts(b)],
        "fichiers": [_file(f) for f in b.fichiers],
        "etapes": [_step(e) for e in b.etapes],
        "preuves": any(e.preuve for e in b.etapes),
        "note": _note(b),
        "pied": flowing(f"{b.collectivite}, acte {b.numero}, enveloppe {b.enveloppe_id}"),
        "jointes": [
            {"nom": printable(j.nom), "octets": list(j.xml), "description": printable(j.description)}
            for j in b.jointes
        ],
    }


def _dates(b: Bordereau) -> list[dict[str, str]]:
    shown = [
        ("Envoyé en préfecture le", _day(b.envoye.astimezone(_PARIS).date())),
        ("Reçu en préfecture le", _day(b.recu)),
    ]
    if b.annule is not None:
        shown.append(("Transmission annulée le", _day(b.annule)))
    return [{"libelle": label, "valeur": value} for label, value in shown]


def _facts(b: Bordereau) -> list[tuple[str, str]]:
    facts = [
        ("Numéro de l’acte", b.numero),
        ("Transaction", _TRANSACTIONS.get(b.transaction, b.transaction)),
        ("Date de la décision", _day(b.date_decision)),
        ("Nature", b.nature),
        ("Matière", f"{b.matiere_code} {b.matiere}"),
        ("Complément sur papier", "Oui" if b.document_papier else "Non"),
        ("Déposé par", b.deposant),
        ("Adresse d’archivage", b.url_archivage),
        ("Notification", ", ".join(b.notifications)),
    ]
    return [(name, value) for name, value in facts if value]


def _file(f: Fichier) -> dict[str, str]:
    return {
        "libelle": printable(f.libelle),
        "nom": flowing(f.nom),
        "nom_norme": flowing(f.nom_norme),
        "format": printable(f.media_type),
        "taille": _size(f.size),
        "sha512": printable(f.sha512),
    }


def _step(e: Etape) -> dict[str, str | bool]:
    local = e.at.astimezone(_PARIS) if e.at is not None else None
    return {
        "libelle": flowing(e.libelle),
        "acteur": flowing(e.acteur),
        "preuve": flowing(e.preuve),
        "a_venir": e.a_venir,
        "jour": _day(local.date()) if local else "",
        "heure": _hour(local, expected=e.a_venir) if local else "",
    }


def _note(b: Bordereau) -> str:
    made = b.etabli.astimezone(_PARIS)
    attached = ", ".join(j.nom for j in b.jointes)
    note = f"Établi par Pli le {_day(made.date())} à {made:%H} h {made:%M}. Heures de Paris."
    if attached:
        note += f" La réponse de l’État est jointe à ce PDF, telle que reçue{_NBSP}: {attached}."
    return flowing(note)


def _day(day: date) -> str:
    number = "1er" if day.day == 1 else str(day.day)
    return f"{number}{_NBSP}{_MOIS[day.month - 1]}{_NBSP}{day.year}"


def _hour(at: datetime, *, expected: bool) -> str:
    clock = f"{at:%H}{_NBSP}h{_NBSP}{at:%M}"
    return f"attendu vers {clock}" if expected else f"{clock}{_NBSP}min{_NBSP}{at:%S}{_NBSP}s"


def _size(size: int) -> str:
    for unit, step in (("Mo", 1024 * 1024), ("Ko", 1024)):
        if size >= step:
            return f"{size / step:.1f}".replace(".", ",") + f"{_NBSP}{unit}"
    return f"{size}{_NBSP}o"
