"""What happens to an envelope: every change of state, each with its row of the timeline in one transaction.

Functions take a session of the door (`registry/door.py`) and the instant; they read no clock and touch
nothing but the register. Those that change an envelope lock its row first, so that a return that arrives
while a transmission is being recorded never loses either of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Select, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from registry.door import Conflict, NotFound
from registry.models import (
    Collectivite,
    Enveloppe,
    IdempotencyKey,
    ReturnMail,
    SealedRecord,
    SendAttempt,
    Serial,
    StoredFile,
    TimelineEvent,
    UploadIntent,
)
from schemas.findings import Finding
from schemas.states import AWAITING_STATE, FAMILLE, NUMBER_FREED, TERMINAL, Etat

PLI = "Pli"
MINISTRY = "Ministère"

PIECE_ROLES = ("document", "annexe")
"""Roles of what a depositor gives."""

TURN: dict[Etat, str] = {
    Etat.DEPOSE: "pli",
    Etat.PRET: "pli",
    Etat.TRANSMIS: "ministere",
    Etat.INCERTAIN: "ministere",
    Etat.A_DECIDER: "responsable",
    Etat.ACQUITTE: "pli",
    Etat.REFUSE: "responsable",
    Etat.ANOMALIE: "responsable",
}
"""Whose turn it is; states that are not named are nobody's."""


@dataclass(frozen=True, slots=True)
class FileRef:
    """A stored file as the register keeps it (mirrors `archive.store.Ref`, which this room can't import)."""

    bucket: str
    key: str
    sha256: str
    sha512: str
    size: int


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to be added to an envelope."""

    id: str
    role: str
    position: int
    nom: str
    media_type: str
    ref: FileRef
    code_pj: str | None = None
    nom_norme: str | None = None


@dataclass(frozen=True, slots=True)
class NewEnveloppe:
    """An envelope as a door accepts it."""

    id: str
    transaction: str
    collectivite_id: str
    objet: str
    deposited_by: str
    responsible_user_id: str
    caller: str
    idempotency_key: str
    fingerprint: str
    numero: str | None = None
    nature: str | None = None
    date_decision: date | None = None
    matiere: str | None = None
    classification_date: date | None = None
    document_papier: bool = False
    id_acte: str | None = None
    precedente_id: str | None = None
    acte_id: str | None = None
    files: tuple[NewFile, ...] = ()


def begin_upload(session: Session, enveloppe_id: str, collectivite_id: str, now: datetime) -> None:
    """Say that objects of an envelope are about to be stored, so that a crash leaves no orphan unseen."""
    session.add(UploadIntent(enveloppe_id=enveloppe_id, collectivite_id=collectivite_id, started_at=now))


def end_upload(session: Session, enveloppe_id: str) -> None:
    """The objects of a refused deposit are gone."""
    session.execute(delete(UploadIntent).where(UploadIntent.enveloppe_id == enveloppe_id))


def known_key(session: Session, caller: str, key: str) -> tuple[str, str] | None:
    """Fingerprint and envelope of a caller's idempotency key, or None while it is unused."""
    row = session.execute(
        select(IdempotencyKey.fingerprint, IdempotencyKey.enveloppe_id).where(
            IdempotencyKey.caller == caller, IdempotencyKey.key == key
        )
    ).one_or_none()
    return None if row is None else (row[0], row[1])


def accept(session: Session, new: NewEnveloppe, *, now: datetime, echeance: datetime) -> None:
    """Write an accepted envelope, its files, its key and its first event.

    `echeance` is when somebody looks again if nothing has moved. Raises `Conflict`:
    ``numero_deja_utilise`` (the authority already holds this number), ``cle_en_cours`` (another call
    with the same key was faster; read `known_key` again), ``precedente_invalide`` (the envelope to correct
    is not one that counts as not transmitted, or was corrected already).
    """
    # Two calls with one key also bear one number: whichever comes second must hear of the key first.
    session.execute(
        select(func.pg_advisory_xact_lock(func.hashtextextended(f"{new.caller} {new.idempotency_key}", 0)))
    )
    if known_key(session, new.caller, new.idempotency_key) is not None:
        raise Conflict("cle_en_cours")
    if new.precedente_id is not None:
        _mark_corrected(session, new, now)
    session.add(
        Enveloppe(
            id=new.id,
            transaction=new.transaction,
            collectivite_id=new.collectivite_id,
            etat=Etat.DEPOSE,
            famille=FAMILLE[Etat.DEPOSE],
            awaits=TURN[Etat.DEPOSE],
            echeance=echeance,
            numero=new.numero,
            nature=new.nature,
            date_decision=new.date_decision,
            objet=new.objet,
            matiere=new.matiere,
            classification_date=new.classification_date,
            document_papier=new.document_papier,
            deposited_by=new.deposited_by,
            responsible_user_id=new.responsible_user_id,
            id_acte=new.id_acte,
            precedente_id=new.precedente_id,
            acte_id=new.acte_id,
            created_at=now,
            updated_at=now,
        )
    )
    _flush_or_conflict(session)
    add_files(session, new.id, new.collectivite_id, new.files)
    session.add(
        IdempotencyKey(
            collectivite_id=new.collectivite_id,
            caller=new.caller,
            key=new.idempotency_key,
            fingerprint=new.fingerprint,
            enveloppe_id=new.id,
        )
    )
    session.add(_event(new.id, new.collectivite_id, Etat.DEPOSE, "depose", new.deposited_by, now, {}))
    if new.acte_id is not None:
        act = locked(session, new.acte_id)
        note(session, act, "annulation_demandee", new.deposited_by, now, {"enveloppe": new.id})
    _flush_or_conflict(session)
    end_upload(session, new.id)


_CONSTRAINT_CONFLICT = {
    "enveloppe_numero": "numero_deja_utilise",
    "idempotency_key_once": "cle_en_cours",
    "enveloppe_annulation": "annulation_en_cours",
}


def _flush_or_conflict(session: Session) -> None:
    try:
        session.flush()
    except IntegrityError as error:
        name = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
        code = _CONSTRAINT_CONFLICT.get(name or "")
        if code is None:
            raise
        raise Conflict(code) from error


def _mark_corrected(session: Session, new: NewEnveloppe, now: datetime) -> None:
    assert new.precedente_id is not None
    try:
        old = locked(session, new.precedente_id)
    except NotFound:
        raise Conflict("precedente_invalide") from None
    corrected = session.scalar(select(Enveloppe.id).where(Enveloppe.precedente_id == old.id))
    if Etat(old.etat) not in NUMBER_FREED or corrected is not None:
        raise Conflict("precedente_invalide")
    note(session, old, "corrige_par", new.deposited_by, now, {"enveloppe": new.id})
    old.awaits = "personne"


def locked(session: Session, enveloppe_id: str) -> Enveloppe:
    """The envelope, its row locked until the end of the transaction; raises `NotFound`."""
    row = session.scalar(select(Enveloppe).where(Enveloppe.id == enveloppe_id).with_for_update())
    if row is None:
        raise NotFound(enveloppe_id)
    return row


def body_of(session: Session, enveloppe: Enveloppe) -> Collectivite:
    """The authority of an envelope."""
    body = session.get(Collectivite, enveloppe.collectivite_id)
    assert body is not None, "foreign key"
    return body


def files_of(session: Session, enveloppe_id: str, *roles: str) -> list[StoredFile]:
    """Files of an envelope by role and position; all roles where none is named."""
    query = select(StoredFile).where(StoredFile.enveloppe_id == enveloppe_id)
    if roles:
        query = query.where(StoredFile.role.in_(roles))
    return list(session.scalars(query.order_by(StoredFile.role, StoredFile.position)))


def pieces_of(session: Session, enveloppe_id: str) -> list[StoredFile]:
    """What a depositor gave, in the order of the norm's names (§1.3): the main document, then the annexes."""
    return list(
        session.scalars(
            select(StoredFile)
            .where(StoredFile.enveloppe_id == enveloppe_id, StoredFile.role.in_(PIECE_ROLES))
            .order_by(StoredFile.position)
        )
    )


def cancellation_of(session: Session, acte_id: str) -> Enveloppe | None:
    """The acknowledged cancellation (6-1) of an act."""
    return session.scalar(
        select(Enveloppe).where(
            Enveloppe.acte_id == acte_id,
            Enveloppe.transaction == "6-1",
            Enveloppe.etat.in_((Etat.ACQUITTE, Etat.SCELLE)),
        )
    )


def timeline_of(session: Session, enveloppe_id: str) -> list[TimelineEvent]:
    """The timeline, oldest first."""
    return list(
        session.scalars(
            select(TimelineEvent).where(TimelineEvent.enveloppe_id == enveloppe_id).order_by(TimelineEvent.id)
        )
    )


def add_files(session: Session, enveloppe_id: str, collectivite_id: str, files: Iterable[NewFile]) -> None:
    """Add files; one that stands there already under the same role and position is left as it is."""
    for file in files:
        session.execute(
            insert(StoredFile)
            .values(
                id=file.id,
                enveloppe_id=enveloppe_id,
                collectivite_id=collectivite_id,
                role=file.role,
                position=file.position,
                nom=file.nom,
                nom_norme=file.nom_norme,
                code_pj=file.code_pj,
                media_type=file.media_type,
                size=file.ref.size,
                sha256=file.ref.sha256,
                sha512=file.ref.sha512,
                bucket=file.ref.bucket,
                object_key=file.ref.key,
            )
            .on_conflict_do_nothing(constraint="stored_file_place")
        )


def _event(
    enveloppe_id: str,
    collectivite_id: str,
    etat: Etat,
    code: str,
    actor: str,
    now: datetime,
    params: dict[str, Any],
    file_id: str | None = None,
) -> TimelineEvent:
    return TimelineEvent(
        enveloppe_id=enveloppe_id,
        collectivite_id=collectivite_id,
        at=now,
        code=code,
        etat=etat,
        actor=actor,
        params=params,
        file_id=file_id,
    )


def note(
    session: Session,
    enveloppe: Enveloppe,
    code: str,
    actor: str,
    now: datetime,
    params: dict[str, Any] | None = None,
    file_id: str | None = None,
) -> None:
    """Add an event that changes no state."""
    session.add(
        _event(
            enveloppe.id,
            enveloppe.collectivite_id,
            Etat(enveloppe.etat),
            code,
            actor,
            now,
            params or {},
            file_id,
        )
    )
    enveloppe.updated_at = now


def move(
    session: Session,
    enveloppe: Enveloppe,
    etat: Etat,
    code: str,
    actor: str,
    now: datetime,
    *,
    echeance: datetime | None = None,
    params: dict[str, Any] | None = None,
    file_id: str | None = None,
) -> None:
    """Change the state of a locked envelope and say so. `echeance` is required for open states."""
    if (echeance is None) != (etat in TERMINAL):
        raise ValueError(f"{etat}: an open state needs a next date, an ended one has none")
    enveloppe.etat = etat
    enveloppe.famille = FAMILLE[etat]
    enveloppe.awaits = TURN.get(etat, "personne")
    enveloppe.echeance = echeance
    enveloppe.numero_retenu = etat not in NUMBER_FREED
    note(session, enveloppe, code, actor, now, params, file_id)


def refuse(session: Session, enveloppe: Enveloppe, findings: Sequence[Finding], now: datetime) -> None:
    """Our checks refuse: nothing left, the number is free again."""
    enveloppe.refus = [asdict(finding) for finding in findings]
    move(session, enveloppe, Etat.REFUSE, "refuse", PLI, now, params={"nombre": str(len(findings))})


def allot_rank(session: Session, enveloppe: Enveloppe, jour: date) -> int:
    """The envelope's rank in its authority's day (§1.2): 1, 2, 3… without gap.

    An envelope keeps the rank it was given; the counter's row stays locked until the transaction ends, so
    that two envelopes never share one and a rolled-back rank is given again.
    """
    if enveloppe.rang is not None:
        return enveloppe.rang
    session.execute(
        insert(Serial)
        .values(collectivite_id=enveloppe.collectivite_id, jour=jour, last=0)
        .on_conflict_do_nothing(constraint="serial_day")
    )
    serial = session.scalars(
        select(Serial)
        .where(Serial.collectivite_id == enveloppe.collectivite_id, Serial.jour == jour)
        .with_for_update()
    ).one()
    serial.last += 1
    enveloppe.jour = jour
    enveloppe.rang = serial.last
    return serial.last


def last_attempt(session: Session, enveloppe_id: str) -> SendAttempt | None:
    """The latest attempt to send the envelope."""
    return session.scalars(
        select(SendAttempt)
        .where(SendAttempt.enveloppe_id == enveloppe_id)
        .order_by(SendAttempt.number.desc())
        .limit(1)
    ).first()


def begin_attempt(session: Session, enveloppe: Enveloppe, size: int, now: datetime) -> SendAttempt:
    """Record the intent to send, before the wire is touched."""
    last = last_attempt(session, enveloppe.id)
    attempt = SendAttempt(
        collectivite_id=enveloppe.collectivite_id,
        enveloppe_id=enveloppe.id,
        number=1 if last is None else last.number + 1,
        started_at=now,
        bytes=size,
    )
    session.add(attempt)
    return attempt


def end_attempt(attempt: SendAttempt, outcome: str, now: datetime, detail: str | None = None) -> None:
    """Record how an attempt ended: `answered`, `unknown` or `not_left`."""
    attempt.outcome, attempt.ended_at, attempt.detail = outcome, now, detail


def may_have_left(session: Session, enveloppe_id: str) -> bool:
    """Whether the ministry may hold the envelope: some attempt did not certainly fail."""
    return (
        session.scalar(
            select(SendAttempt.id)
            .where(
                SendAttempt.enveloppe_id == enveloppe_id,
                (SendAttempt.outcome.is_(None)) | (SendAttempt.outcome != "not_left"),
            )
            .limit(1)
        )
        is not None
    )


def find_return(session: Session, message_sha512: str) -> ReturnMail | None:
    """A return that was collected before, by the hash of its raw message."""
    return session.scalar(select(ReturnMail).where(ReturnMail.message_sha512 == message_sha512))


def match_by_id_acte(session: Session, transaction: str, id_acte: str) -> str | None:
    """The envelope of a `transaction` (`1-1`, `6-1`) for an IDActe: one that awaits an answer first, else the
    latest that was ever on its way."""
    return _waiting_first(
        session,
        select(Enveloppe.id, Enveloppe.etat).where(
            Enveloppe.id_acte == id_acte, Enveloppe.transaction == transaction
        ),
    )


def _waiting_first(session: Session, candidates: Select[str, str]) -> str | None:
    rows = session.execute(
        candidates.where(Enveloppe.archive_nom.is_not(None)).order_by(Enveloppe.id.desc())
    ).all()
    waiting = [row.id for row in rows if Etat(row.etat) in AWAITING_STATE]
    return waiting[0] if waiting else (rows[0].id if rows else None)


def match_by_number(session: Session, siren: str, numero: str) -> str | None:
    """The act of an authority with this number: one that awaits an answer first, else the latest that was
    ever on its way. An AnomalieActe has no IDActe."""
    return _waiting_first(
        session,
        select(Enveloppe.id, Enveloppe.etat)
        .join(Collectivite, Collectivite.id == Enveloppe.collectivite_id)
        .where(Collectivite.siren == siren, Enveloppe.numero == numero, Enveloppe.transaction == "1-1"),
    )


def match_by_envelope_name(session: Session, envelope_name: str) -> str | None:
    """The envelope whose XML file bears this name; its archive has the TdT's trigram before and another
    ending (§1.2)."""
    stem = envelope_name.removesuffix(".xml")
    return session.scalar(
        select(Enveloppe.id).where(func.substr(Enveloppe.archive_nom, 5) == stem + ".tar.gz")
    )


def match_classification_request(session: Session, siren: str) -> str | None:
    """The latest request for the classification of an authority that awaits its answer."""
    return session.scalar(
        select(Enveloppe.id)
        .join(Collectivite, Collectivite.id == Enveloppe.collectivite_id)
        .where(
            Collectivite.siren == siren,
            Enveloppe.transaction == "7-1",
            Enveloppe.etat.in_([*AWAITING_STATE, Etat.PRET]),
        )
        .order_by(Enveloppe.id.desc())
        .limit(1)
    )


def next_seal_version(session: Session, enveloppe_id: str) -> int:
    """1 for the first record of an envelope, then 2…"""
    last = session.scalar(
        select(SealedRecord.version)
        .where(SealedRecord.enveloppe_id == enveloppe_id)
        .order_by(SealedRecord.version.desc())
        .limit(1)
    )
    return (last or 0) + 1
