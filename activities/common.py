"""What every activity uses: the clock, references, settings, and what register rows mean to the norm."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from activities.contracts import EnvelopeRef
from archive.store import Ref
from registry import flow
from registry.models import Collectivite, Enveloppe, StoredFile
from schemas.actes.model import Acte, Emetteur, Piece
from schemas.identifiers import new_id

PARIS = ZoneInfo("Europe/Paris")


@dataclass(frozen=True, slots=True)
class ActesSettings:
    """What the flow needs to know of the platform."""

    trigramme: str
    quadrigramme: str
    return_address: str
    """The platform's own mailbox, first among the return addresses."""
    look_again: timedelta = timedelta(minutes=15)
    """Next date of a state in which Pli itself is at work."""
    answer: timedelta = timedelta(days=5)
    """Silence after a sure departure before a person must decide; as in the workflow's `Delays`."""
    uncertain: timedelta = timedelta(days=1)
    """The same after a possible departure."""


def now() -> datetime:
    """The instant, in UTC."""
    return datetime.now(UTC)


def fresh_id(prefix: str) -> str:
    """A new identifier of the register."""
    return new_id(prefix, now(), secrets.token_bytes(10))


def ref_of(file: StoredFile) -> Ref:
    """A file's reference as the store reads it."""
    return Ref(file.bucket, file.object_key, file.sha256, file.sha512, file.size)


def file_ref(ref: Ref) -> flow.FileRef:
    """A store's reference as the register keeps it."""
    return flow.FileRef(ref.bucket, ref.key, ref.sha256, ref.sha512, ref.size)


def object_key(ref: EnvelopeRef, name: str) -> str:
    """Where an object of an envelope lives."""
    return f"{ref.collectivite_id}/{ref.enveloppe_id}/{name}"


def emetteur_of(body: Collectivite) -> Emetteur:
    """The authority as the norm names it (IDCL)."""
    return Emetteur(
        siren=body.siren,
        departement=body.departement,
        arrondissement=body.arrondissement,
        nature=body.nature,
    )


def piece_of(file: StoredFile) -> Piece:
    """A deposited file as the norm's rules see it."""
    return Piece(nom=file.nom, media_type=file.media_type, size=file.size, code_pj=file.code_pj or "")


def acte_of(envelope: Enveloppe, pieces: Sequence[StoredFile]) -> Acte:
    """The act that an envelope of transaction 1-1 carries; `pieces` in the norm's order."""
    assert envelope.date_decision is not None
    assert envelope.classification_date is not None
    document, *annexes = pieces
    return Acte(
        numero=envelope.numero or "",
        date_decision=envelope.date_decision,
        nature=int(envelope.nature or 0),
        matiere=tuple(int(part) for part in (envelope.matiere or "").split(".")),
        objet=envelope.objet,
        classification_date=envelope.classification_date,
        document=piece_of(document),
        annexes=tuple(piece_of(file) for file in annexes),
        document_papier=envelope.document_papier,
    )
