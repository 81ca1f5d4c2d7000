"""What the doors are given: the register, the store, the engine, and who is calling."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from temporalio.client import Client

from archive.store import ObjectStore
from registry.door import OneBody, Platform, Register, Scope
from workflows.names import Delays


class Right(StrEnum):
    """What a caller may do; a role of a person stands for a set of them."""

    DEPOSIT = "actes:deposer"
    READ = "actes:lire"
    DECIDE = "actes:decider"
    ARCHIVES = "archives:lire"
    BODY_ADMIN = "collectivite:administrer"
    PLATFORM_ADMIN = "plateforme:administrer"


ROLE_RIGHTS: dict[str, frozenset[Right]] = {
    "agent": frozenset({Right.DEPOSIT, Right.READ, Right.DECIDE}),
    "signataire": frozenset({Right.READ}),
    "archiviste": frozenset({Right.READ, Right.ARCHIVES}),
    "administrateur_collectivite": frozenset(
        {Right.DEPOSIT, Right.READ, Right.DECIDE, Right.ARCHIVES, Right.BODY_ADMIN}
    ),
    "administrateur": frozenset(Right),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling, for which body, with which rights."""

    caller: str
    """`token:<id>`, `user:<id>` or `certificate:<fingerprint>`; the owner of idempotency keys."""
    name: str
    """For the timeline: the person's name or the software's label."""
    responsible_user_id: str
    collectivite_id: str | None
    """None for a platform administrator who has chosen no body."""
    rights: frozenset[Right]

    @property
    def scope(self) -> Scope:
        """The rows that this caller may see."""
        if self.collectivite_id is not None:
            return OneBody(self.collectivite_id)
        if Right.PLATFORM_ADMIN in self.rights:
            return Platform("administrateur")
        raise PermissionError("a caller without body sees nothing")


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Settings that the doors need; `ops/settings.py` fills them."""

    public_url: str
    deposit_limit: int = 150 * 1024 * 1024
    """Bytes of a deposit's files together (ACTES fact sheet §4)."""
    spool: Path | None = None
    """Folder for uploads while they come in; None: the system's."""
    trusted_proxies: frozenset[str] = frozenset()
    """Addresses whose `Client-Cert` header (RFC 9440) is believed."""
    client_ca_pem: bytes | None = None
    """CA of software's client certificates."""
    secure_cookies: bool = True
    delays: Delays = field(default_factory=Delays)
    sandbox: bool = False
    """True on the local stack: pages say so."""


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a request handler may use."""

    register: Register
    store: ObjectStore
    temporal: Client
    settings: ApiSettings
