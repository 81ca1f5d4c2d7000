"""The timeline as people see it: what is done, where the envelope stands, what is still to come.

The main line holds what a clerk waits for. The machine's own steps (packaging, quotas, stamping, reminders)
stay in the technical detail, unless one of them is the reason why nothing moves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from markupsafe import Markup, escape

from api.pages.render import day, instant, key_for, words
from registry import flow, wording
from registry.envelopes import Event, File, Whole
from schemas.catalogue import Lang
from schemas.states import Etat

MACHINE_STEPS = frozenset(
    {
        "mis_sous_enveloppe",
        "transmission_differee",
        "quota_atteint",
        "retour_en_double",
        "rappel",
        "tamponne",
        "tampon_impossible",
        "bordereau",
    }
)

HOLDS = frozenset({"transmission_differee", "quota_atteint"})
"""Machine steps that tell why an envelope waits; shown in the open while they are the latest."""

STOPS = frozenset({"refuse", "anomalie"})
ASKS = frozenset(
    {"silence", "injoignable", "incertain", "anomalie_apres_ar", "retour_tardif", "tampon_impossible"}
)
GONE = frozenset({"retire", "annule", "decision_abandonner"})

MILESTONES = ("controle", "transmis", "acquitte", "scelle")
"""The circuit after the deposit, as keys `etape_…` of the pages' catalogue."""

_AHEAD: dict[Etat, int] = {
    Etat.DEPOSE: 0,
    Etat.PRET: 1,
    Etat.TRANSMIS: 2,
    Etat.INCERTAIN: 2,
    Etat.A_DECIDER: 2,
    Etat.ACQUITTE: 3,
}
"""Index of the first milestone still to come."""

_WHOSE = {"controle": "pli", "transmis": "pli", "acquitte": "ministere", "scelle": "pli"}


class Look(StrEnum):
    """How a step is drawn."""

    DONE = "done"
    CURRENT = "current"
    TODO = "todo"
    STOPPED = "stopped"
    WAITING = "waiting"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the timeline."""

    look: Look
    sentence: str | Markup
    who: str
    """Who did it or whose turn it is, in words."""
    at: datetime | None
    """When it happened; for a step to come, the date by which it is expected."""
    proof: File | None = None
    """The file behind the event, where there is one."""


def event_sentence(event: Event, lang: Lang) -> str:
    """The event in the reader's language; dates among its values are told as people write them."""
    return wording.event_sentence(event.code, {k: _told(v, lang) for k, v in event.params.items()}, lang)


_ISO = re.compile(r"\d{4}-\d{2}-\d{2}(T.+)?")


def _told(value: object, lang: Lang) -> object:
    if not isinstance(value, str) or not (iso := _ISO.fullmatch(value)):
        return value
    try:
        if iso[1] is None:
            return day(date.fromisoformat(value), lang)
        moment = datetime.fromisoformat(value)
    except ValueError:
        return value
    return instant(moment, lang) if moment.tzinfo else value


def _look(event: Event) -> Look:
    if event.code in STOPS:
        return Look.STOPPED
    if event.code in ASKS:
        return Look.WAITING
    if event.code in GONE:
        return Look.GONE
    return Look.DONE


def _step(event: Event, files: dict[str, File], lang: Lang) -> Step:
    proof = files.get(event.file_id) if event.file_id else None
    return Step(_look(event), _linked(event_sentence(event, lang)), _actor(event, lang), event.at, proof)


_ENVELOPE = re.compile(r"\b(?:acte|ann|cls)_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


def _linked(sentence: str) -> Markup:
    """The sentence, each envelope that it names leading to its page."""
    return Markup(_ENVELOPE.sub(r'<a href="/actes/\g<0>">\g<0></a>', str(escape(sentence))))  # noqa: S704


def _actor(event: Event, lang: Lang) -> str:
    return words().text("acteur_ministere", lang) if event.actor == flow.MINISTRY else event.actor


def main_line(whole: Whole, lang: Lang) -> list[Step]:
    """The ordered steps: those that happened, then the circuit still ahead in outline.

    The first step ahead carries the envelope's next date, for that is when somebody looks again; the later
    ones follow from it and carry none.
    """
    files = {file.id: file for file in whole.files}
    latest = whole.timeline[-1] if whole.timeline else None
    shown = [
        event
        for event in whole.timeline
        if event.code not in MACHINE_STEPS or (event is latest and event.code in HOLDS)
    ]
    return [_step(event, files, lang) for event in shown] + _ahead(whole, lang)


def _ahead(whole: Whole, lang: Lang) -> list[Step]:
    etat, echeance = whole.line.etat, whole.line.echeance
    if etat not in _AHEAD:
        return []
    steps = []
    if etat is Etat.A_DECIDER:
        steps.append(Step(Look.CURRENT, words().text("etape_decision", lang), whole.responsable, echeance))
    for milestone in MILESTONES[_AHEAD[etat] :]:
        first = not steps
        steps.append(
            Step(
                Look.CURRENT if first else Look.TODO,
                words().text(key_for(f"etape_{milestone}", whole.line.transaction), lang),
                words().text(f"tour_{_WHOSE[milestone]}", lang),
                echeance if first else None,
            )
        )
    return steps


def machine_line(whole: Whole, lang: Lang) -> list[Step]:
    """Every event, for the folded technical detail."""
    return [_step(event, {}, lang) for event in whole.timeline]
