"""What a check has to say: findings, and the refusal that carries them.

A finding names a rule, a place and the values that the catalogue's sentences need.
The sentences themselves (what is wrong, what to do; French and English) live in a catalogue
(`schemas/catalogue.py`), so that software reads the code and people read their language.

    SchemaError
    ├── Refused            what came from outside breaks rules; carries every finding
    ├── SizeMismatch       a file to be packed is not as long as announced (its source changed or was cut)
    └── UnknownMessage     a catalogue was asked for a sentence that it lacks (a bug of ours)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule at one place."""

    code: str
    """Stable code for software, lower_snake, e.g. ``numero_invalide``; also the catalogue's key."""
    place: str
    """Where: a JSON pointer (``/numero``), a file name, or ``file:line element``."""
    params: dict[str, str] = field(default_factory=dict)
    """Values for the sentences' ``{placeholders}``; never personal data, never another tenant's."""


class SchemaError(Exception):
    """Root of the errors of `schemas`."""


class Refused(SchemaError):
    """What came from outside is refused, with all findings at once."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("; ".join(f"{f.code} at {f.place}" for f in self.findings))


class SizeMismatch(SchemaError):
    """A file to be packed has more or fewer bytes than announced."""


class UnknownMessage(SchemaError):
    """The catalogue has no sentence under this key."""
