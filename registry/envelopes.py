"""The read side of the register: lists, one envelope, the vault's search, the quarantine.

Every list is walked by key (`id` descending within one kind of transaction, whose identifiers share a
prefix and sort by time), so that page 1,000 costs what page 1 does; nothing is counted unless asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, TypeVarTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from registry.door import NotFound
from registry.models import (
    Classification,
    Collectivite,
    Enveloppe,
    ReturnMail,
    SealedRecord,
    StoredFile,
    TimelineEvent,
    User,
)
from schemas.identifiers import new_id
from schemas.searching import searchable
from schemas.states import Etat, Famille

PARIS: Final = ZoneInfo("Europe/Paris")
FIRST_DAY: Final = date(1970, 1, 2)
LAST_DAY: Final = date(9999, 12, 31)
"""Days that a key can hold: milliseconds since 1970, up to the calendar's end."""
PREFIX: Final = {"1-1": "acte", "6-1": "ann", "7-1": "cls"}
"""Prefix of the identifiers of each kind of envelope."""
COUNT_CAP: Final = 1000
"""Counters of the first page stop here: « 1 000 et plus » says enough and costs one short index walk."""


Columns = TypeVarTuple("Columns")


@dataclass(frozen=True, slots=True)
class Filters:
    """What to show. Days are days in Paris, both ends included."""

    transaction: str = "1-1"
    """`1-1`, `6-1` or `7-1`: a list holds one kind."""
    q: str | None = None
    """Words of the number, the subject or the IDActe."""
    etat: Etat | None = None
    famille: Famille | None = None
    nature: int | None = None
    matiere: str | None = None
    """Dotted, exact."""
    depose_du: date | None = None
    depose_au: date | None = None
    ar_du: date | None = None
    ar_au: date | None = None
    responsable: str | None = None
    """Identifier of the person who answers for them (« mes envois »)."""
    a_corriger: bool = False
    """Leave out those that a later envelope corrects."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a list."""

    id: str
    transaction: str
    collectivite_id: str
    etat: Etat
    famille: Famille
    awaits: str
    numero: str | None
    nature: int | None
    matiere: str | None
    objet: str
    date_decision: date | None
    deposited_by: str
    created_at: datetime
    updated_at: datetime
    echeance: datetime | None
    date_transmission: datetime | None
    date_ar: date | None
    id_acte: str | None
    responsable: str
    """Name of the person who answers for it."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, and the key after which the next ones begin (None at the end)."""

    lines: tuple[Line, ...]
    suivant: str | None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class File:
    """A file of an envelope, with its reference in the store."""

    id: str
    role: str
    position: int
    nom: str
    nom_norme: str | None
    code_pj: str | None
    media_type: str
    size: int
    sha256: str
    sha512: str
    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class Event:
    """One step of a timeline; `code` and `params` make a sentence of `registry/messages.toml`."""

    at: datetime
    code: str
    etat: Etat
    actor: str
    params: Mapping[str, Any]
    file_id: str | None


@dataclass(frozen=True, slots=True)
class Whole:
    """One envelope with everything that people may see of it."""

    line: Line
    document_papier: bool
    classification_date: date | None
    archive_nom: str | None
    responsable: str
    """Name of the person whose turn it is when a decision is needed."""
    precedente_id: str | None
    corrigee_par: str | None
    """The later envelope that corrects this one."""
    acte_id: str | None
    """The act that a cancellation names."""
    annulations: tuple[str, ...]
    """Cancellations that name this act."""
    refus: tuple[Mapping[str, Any], ...]
    """Findings (`code`, `place`, `params`) or the ministry's anomaly (`nature`, `detail`)."""
    files: tuple[File, ...]
    timeline: tuple[Event, ...]
    version_scellee: int | None
    """Version of the latest sealed record."""


_LINE = (
    Enveloppe.id,
    Enveloppe.transaction,
    Enveloppe.collectivite_id,
    Enveloppe.etat,
    Enveloppe.famille,
    Enveloppe.awaits,
    Enveloppe.numero,
    Enveloppe.nature,
    Enveloppe.matiere,
    Enveloppe.objet,
    Enveloppe.date_decision,
    Enveloppe.deposited_by,
    Enveloppe.created_at,
    Enveloppe.updated_at,
    Enveloppe.echeance,
    Enveloppe.date_transmission,
    Enveloppe.date_ar,
    Enveloppe.id_acte,
    # Not a join: it is read for the rows shown only, and leaves the walk by key alone.
    select(User.nom).where(User.id == Enveloppe.responsible_user_id).scalar_subquery().label("responsable"),
)


def search(
    session: Session, filters: Filters, *, limit: int, after: str | None = None, total: bool = False
) -> Page:
    """Envelopes of the session's scope, newest first, `limit` at most, beyond the key `after`."""
    query = _filtered(select(*_LINE), filters)
    if after is not None:
        query = query.where(Enveloppe.id < after)
    rows = session.execute(query.order_by(Enveloppe.id.desc()).limit(limit + 1)).all()
    lines = tuple(_line(row) for row in rows[:limit])
    count = None
    if total:
        count = session.scalar(_filtered(select(func.count()).select_from(Enveloppe), filters))
    return Page(lines, lines[-1].id if len(rows) > limit else None, count)


def newer(session: Session, filters: Filters, *, limit: int, before: str) -> tuple[Line, ...]:
    """The `limit` envelopes that come just before the key `before` in the list, in the list's order."""
    query = _filtered(select(*_LINE), filters).where(Enveloppe.id > before)
    rows = session.execute(query.order_by(Enveloppe.id).limit(limit)).all()
    return tuple(_line(row) for row in reversed(rows))


def _filtered(query: Select[*Columns], filters: Filters) -> Select[*Columns]:
    # Identifiers begin with their kind and their millisecond: kind and days of deposit are one range of keys.
    query = query.where(
        Enveloppe.id >= _first_key(filters.transaction, filters.depose_du),
        Enveloppe.id < _end_key(filters.transaction, filters.depose_au),
    )
    if filters.etat is not None:
        query = query.where(Enveloppe.etat == filters.etat.value)
    if filters.famille is not None:
        query = query.where(Enveloppe.famille == filters.famille.value)
    if filters.nature is not None:
        query = query.where(Enveloppe.nature == str(filters.nature))
    if filters.matiere is not None:
        query = query.where(Enveloppe.matiere == filters.matiere)
    if filters.ar_du is not None:
        query = query.where(Enveloppe.date_ar >= filters.ar_du)
    if filters.ar_au is not None:
        query = query.where(Enveloppe.date_ar <= filters.ar_au)
        # No answer comes before its question (a day is left for a clock that is wrong): so the walk by key
        # begins near the first row to show instead of at today.
        latest = min(filters.ar_au, LAST_DAY - timedelta(days=1)) + timedelta(days=1)
        query = query.where(Enveloppe.id < _end_key(filters.transaction, latest))
    if filters.responsable is not None:
        query = query.where(Enveloppe.responsible_user_id == filters.responsable)
    if filters.a_corriger:
        later = Enveloppe.__table__.alias("later")
        query = query.where(~select(later.c.id).where(later.c.precedente_id == Enveloppe.id).exists())
    if filters.q:
        query = query.where(Enveloppe.recherche.op("@@")(_words(filters.q)))
    return query


def _words(q: str) -> Any:
    return func.websearch_to_tsquery("french", searchable(q))


def _first_key(transaction: str, day: date | None) -> str:
    prefix = PREFIX[transaction]
    return f"{prefix}_" if day is None else _key_at(prefix, day)


def _end_key(transaction: str, day: date | None) -> str:
    prefix = PREFIX[transaction]
    return f"{prefix}_g" if day is None or day >= LAST_DAY else _key_at(prefix, day + timedelta(days=1))


def _key_at(prefix: str, day: date) -> str:
    """The smallest identifier that can be given from the first instant of `day` in Paris on."""
    day = max(day, FIRST_DAY)
    begins = datetime.combine(day, time(), PARIS).astimezone(UTC)
    # 8 hexadecimal digits, a dash, 4 more: the milliseconds of a UUIDv7; what follows them sorts within one.
    return new_id(prefix, begins, bytes(10))[: len(prefix) + 1 + 13]


def _line(row: Any, responsable: str | None = None) -> Line:
    return Line(
        id=row.id,
        transaction=row.transaction,
        collectivite_id=row.collectivite_id,
        etat=Etat(row.etat),
        famille=Famille(row.famille),
        awaits=row.awaits,
        numero=row.numero,
        nature=None if row.nature is None else int(row.nature),
        matiere=row.matiere,
        objet=row.objet,
        date_decision=row.date_decision,
        deposited_by=row.deposited_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
        echeance=row.echeance,
        date_transmission=row.date_transmission,
        date_ar=row.date_ar,
        id_acte=row.id_acte,
        responsable=row.responsable if responsable is None else responsable,
    )


def line(session: Session, enveloppe_id: str) -> Line:
    """One envelope without its files and timeline; raises `NotFound`."""
    row = session.execute(select(*_LINE).where(Enveloppe.id == enveloppe_id)).one_or_none()
    if row is None:
        raise NotFound(enveloppe_id)
    return _line(row)


def whole(session: Session, enveloppe_id: str) -> Whole:
    """One envelope with its files and timeline; raises `NotFound`, also for one of another body."""
    row = session.execute(
        select(Enveloppe, User.nom)
        .join(User, User.id == Enveloppe.responsible_user_id)
        .where(Enveloppe.id == enveloppe_id)
    ).one_or_none()
    if row is None:
        raise NotFound(enveloppe_id)
    found, responsable = row
    return Whole(
        line=_line(found, responsable),
        document_papier=found.document_papier,
        classification_date=found.classification_date,
        archive_nom=found.archive_nom,
        responsable=responsable,
        precedente_id=found.precedente_id,
        corrigee_par=session.scalar(select(Enveloppe.id).where(Enveloppe.precedente_id == enveloppe_id)),
        acte_id=found.acte_id,
        annulations=tuple(
            session.scalars(
                select(Enveloppe.id).where(Enveloppe.acte_id == enveloppe_id).order_by(Enveloppe.id)
            )
        ),
        refus=tuple(found.refus or ()),
        files=files(session, enveloppe_id),
        timeline=timeline(session, enveloppe_id),
        version_scellee=session.scalar(
            select(func.max(SealedRecord.version)).where(SealedRecord.enveloppe_id == enveloppe_id)
        ),
    )


def files(session: Session, enveloppe_id: str) -> tuple[File, ...]:
    """Files of an envelope: documents first, then the rest by role."""
    query = (
        select(StoredFile)
        .where(StoredFile.enveloppe_id == enveloppe_id)
        .order_by(StoredFile.position == 0, StoredFile.position, StoredFile.role)
    )
    return tuple(_file(row) for row in session.scalars(query))


def file(session: Session, enveloppe_id: str, file_id: str) -> File:
    """One file of this envelope; raises `NotFound`."""
    row = session.scalar(
        select(StoredFile).where(StoredFile.id == file_id, StoredFile.enveloppe_id == enveloppe_id)
    )
    if row is None:
        raise NotFound(file_id)
    return _file(row)


def _file(row: StoredFile) -> File:
    return File(
        id=row.id,
        role=row.role,
        position=row.position,
        nom=row.nom,
        nom_norme=row.nom_norme,
        code_pj=row.code_pj,
        media_type=row.media_type,
        size=row.size,
        sha256=row.sha256,
        sha512=row.sha512,
        bucket=row.bucket,
        key=row.object_key,
    )


def timeline(session: Session, enveloppe_id: str) -> tuple[Event, ...]:
    """The timeline of an envelope, oldest first."""
    query = select(TimelineEvent).where(TimelineEvent.enveloppe_id == enveloppe_id).order_by(TimelineEvent.id)
    return tuple(
        Event(row.at, row.code, Etat(row.etat), row.actor, row.params, row.file_id)
        for row in session.scalars(query)
    )


def count_families(session: Session, transaction: str = "1-1") -> dict[Famille, int]:
    """How many envelopes stand in each family that waits for somebody, counted up to `COUNT_CAP`.

    What a later envelope corrects waits for nobody.
    """
    counts = {}
    for famille in (Famille.A_FAIRE, Famille.ANOMALIE, Famille.EN_COURS):
        asked = Filters(transaction=transaction, famille=famille, a_corriger=famille is Famille.ANOMALIE)
        some = _filtered(select(Enveloppe.id), asked)
        capped = some.limit(COUNT_CAP).subquery()
        counts[famille] = session.scalar(select(func.count()).select_from(capped)) or 0
    return counts


# Classification


@dataclass(frozen=True, slots=True)
class ClassificationXml:
    """A classification as the ministry sent it."""

    date_version: date
    xml: bytes
    confirmed_at: datetime


def current_classification(session: Session, collectivite_id: str) -> ClassificationXml | None:
    """The body's own latest classification (7-2), or None while it has received none."""
    row = session.scalars(
        select(Classification)
        .where(Classification.collectivite_id == collectivite_id)
        .order_by(Classification.date_version.desc())
        .limit(1)
    ).first()
    return None if row is None else ClassificationXml(row.date_version, row.xml, row.confirmed_at)


# The vault


@dataclass(frozen=True, slots=True)
class Record:
    """A sealed record, with the reference of its manifest."""

    id: str
    enveloppe_id: str
    version: int
    sealed_at: datetime
    locked: bool
    manifest_bucket: str
    manifest_key: str
    manifest_sha512: str
    manifest_size: int


@dataclass(frozen=True, slots=True)
class RecordLine:
    """One row of the vault's list."""

    record: Record
    line: Line
    collectivite_nom: str


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Some sealed records, and the key after which the next ones begin."""

    lines: tuple[RecordLine, ...]
    suivant: str | None


def search_records(session: Session, filters: Filters, *, limit: int, after: str | None = None) -> RecordPage:
    """Envelopes with a sealed record (its latest version), newest deposit first."""
    query = (
        select(*_LINE, SealedRecord, Collectivite.nom.label("collectivite_nom"))
        .join(SealedRecord, SealedRecord.enveloppe_id == Enveloppe.id)
        .join(Collectivite, Collectivite.id == Enveloppe.collectivite_id)
        .where(SealedRecord.version == _latest_version())
    )
    query = _filtered(query, filters)
    if after is not None:
        query = query.where(Enveloppe.id < after)
    rows = session.execute(query.order_by(Enveloppe.id.desc()).limit(limit + 1)).all()
    lines = tuple(
        RecordLine(_record(row.SealedRecord), _line(row), row.collectivite_nom) for row in rows[:limit]
    )
    return RecordPage(lines, lines[-1].line.id if len(rows) > limit else None)


def _latest_version() -> Any:
    other = SealedRecord.__table__.alias("other_version")
    return (
        select(func.max(other.c.version))
        .where(other.c.enveloppe_id == SealedRecord.enveloppe_id)
        .correlate(SealedRecord)
        .scalar_subquery()
    )


def latest_record(session: Session, enveloppe_id: str) -> Record:
    """The latest sealed record of an envelope; raises `NotFound` while there is none."""
    row = session.scalars(
        select(SealedRecord)
        .where(SealedRecord.enveloppe_id == enveloppe_id)
        .order_by(SealedRecord.version.desc())
        .limit(1)
    ).first()
    if row is None:
        raise NotFound(enveloppe_id)
    return _record(row)


def _record(row: SealedRecord) -> Record:
    return Record(
        id=row.id,
        enveloppe_id=row.enveloppe_id,
        version=row.version,
        sealed_at=row.sealed_at,
        locked=row.locked,
        manifest_bucket=row.manifest_bucket,
        manifest_key=row.manifest_key,
        manifest_sha512=row.manifest_sha512,
        manifest_size=row.manifest_size,
    )


# The quarantine


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A message of the ministry's side that matched nothing."""

    id: str
    received_at: datetime
    subject: str
    size: int
    reason: str
    """A key of `registry/messages.toml`."""
    transaction: str | None


def quarantine(session: Session, *, limit: int, after: str | None = None) -> tuple[Quarantined, ...]:
    """Messages in quarantine, newest first. For administrators of the platform: a message that matches no
    envelope belongs to no body."""
    query = select(ReturnMail).where(ReturnMail.state == "quarantined")
    if after is not None:
        mark = session.get(ReturnMail, after)
        if mark is None:
            raise NotFound(after)
        query = query.where(
            or_(
                ReturnMail.received_at < mark.received_at,
                (ReturnMail.received_at == mark.received_at) & (ReturnMail.id < mark.id),
            )
        )
    rows: Sequence[ReturnMail] = session.scalars(
        query.order_by(ReturnMail.received_at.desc(), ReturnMail.id.desc()).limit(limit)
    ).all()
    return tuple(
        Quarantined(r.id, r.received_at, r.subject, r.size, r.reason or "", r.transaction) for r in rows
    )
