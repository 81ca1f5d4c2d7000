"""Identifiers: of our own rows, and those of the French State, which check themselves."""

from __future__ import annotations

import re
import uuid
from datetime import datetime
from typing import Self

from schemas.findings import Finding, Refused

ENTROPY = 10
"""Bytes of chance in an identifier."""


def new_id(prefix: str, at: datetime, entropy: bytes) -> str:
    """A row's identifier, e.g. ``acte_019ab0f2-…``: the prefix and a UUIDv7, so that rows sort by time.

    `prefix` says what it is (acte, ann, cls, fic, ret, enr, usr, col, jet), `at` is an aware instant and
    `entropy` at least 10 random bytes; the same arguments give the same identifier.
    Raises ValueError for a naive `at` or too little entropy. Source: RFC 9562 §5.7.
    """
    if at.tzinfo is None or len(entropy) < ENTROPY:
        raise ValueError("new_id needs an aware instant and 10 bytes of entropy")
    chance = int.from_bytes(entropy[:ENTROPY], "big")
    value = (int(at.timestamp() * 1000) & (1 << 48) - 1) << 80
    value |= 0x7 << 76 | (chance >> 62 & 0xFFF) << 64
    value |= 0b10 << 62 | chance & (1 << 62) - 1
    return f"{prefix}_{uuid.UUID(int=value)}"


def luhn(digits: str) -> bool:
    """Whether the last of `digits` is the Luhn key of the others (ISO/IEC 7812-1)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


class Identifier(str):
    """A text that is valid by construction: making one from a wrong text raises `Refused`."""

    __slots__ = ()
    code = ""
    """Finding's code for a wrong text."""

    def __new__(cls, value: str, *, place: str = "") -> Self:
        """`value` as this identifier; raises `Refused` with `cls.code` at `place` where it is none."""
        if not cls.valid(value):
            raise Refused([Finding(cls.code, place, {"valeur": value[:40]})])
        return super().__new__(cls, value)

    @classmethod
    def valid(cls, value: str) -> bool:
        """Whether `value` has the shape (and the key) of this identifier."""
        raise NotImplementedError


class Siren(Identifier):
    """Nine digits with their Luhn key: a legal person in Insee's register (code de commerce, R123-221)."""

    __slots__ = ()
    code = "siren_invalide"

    @classmethod
    def valid(cls, value: str) -> bool:
        """Nine digits whose last is their key; the norm's schema checks the digits only."""
        return re.fullmatch(r"[0-9]{9}", value) is not None and luhn(value)


class Siret(Identifier):
    """Fourteen digits: a SIREN, the establishment's number and a key."""

    __slots__ = ()
    code = "siret_invalide"

    @classmethod
    def valid(cls, value: str) -> bool:
        """A SIREN then five digits with their key; La Poste's own establishments sum to a multiple of 5."""
        if re.fullmatch(r"[0-9]{14}", value) is None or not Siren.valid(value[:9]):
            return False
        return luhn(value) or (value.startswith("356000000") and sum(map(int, value)) % 5 == 0)

    @property
    def siren(self) -> Siren:
        """The legal person of this establishment."""
        return Siren(self[:9])


class Departement(Identifier):
    """Three characters as in ACTES names: ``001``…``095``, ``02A``, ``02B``, ``971``…, ``999`` for tests."""

    __slots__ = ()
    code = "departement_invalide"

    @classmethod
    def valid(cls, value: str) -> bool:
        """The norm's pattern without its slip (it lets ``|`` through): ACTES v1.1, type Departement."""
        return re.fullmatch(r"0[0-9][0-9]|02[AB]|9[0-9][0-9]", value) is not None


class Courriel(Identifier):
    """An address that the State's envelope takes as a return address."""

    __slots__ = ()
    code = "courriel_invalide"

    @classmethod
    def valid(cls, value: str) -> bool:
        """Narrower than the Internet: no ``+``, a last part of 2 to 6 letters (ACTES v1.1, type Email)."""
        word, label = r"[_a-zA-Z0-9-]+", r"[a-zA-Z0-9-]+"
        pattern = rf"{word}(\.{word})*@{label}(\.{label})*\.[a-zA-Z]{{2,6}}"
        return len(value) <= 254 and re.fullmatch(pattern, value) is not None
