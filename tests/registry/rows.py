"""Rows that tests of the register start from."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime

from sqlalchemy.orm import Session

from registry import flow
from registry.door import OneBody, Platform, Register
from registry.models import Collectivite, User

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
LATER = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)
_numbers = itertools.count(1)


def two_bodies(register: Register) -> tuple[str, str]:
    """Two authorities and a person; gives the authorities' ids."""
    with register.session(Platform("test")) as session:
        session.add(User(id="usr_1", email="a@example.fr", nom="Agnès Martin", password_hash="-"))
        for id_, siren in (("col_1", "219900016"), ("col_2", "249900010")):
            session.add(
                Collectivite(
                    id=id_,
                    siren=siren,
                    nom=id_,
                    departement="999",
                    arrondissement="1",
                    nature="31",
                    email="mairie@example.fr",
                )
            )
    return "col_1", "col_2"


def file_ref(key: str = "k") -> flow.FileRef:
    """A reference to nothing in particular."""
    return flow.FileRef("pli", key, "0" * 64, "0" * 128, 3)


def new_acte(
    body: str, numero: str | None = None, *, key: str | None = None, **changes: object
) -> flow.NewEnveloppe:
    """An act that no test has used yet."""
    n = next(_numbers)
    values: dict[str, object] = {
        "id": f"acte_{n:06}",
        "transaction": "1-1",
        "collectivite_id": body,
        "objet": "Tarifs de la médiathèque",
        "deposited_by": "Logiciel",
        "responsible_user_id": "usr_1",
        "caller": "token:1",
        "idempotency_key": key or f"key-{n}",
        "fingerprint": "f",
        "numero": numero or f"N{n}",
        "nature": "1",
        "date_decision": date(2026, 11, 20),
        "matiere": "7.10",
        "classification_date": date(2019, 4, 18),
        "id_acte": f"999-219900016-20261120-{numero or f'N{n}'}-DE",
        "files": (
            flow.NewFile(
                id=f"fic_{n}",
                role="document",
                position=1,
                nom="acte.pdf",
                media_type="application/pdf",
                ref=file_ref(),
                code_pj="99_DE",
            ),
        ),
    }
    return flow.NewEnveloppe(**{**values, **changes})  # type: ignore[arg-type]


def accepted(register: Register, body: str, numero: str | None = None, **changes: object) -> str:
    """Accept an act; gives its id."""
    new = new_acte(body, numero, **changes)
    with register.session(OneBody(body)) as session:
        flow.accept(session, new, now=NOW, echeance=LATER)
    return new.id


def state(register: Register, enveloppe_id: str) -> str:
    """The envelope's state."""
    with register.session(Platform("test")) as session:
        return flow.locked(session, enveloppe_id).etat


def codes(session: Session, enveloppe_id: str) -> list[str]:
    """The codes of the timeline, oldest first."""
    return [event.code for event in flow.timeline_of(session, enveloppe_id)]
