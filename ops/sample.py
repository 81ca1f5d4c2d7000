"""The sample bodies of the local stack: a town hall and a second body, their people, a token, one act.

Made once; their secrets are drawn by chance and kept in one file that only its owner can read. The
département 999 is the one that the norm's servers keep for tests.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path

import typst
from sqlalchemy.orm import Session

from registry import accounts
from registry.door import Platform, Register

COMMUNE = {
    "siren": "219900016",
    "nom": "Commune de Saint-Exemple-sur-Loire",
    "departement": "999",
    "arrondissement": "1",
    "nature": "31",
    "email": "mairie@saint-exemple.test",
}
COMMUNAUTE = {
    "siren": "249900010",
    "nom": "Communauté de communes du Pays d’Exemple",
    "departement": "999",
    "arrondissement": "1",
    "nature": "44",
    "email": "accueil@pays-exemple.test",
}
PEOPLE = (
    ("agnes.martin@saint-exemple.test", "Agnès Martin", "agent", COMMUNE["siren"]),
    ("paul.durand@saint-exemple.test", "Paul Durand", "signataire", COMMUNE["siren"]),
    ("lea.moreau@saint-exemple.test", "Léa Moreau", "archiviste", COMMUNE["siren"]),
    ("jean.petit@saint-exemple.test", "Jean Petit", "administrateur_collectivite", COMMUNE["siren"]),
    ("nora.bernard@pays-exemple.test", "Nora Bernard", "agent", COMMUNAUTE["siren"]),
    ("admin@pli.test", "Administration de la plateforme", "administrateur", None),
)
RIGHTS = ("actes:deposer", "actes:lire", "actes:decider", "archives:lire")
LABEL = "Logiciel de délibérations (exemple)"

_DELIBERATION = """
#set document(title: "Délibération {numero}")
#set page(paper: "a4", margin: 2.5cm)
#set text(lang: "fr", size: 11pt)
#set par(justify: true, leading: 0.8em)
#align(center)[
  #text(size: 14pt)[*Commune de Saint-Exemple-sur-Loire*] \\
  Extrait du registre des délibérations du conseil municipal \\
  Séance du {jour}
]
#v(1cm)
*Délibération n° {numero}*

*Objet : {objet}*

Le conseil municipal, légalement convoqué, s’est réuni à la mairie sous la présidence du maire.
Après en avoir délibéré, il adopte à l’unanimité les tarifs de la médiathèque annexés au registre.

#v(1cm)
Pour extrait conforme, \\
le maire
"""


@dataclass(frozen=True, slots=True)
class Account:
    """One person of the samples, with the password."""

    email: str
    nom: str
    role: str
    collectivite: str
    password: str


@dataclass(frozen=True, slots=True)
class Samples:
    """All secrets of the samples."""

    token: str
    """Of the commune's software."""
    people: tuple[Account, ...]


@dataclass(frozen=True, slots=True)
class SampleAct:
    """A deliberation to carry through."""

    fields: dict[str, object]
    """The part `acte` of a deposit."""
    name: str
    pdf: bytes


def ensure_samples(register: Register, kept_in: Path, now: datetime) -> tuple[Samples, bool]:
    """The samples, made where the register or their file lacks them; True where they were made now."""
    with register.session(Platform("samples")) as session:
        known = _read(kept_in)
        if known is not None and accounts.find_token(session, known.token, now) is not None:
            return known, False
        made = _make(session, now)
        # Before the commit: secrets that were committed but not written would be lost.
        _write(kept_in, made)
    return made, True


def sample_act(now: datetime) -> SampleAct:
    """A deliberation of the sample commune, dated today, its number taken from the clock."""
    numero = f"D{now:%Y%m%d%H%M%S}"
    objet = "Tarifs de la médiathèque municipale pour l’année à venir"
    text = _DELIBERATION.format(numero=numero.replace("_", "\\_"), objet=objet, jour=f"{now:%d/%m/%Y}")
    return SampleAct(
        _fields(numero, objet, now.date()), f"deliberation-{numero}.pdf", typst.compile(text.encode())
    )


def _fields(numero: str, objet: str, day: date) -> dict[str, object]:
    return {
        "numero": numero,
        "nature": 1,
        "matiere": "7.10",
        "objet": objet,
        "date_decision": day.isoformat(),
        "type_piece": "99_DE",
    }


def _make(session: Session, now: datetime) -> Samples:
    bodies = {body["siren"]: _body(session, body, now) for body in (COMMUNE, COMMUNAUTE)}
    names = {body["siren"]: body["nom"] for body in (COMMUNE, COMMUNAUTE)}
    people = []
    for email, nom, role, siren in PEOPLE:
        password = secrets.token_urlsafe(12)
        user_id = _person(session, email, nom, password, now)
        accounts.grant(session, user_id, role, bodies[siren] if siren else None)
        people.append(Account(email, nom, role, names[siren] if siren else "toute la plateforme", password))
    responsible = accounts.user_by_email(session, PEOPLE[0][0])
    assert responsible is not None
    token = accounts.create_token(
        session,
        now,
        collectivite_id=bodies[COMMUNE["siren"]],
        label=LABEL,
        rights=RIGHTS,
        responsible_user_id=responsible.id,
    )
    return Samples(token.secret, tuple(people))


def _body(session: Session, body: dict[str, str], now: datetime) -> str:
    known = accounts.collectivite_by_siren(session, body["siren"])
    return known.id if known is not None else accounts.add_collectivite(session, now, **body)


def _person(session: Session, email: str, nom: str, password: str, now: datetime) -> str:
    known = accounts.user_by_email(session, email)
    if known is None:
        return accounts.add_user(session, now, email=email, nom=nom, password=password)
    accounts.set_password(session, known.id, password)
    return known.id


def _read(path: Path) -> Samples | None:
    if not path.exists():
        return None
    known = json.loads(path.read_text(encoding="utf-8"))
    return Samples(known["token"], tuple(Account(**person) for person in known["people"]))


def _write(path: Path, samples: Samples) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(samples), file, ensure_ascii=False, indent=2)
