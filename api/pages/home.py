"""The first page: what waits for me, what went wrong, what is on its way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import Request, Response
from sqlalchemy.orm import Session

from api.auth import services_of
from api.pages.render import PARIS, language, page, words
from api.pages.routing import pages
from api.pages.rows import row
from api.services import Right
from api.sign_in import Reader, Visitor
from registry import envelopes, facts
from registry.envelopes import Filters, Line
from schemas.catalogue import Lang
from schemas.states import Famille

router = pages()

SHOWN = 8
"""Rows of each list; the counters lead to the rest."""


@dataclass(frozen=True, slots=True)
class Advice:
    """Something that a person should know before starting."""

    sentence: str
    href: str = ""
    action: str = ""


@router.get("/")
def home(request: Request, visitor: Reader) -> Response:
    """What waits for me, anomalies, what runs, what has just ended."""
    lang, services = language(request), services_of(request)
    known = facts.known(services.register)
    with services.register.session(visitor.principal.scope) as session:
        waiting = _newest(session, Famille.A_FAIRE)
        anomalies = _newest(session, Famille.ANOMALIE)
        running = _newest(session, Famille.EN_COURS)
        done = _newest(session, Famille.TERMINE)
        counts = envelopes.count_families(session)
        warnings = _warnings(session, visitor, known, lang)
    context = {
        "today": datetime.now(PARIS).date(),
        "warnings": warnings,
        "counts": {famille.value: count for famille, count in counts.items()},
        "waiting": [row(line, lang) for line in waiting],
        "anomalies": [row(line, lang) for line in anomalies],
        "running": [row(line, lang) for line in running],
        "done": [row(line, lang) for line in done[:5]],
    }
    return page(request, "accueil.html", context)


def _newest(session: Session, famille: Famille) -> list[Line]:
    found = [
        line
        for transaction in envelopes.PREFIX
        for line in envelopes.search(
            session,
            Filters(transaction=transaction, famille=famille, a_corriger=famille is Famille.ANOMALIE),
            limit=SHOWN,
        ).lines
    ]
    return sorted(found, key=lambda line: line.updated_at, reverse=True)[:SHOWN]


def _warnings(session: Session, visitor: Visitor, known: dict[str, Any], lang: Lang) -> list[Advice]:
    text, found = words().text, []
    body = visitor.principal.collectivite_id
    if body is not None and envelopes.current_classification(session, body) is None:
        may_ask = visitor.may(Right.DEPOSIT)
        found.append(
            Advice(
                text("alerte_classification", lang),
                "/classification/demande" if may_ask else "",
                text("alerte_demander", lang) if may_ask else "",
            )
        )
    if known.get("antivirus") is False:
        found.append(Advice(text("alerte_antivirus", lang)))
    if visitor.may(Right.PLATFORM_ADMIN) and envelopes.quarantine(session, limit=1):
        found.append(Advice(text("alerte_quarantaine", lang), "/quarantaine", text("alerte_voir", lang)))
    return found
