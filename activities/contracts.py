"""Names and messages between workflows and activities: what a workflow may know of the world.

Each activity takes and gives one dataclass. Only references and small values travel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

TASK_QUEUE = "pli"

CHECK = "check_envelope"
PACKAGE = "package_envelope"
TRANSMIT = "transmit_envelope"
RECORD_SILENCE = "record_silence"
RECORD_DECISION = "record_decision"
WITHDRAW = "withdraw_envelope"
CERTIFY = "certify_envelope"
SEAL = "seal_envelope"
COLLECT_RETURNS = "collect_returns"
SWEEP = "sweep"


POSITIVE = frozenset({"1-2", "6-2", "7-2", "7-3"})
"""Answers of the ministry after which an envelope is acknowledged; the others refuse it."""


@dataclass(frozen=True)
class EnvelopeRef:
    """The envelope an activity works on."""

    enveloppe_id: str
    collectivite_id: str


@dataclass(frozen=True)
class Checked:
    """Verdict of the hostile-input checks, the antivirus and the norm's rules."""

    accepted: bool


class Departure(StrEnum):
    """What is known of a transmission."""

    ANSWERED = "answered"
    """The server took it: HTTP 200."""
    UNKNOWN = "unknown"
    """The last byte may have left, no 200 came back."""
    LATER = "later"
    """Held back by a byte quota until `not_before`."""


@dataclass(frozen=True)
class Transmitted:
    """Outcome of one transmission attempt."""

    departure: Departure
    not_before: datetime | None = None


@dataclass(frozen=True)
class Silence:
    """No answer came by the set date; `next_reminder` is when it is said again."""

    enveloppe_id: str
    collectivite_id: str
    next_reminder: datetime
    delivery_failed: bool = False
    """True where nothing ever left: the server stayed out of reach for the whole patience."""


@dataclass(frozen=True)
class Decision:
    """What a named person decided about an envelope without answer."""

    choice: str
    """`renvoyer` or `abandonner`."""
    user_id: str
    user_name: str
    reason: str = ""


@dataclass(frozen=True)
class DecisionTaken:
    """A decision to be recorded."""

    enveloppe_id: str
    collectivite_id: str
    decision: Decision


@dataclass(frozen=True)
class Withdrawal:
    """A depositor takes an envelope back before it leaves."""

    enveloppe_id: str
    collectivite_id: str
    user_id: str
    user_name: str


@dataclass(frozen=True)
class ReturnArrived:
    """A return of the ministry, already stored and matched to the envelope."""

    return_id: str
    transaction: str
    """`1-2`, `1-3`, `6-2`, `7-2`, `7-3` or `ANO`."""


@dataclass(frozen=True)
class Collected:
    """What one look into the mailbox brought."""

    matched: int = 0
    quarantined: int = 0


@dataclass(frozen=True)
class Swept:
    """What one round of tidying did."""

    started: int = 0
    """Envelopes that were accepted but whose workflow had not been started."""
    removed: int = 0
    """Objects of deposits that never became envelopes."""


@dataclass(frozen=True)
class Delays:
    """Dates that the procedure waits for, in seconds; a setting of the platform."""

    answer: float = 5 * 86400
    """Silence after a sure departure before a person must decide."""
    uncertain: float = 86400
    """Silence after a possible departure before a person must decide."""
    reminder: float = 86400
    """Between two reminders to that person."""
    patience: float = 5 * 86400
    """How long a server that cannot be reached is tried again before a person is told."""


@dataclass(frozen=True)
class EnvelopeInput:
    """Start of an envelope's workflow; the workflow's id is the envelope's id."""

    enveloppe_id: str
    collectivite_id: str
    transaction: str
    """`1-1` (acte), `6-1` (annulation) or `7-1` (demande de classification)."""
    delays: Delays = field(default_factory=Delays)
