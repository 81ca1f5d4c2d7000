"""The states of an envelope, the family that people see, and what may follow what.

                       ┌────────► refuse (our checks)      ┌────► anomalie (1-3, AnomalieEnveloppe)
    depose ──► pret ───┼──► transmis ───────────────────────┼────► acquitte ──► scelle ──► annule (6-2)
       │        │      └──► incertain (may have left) ──────┤
       └────────┴──► retire (withdrawn before it left)      └────► a_decider ──► pret (sent again) | abandonne

A state is one word everywhere: code, database, API, page.
"""

from __future__ import annotations

from enum import StrEnum


class Etat(StrEnum):
    """Where an envelope stands."""

    DEPOSE = "depose"
    """Accepted and durable; being checked."""
    PRET = "pret"
    """Checked, numbered, packaged; on its way to the ministry's server."""
    TRANSMIS = "transmis"
    """The ministry's server answered 200; its answer by mail is awaited."""
    INCERTAIN = "incertain"
    """May have left: the answer of the server was lost. Never sent again by itself."""
    A_DECIDER = "a_decider"
    """No answer at the set date: a named person sends again or gives up."""
    ACQUITTE = "acquitte"
    """The ministry acknowledged (1-2, 6-2, 7-2, 7-3); being stamped and sealed."""
    SCELLE = "scelle"
    """Sealed in the vault; the proof can be downloaded."""
    REFUSE = "refuse"
    """Refused by our checks; nothing left."""
    ANOMALIE = "anomalie"
    """Refused by the ministry; the act counts as not transmitted."""
    RETIRE = "retire"
    """Withdrawn by its depositor before it left."""
    ANNULE = "annule"
    """Acknowledged, then cancelled at the ministry (6-2)."""
    ABANDONNE = "abandonne"
    """Given up by a named person after silence."""


class Famille(StrEnum):
    """The family that pages show first (icon and word)."""

    EN_COURS = "en_cours"
    A_FAIRE = "a_faire"
    ANOMALIE = "anomalie"
    TERMINE = "termine"
    ANNULE = "annule"


FAMILLE: dict[Etat, Famille] = {
    Etat.DEPOSE: Famille.EN_COURS,
    Etat.PRET: Famille.EN_COURS,
    Etat.TRANSMIS: Famille.EN_COURS,
    Etat.INCERTAIN: Famille.EN_COURS,
    Etat.A_DECIDER: Famille.A_FAIRE,
    Etat.ACQUITTE: Famille.EN_COURS,
    Etat.SCELLE: Famille.TERMINE,
    Etat.REFUSE: Famille.ANOMALIE,
    Etat.ANOMALIE: Famille.ANOMALIE,
    Etat.RETIRE: Famille.ANNULE,
    Etat.ANNULE: Famille.ANNULE,
    Etat.ABANDONNE: Famille.ANNULE,
}

TERMINAL = frozenset({Etat.SCELLE, Etat.REFUSE, Etat.ANOMALIE, Etat.RETIRE, Etat.ANNULE, Etat.ABANDONNE})
"""Nothing more happens by itself; every other state has a next date."""

NUMBER_FREED = frozenset({Etat.REFUSE, Etat.ANOMALIE, Etat.RETIRE, Etat.ABANDONNE})
"""The act counts as not transmitted, so its number may be used again."""

AWAITING_STATE = frozenset({Etat.TRANSMIS, Etat.INCERTAIN, Etat.A_DECIDER})
"""A return of the ministry may still change the envelope."""
