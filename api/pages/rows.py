"""Rows of lists, as the templates ask for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from api.pages.sight import kind_name, subject, title, turn_of
from registry.envelopes import Line
from schemas.catalogue import Lang


@dataclass(frozen=True, slots=True)
class Row:
    """One envelope in a list: what, where it stands, since when, whose turn."""

    id: str
    title: str
    numero: str | None
    objet: str
    kind: str
    etat: str
    turn: str
    echeance: datetime | None
    deposited_by: str
    created_at: datetime
    updated_at: datetime
    date_ar: date | None


def row(line: Line, lang: Lang) -> Row:
    """The register's line in the reader's words."""
    return Row(
        id=line.id,
        title=title(line, lang),
        numero=line.numero,
        objet=subject(line, lang),
        kind=kind_name(line.transaction, lang),
        etat=line.etat.value,
        turn=turn_of(line, lang) or "–",
        echeance=line.echeance,
        deposited_by=line.deposited_by,
        created_at=line.created_at,
        updated_at=line.updated_at,
        date_ar=line.date_ar,
    )
