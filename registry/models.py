"""The register's tables. What people look at and what reports count.

Every row of a body carries `collectivite_id` (class `OfBody`): `registry/door.py` adds the body of the
session to each query on it, so that a forgotten filter shows nothing instead of another body's rows.
Identifiers are text: a prefix and a UUIDv7, so that they sort by time and can be read over the phone.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Computed,
    Date,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    event,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from schemas.searching import searchable

Instant = TIMESTAMP(timezone=True)

CHANNEL = "pli_timeline"
"""NOTIFY channel of the register: `{"collectivite_id": …, "enveloppe_id": …}` for each committed event."""

TIMELINE_TRIGGER = f"""
create function timeline_tell() returns trigger language plpgsql as $tell$
begin
    perform pg_notify('{CHANNEL}', json_build_object(
        'collectivite_id', new.collectivite_id, 'enveloppe_id', new.enveloppe_id)::text);
    return null;
end $tell$;
create trigger timeline_tell after insert on timeline_event for each row execute function timeline_tell();
"""

OPEN_STATES = "'depose','pret','transmis','incertain','a_decider','acquitte'"


class Base(DeclarativeBase):
    """All tables."""

    type_annotation_map = {
        str: Text(),
        datetime: Instant,
        date: Date(),
        dict[str, Any]: JSONB(),
        list[str]: ARRAY(Text()),
        bytes: LargeBinary(),
        bool: Boolean(),
    }


class OfBody:
    """A row that belongs to one collectivité; the door scopes every query on it."""

    collectivite_id: Mapped[str] = mapped_column(ForeignKey("collectivite.id"), index=False)


class Collectivite(Base):
    """A town hall or public body (an authority of the norm)."""

    __tablename__ = "collectivite"

    id: Mapped[str] = mapped_column(primary_key=True)
    siren: Mapped[str] = mapped_column(String(9), unique=True)
    nom: Mapped[str]
    departement: Mapped[str] = mapped_column(String(3))
    arrondissement: Mapped[str] = mapped_column(String(1))
    nature: Mapped[str] = mapped_column(String(2))
    email: Mapped[str]
    """Return address of the body, beside the platform's own."""
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class User(Base):
    """A person who signs in."""

    __tablename__ = "user_account"

    id: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    nom: Mapped[str]
    password_hash: Mapped[str]
    totp_secret: Mapped[str | None]
    totp_last_counter: Mapped[int | None] = mapped_column(BigInteger)
    """Last TOTP step used, so that a code serves once."""
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    failed_logins: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    locked_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Membership(Base):
    """A person's role in a body; without a body, on the whole platform (`administrateur`)."""

    __tablename__ = "membership"
    __table_args__ = (
        CheckConstraint(
            "role in ('agent','signataire','archiviste','administrateur_collectivite','administrateur')",
            name="membership_role",
        ),
        CheckConstraint(
            "(role = 'administrateur') = (collectivite_id is null)", name="membership_platform_role"
        ),
        UniqueConstraint("user_id", "collectivite_id", "role", postgresql_nulls_not_distinct=True),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user_account.id"))
    collectivite_id: Mapped[str | None] = mapped_column(ForeignKey("collectivite.id"))
    role: Mapped[str]


class WebSession(Base):
    """A signed-in browser; only the hash of its cookie is stored."""

    __tablename__ = "web_session"

    token_sha256: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user_account.id"))
    csrf_token: Mapped[str]
    collectivite_id: Mapped[str | None] = mapped_column(ForeignKey("collectivite.id"))
    """The body that the person works for at the moment."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]


class ApiToken(Base):
    """A token of business software: shown once, stored hashed, bound to a body and to rights."""

    __tablename__ = "api_token"
    __table_args__ = (Index("api_token_body", "collectivite_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    collectivite_id: Mapped[str] = mapped_column(ForeignKey("collectivite.id"))
    prefix: Mapped[str]
    """First characters, shown in lists."""
    secret_sha256: Mapped[str] = mapped_column(unique=True)
    label: Mapped[str]
    rights: Mapped[list[str]]
    """`actes:deposer`, `actes:lire`, `archives:lire`."""
    responsible_user_id: Mapped[str] = mapped_column(ForeignKey("user_account.id"))
    """The named person who decides about what this software sent."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class ClientCertificate(Base):
    """A TLS client certificate of business software, as a way to sign in."""

    __tablename__ = "client_certificate"

    fingerprint_sha256: Mapped[str] = mapped_column(primary_key=True)
    collectivite_id: Mapped[str] = mapped_column(ForeignKey("collectivite.id"))
    label: Mapped[str]
    rights: Mapped[list[str]]
    responsible_user_id: Mapped[str] = mapped_column(ForeignKey("user_account.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    revoked_at: Mapped[datetime | None]


class Enveloppe(OfBody, Base):
    """One envelope: an act (1-1), a cancellation (6-1) or a request for the classification (7-1)."""

    __tablename__ = "enveloppe"
    __table_args__ = (
        CheckConstraint(
            f"(etat in ({OPEN_STATES})) = (echeance is not null)", name="enveloppe_open_has_next_date"
        ),
        UniqueConstraint("collectivite_id", "jour", "rang", name="enveloppe_rang"),
        Index(
            "enveloppe_numero",
            "collectivite_id",
            "numero",
            unique=True,
            postgresql_where=text("numero_retenu and transaction = '1-1'"),
        ),
        Index(
            "enveloppe_annulation",
            "acte_id",
            unique=True,
            postgresql_where=text("transaction = '6-1' and etat in (" + OPEN_STATES + ",'scelle')"),
        ),
        Index("enveloppe_body", "collectivite_id", "id"),
        Index("enveloppe_body_etat", "collectivite_id", "etat", "id"),
        Index("enveloppe_body_famille", "collectivite_id", "famille", "id"),
        Index("enveloppe_body_ar", "collectivite_id", "date_ar", "id"),
        Index("enveloppe_body_nature", "collectivite_id", "nature", "id"),
        Index("enveloppe_body_matiere", "collectivite_id", "matiere", "id"),
        Index("enveloppe_etat", "etat", "id"),
        Index("enveloppe_famille", "famille", "id"),
        Index(
            "enveloppe_archive", "archive_nom", unique=True, postgresql_where=text("archive_nom is not null")
        ),
        Index(
            "enveloppe_nom",
            func.substr(text("archive_nom"), 5),
            postgresql_where=text("archive_nom is not null"),
        ),
        Index("enveloppe_id_acte", "id_acte", postgresql_where=text("id_acte is not null")),
        Index("enveloppe_acte", "acte_id", postgresql_where=text("acte_id is not null")),
        Index("enveloppe_precedente", "precedente_id", postgresql_where=text("precedente_id is not null")),
        Index("enveloppe_recherche", "recherche", postgresql_using="gin"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    """Also the workflow's id."""
    transaction: Mapped[str]
    """`1-1`, `6-1` or `7-1`."""
    etat: Mapped[str]
    famille: Mapped[str]
    numero: Mapped[str | None]
    numero_retenu: Mapped[bool] = mapped_column(server_default=text("true"))
    """False once the act counts as not transmitted: its number is free again."""
    nature: Mapped[str | None]
    """Digit 1 to 6."""
    date_decision: Mapped[date | None]
    objet: Mapped[str]
    matiere: Mapped[str | None]
    """Dotted, `7.10` or `3.1.2`."""
    classification_date: Mapped[date | None]
    document_papier: Mapped[bool] = mapped_column(server_default=text("false"))
    deposited_by: Mapped[str]
    """Who deposited, in words: a person's name or a software's label."""
    responsible_user_id: Mapped[str] = mapped_column(ForeignKey("user_account.id"))
    """The named person whose turn it is when a decision is needed."""
    awaits: Mapped[str] = mapped_column(server_default=text("'pli'"))
    """Whose turn it is: `pli`, `ministere`, `responsable`, `personne`."""
    echeance: Mapped[datetime | None]
    """Next date at which something happens by itself; always set while the envelope is open."""
    jour: Mapped[date | None]
    rang: Mapped[int | None] = mapped_column(Integer)
    """Sequence of the envelope in its authority's day (§1.2)."""
    archive_nom: Mapped[str | None]
    id_acte: Mapped[str | None]
    """IDActe as the norm builds it (§1.5); confirmed by the ARActe."""
    date_transmission: Mapped[datetime | None]
    date_ar: Mapped[date | None]
    precedente_id: Mapped[str | None] = mapped_column(ForeignKey("enveloppe.id"))
    """The refused envelope that this one corrects."""
    acte_id: Mapped[str | None] = mapped_column(ForeignKey("enveloppe.id"))
    """The act that a 6-1 cancels."""
    refus: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB)
    """Findings of a refusal, or the ministry's anomaly (`nature`, `detail`)."""
    texte_recherche: Mapped[str]
    """Number, subject and IDActe as they are searched (`schemas.searching`); kept by `_keep_searchable`."""
    recherche: Mapped[Any] = mapped_column(
        TSVECTOR, Computed("to_tsvector('french'::regconfig, texte_recherche)", persisted=True)
    )
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    pieces: Mapped[list[StoredFile]] = relationship(
        order_by="StoredFile.position", lazy="raise", viewonly=True
    )
    timeline: Mapped[list[TimelineEvent]] = relationship(
        order_by="TimelineEvent.id", lazy="raise", viewonly=True
    )


@event.listens_for(Enveloppe, "before_insert")
@event.listens_for(Enveloppe, "before_update")
def _keep_searchable(_mapper: Any, _connection: Any, row: Enveloppe) -> None:
    # Here and not in the database, whose `unaccent` may change and so can't feed a generated column.
    row.texte_recherche = searchable(" ".join(filter(None, (row.numero, row.objet, row.id_acte))))


class StoredFile(OfBody, Base):
    """A file of an envelope, by reference."""

    __tablename__ = "stored_file"
    __table_args__ = (
        UniqueConstraint("enveloppe_id", "role", "position", name="stored_file_place"),
        Index("stored_file_key", "object_key"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    enveloppe_id: Mapped[str] = mapped_column(ForeignKey("enveloppe.id"))
    role: Mapped[str]
    """`document`, `annexe`, `message`, `enveloppe`, `archive`, `retour_mail`, `retour_enveloppe`, `retour`,
    `tamponne`, `bordereau`, `manifeste`."""
    position: Mapped[int] = mapped_column(Integer)
    """1 for the main document, 2… for annexes; 0 elsewhere, counted up where a role repeats."""
    nom: Mapped[str]
    """Name as deposited (for people)."""
    nom_norme: Mapped[str | None]
    """Name that the norm gives (§1.3)."""
    code_pj: Mapped[str | None] = mapped_column(String(5))
    media_type: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    sha512: Mapped[str]
    bucket: Mapped[str]
    object_key: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class TimelineEvent(OfBody, Base):
    """One row of an envelope's timeline, written in the same transaction as the state it changes."""

    __tablename__ = "timeline_event"
    __table_args__ = (Index("timeline_event_envelope", "enveloppe_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    enveloppe_id: Mapped[str] = mapped_column(ForeignKey("enveloppe.id"))
    at: Mapped[datetime]
    code: Mapped[str]
    """Key of the timeline catalogue (`registry/messages.toml`)."""
    etat: Mapped[str]
    """The envelope's state after this event."""
    actor: Mapped[str]
    """Who did it, in words: `Pli`, a person, `Ministère`."""
    params: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    file_id: Mapped[str | None] = mapped_column(ForeignKey("stored_file.id"))
    """The proof behind the event, where there is one."""


class IdempotencyKey(OfBody, Base):
    """A caller's key and the envelope that it made."""

    __tablename__ = "idempotency_key"
    __table_args__ = (UniqueConstraint("caller", "key", name="idempotency_key_once"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    caller: Mapped[str]
    """Who called: `token:<id>`, `user:<id>` or `certificate:<fingerprint>`."""
    key: Mapped[str]
    fingerprint: Mapped[str]
    """SHA-256 over the request's fields and the hashes of its files."""
    enveloppe_id: Mapped[str] = mapped_column(ForeignKey("enveloppe.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Serial(OfBody, Base):
    """Last rank given to an authority on a day; locked while the next is taken."""

    __tablename__ = "serial"
    __table_args__ = (UniqueConstraint("collectivite_id", "jour", name="serial_day"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    jour: Mapped[date]
    last: Mapped[int] = mapped_column(Integer)


class SendAttempt(OfBody, Base):
    """One attempt to send: intent first, outcome after. An attempt without outcome may have left."""

    __tablename__ = "send_attempt"
    __table_args__ = (
        UniqueConstraint("enveloppe_id", "number", name="send_attempt_number"),
        CheckConstraint("outcome in ('answered','unknown','not_left')", name="send_attempt_outcome"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    enveloppe_id: Mapped[str] = mapped_column(ForeignKey("enveloppe.id"))
    number: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    detail: Mapped[str | None]
    """What the wire said, without addresses."""
    bytes: Mapped[int] = mapped_column(BigInteger)


class UploadIntent(OfBody, Base):
    """Objects of a deposit are being stored; the row goes when the envelope is accepted or the objects are
    removed, and what a crash leaves is swept."""

    __tablename__ = "upload_intent"

    enveloppe_id: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[datetime]


class ReturnMail(Base):
    """A message from the ministry's side, kept whole whatever it is."""

    __tablename__ = "return_mail"
    __table_args__ = (
        CheckConstraint("state in ('matched','quarantined','resolved')", name="return_mail_state"),
        Index("return_mail_quarantine", "state", "received_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    message_sha512: Mapped[str] = mapped_column(unique=True)
    """Of the raw message: the same message collected twice is one row."""
    received_at: Mapped[datetime]
    subject: Mapped[str]
    bucket: Mapped[str]
    object_key: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    state: Mapped[str]
    reason: Mapped[str | None]
    """Why it is in quarantine: a key of `registry/messages.toml`."""
    enveloppe_id: Mapped[str | None] = mapped_column(ForeignKey("enveloppe.id"))
    transaction: Mapped[str | None]
    applied: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether it changed its envelope, so that the workflow must hear of it."""
    resolved_by: Mapped[str | None]
    resolved_at: Mapped[datetime | None]
    resolution: Mapped[str | None]
    """What the person who took it out of quarantine says became of it."""


class Classification(OfBody, Base):
    """A RetourClassification of an authority (7-2): dated reference data."""

    __tablename__ = "classification"
    __table_args__ = (UniqueConstraint("collectivite_id", "date_version", name="classification_version"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    date_version: Mapped[date]
    xml: Mapped[bytes]
    """As received."""
    loaded_at: Mapped[datetime]
    confirmed_at: Mapped[datetime]
    """Last time that the ministry said it is current (7-2 or 7-3)."""


class TransmissionWindow(Base):
    """A byte quota: a daily window (§6.2) or every hour (§6.1)."""

    __tablename__ = "transmission_window"
    __table_args__ = (CheckConstraint("kind in ('window','hour')", name="transmission_window_kind"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str]
    begins: Mapped[str | None]
    """`HH:MM`, Europe/Paris; for a window."""
    ends: Mapped[str | None]
    limit_bytes: Mapped[int] = mapped_column(BigInteger)


class WindowUse(Base):
    """Bytes used of a quota in one of its periods."""

    __tablename__ = "window_use"
    __table_args__ = (UniqueConstraint("window_id", "period_start", name="window_use_period"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    window_id: Mapped[int] = mapped_column(ForeignKey("transmission_window.id", ondelete="CASCADE"))
    period_start: Mapped[datetime]
    consumed_bytes: Mapped[int] = mapped_column(BigInteger)


class SealedRecord(OfBody, Base):
    """A record in the vault: the manifest that lists every file with its SHA-512, and its signature."""

    __tablename__ = "sealed_record"
    __table_args__ = (
        UniqueConstraint("enveloppe_id", "version", name="sealed_record_version"),
        Index("sealed_record_body", "collectivite_id", "sealed_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    enveloppe_id: Mapped[str] = mapped_column(ForeignKey("enveloppe.id"))
    version: Mapped[int] = mapped_column(Integer)
    """1 at first; a later event (cancellation) seals the record again, the older versions stay."""
    sealed_at: Mapped[datetime]
    manifest_sha512: Mapped[str]
    manifest_bucket: Mapped[str]
    manifest_key: Mapped[str]
    manifest_size: Mapped[int] = mapped_column(BigInteger)
    locked: Mapped[bool]
    """Whether the store's Object Lock holds the files."""


class PlatformFact(Base):
    """Facts about the installation that pages and start-up say aloud (`object_lock`, `antivirus`…)."""

    __tablename__ = "platform_fact"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[dict[str, Any]]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


def _compare_keys_by_bytes() -> None:
    # Lists are walked by ranges of keys: a linguistic collation of the server's would order dashes and
    # letters in its own way.
    for table in Base.metadata.tables.values():
        for column in table.columns:
            if isinstance(column.type, Text) and (column.name == "id" or column.name.endswith("_id")):
                column.type = Text(collation="C")


_compare_keys_by_bytes()

event.listen(
    TimelineEvent.__table__,
    "after_create",
    DDL(TIMELINE_TRIGGER),  # type: ignore[no-untyped-call]
)
