"""An envelope's timeline in a terminal: the same line of steps as on its page."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich.text import Text

from ops.words import messages
from schemas.catalogue import Lang

PARIS = ZoneInfo("Europe/Paris")
STOPPED = frozenset({"refuse", "anomalie", "abandonne"})
WAITS_FOR_SOMEONE = frozenset({"a_decider", "incertain"})
AFTERWARDS = frozenset({"corrige_par"})
"""Events that tell of another envelope: this one's state is no news in them."""


def heading(envelope: dict[str, Any], lang: Lang) -> Text:
    """What the envelope is about, and its state."""
    title = messages().text("acte", lang, numero=envelope["numero"] or "–", objet=envelope["objet"])
    return Text.assemble((title, "bold"), "\n", (envelope["id"], "dim"), "  ", envelope["libelle_etat"])


def step(event: dict[str, Any]) -> Text:
    """One thing that happened: when (Europe/Paris), what, who."""
    at = datetime.fromisoformat(event["date"]).astimezone(PARIS)
    mark, style = _mark(event["code"], event["etat"])
    return Text.assemble(
        (f"  {mark} ", style),
        (f"{at:%d/%m/%Y %H:%M:%S}  ", "dim"),
        event["texte"],
        (f"  · {event['acteur']}", "dim"),
    )


def to_come(envelope: dict[str, Any], lang: Lang) -> Text | None:
    """What is still to come, in outline, with its date; None where nothing is."""
    if not envelope["prochaine_etape"]:
        return None
    line = Text.assemble(("  ○ ", "dim"), (envelope["prochaine_etape"], "italic"))
    if envelope["echeance"]:
        day = datetime.fromisoformat(envelope["echeance"]).astimezone(PARIS)
        line.append("  " + messages().text("echeance", lang, date=f"{day:%d/%m/%Y %H:%M}"), "dim")
    return line


def _mark(code: str, etat: str) -> tuple[str, str]:
    if code in AFTERWARDS:
        return "●", "dim"
    if etat in STOPPED:
        return "✕", "red"
    if etat in WAITS_FOR_SOMEONE:
        return "!", "yellow"
    return "●", "green"
