"""the register"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "collectivite",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("siren", sa.String(length=9), nullable=False),
        sa.Column("nom", sa.Text(), nullable=False),
        sa.Column("departement", sa.String(length=3), nullable=False),
        sa.Column("arrondissement", sa.String(length=1), nullable=False),
        sa.Column("nature", sa.String(length=2), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("siren"),
    )
    op.create_table(
        "platform_fact",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "updated_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "transmission_window",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("begins", sa.Text(), nullable=True),
        sa.Column("ends", sa.Text(), nullable=True),
        sa.Column("limit_bytes", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind in ('window','hour')", name="transmission_window_kind"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "user_account",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("nom", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("totp_secret", sa.Text(), nullable=True),
        sa.Column("totp_last_counter", sa.BigInteger(), nullable=True),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("failed_logins", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("locked_until", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column(
            "created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("email"),
    )
    op.create_table(
        "api_token",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("collectivite_id", sa.Text(collation="C"), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("secret_sha256", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("rights", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("responsible_user_id", sa.Text(collation="C"), nullable=False),
        sa.Column(
            "created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("revoked_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("last_used_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["collectivite_id"],
            ["collectivite.id"],
        ),
        sa.ForeignKeyConstraint(
            ["responsible_user_id"],
            ["user_account.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("secret_sha256"),
    )
    op.create_index("api_token_body", "api_token", ["collectivite_id"], unique=False)
    op.create_table(
        "classification",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("date_version", sa.Date(), nullable=False),
        sa.Column("xml", sa.LargeBinary(), nullable=False),
        sa.Column("loaded_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("confirmed_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("collectivite_id", sa.Text(collation="C"), nullable=False),
        sa.ForeignKeyConstraint(
            ["collectivite_id"],
            ["collectivite.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("collectivite_id", "date_version", name="classification_version"),
    )
    op.create_table(
        "client_certificate",
        sa.Column("fingerprint_sha256", sa.Text(), nullable=False),
        sa.Column("collectivite_id", sa.Text(collation="C"), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("rights", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("responsible_user_id", sa.Text(collation="C"), nullable=False),
        sa.Column(
            "created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("revoked_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["collectivite_id"],
            ["collectivite.id"],
        ),
        sa.ForeignKeyConstraint(
            ["responsible_user_id"],
            ["user_account.id"],
        ),
        sa.PrimaryKeyConstraint("fingerprint_sha256"),
    )
    op.create_table(
        "enveloppe",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("transaction", sa.Text(), nullable=False),
        sa.Column("etat", sa.Text(), nullable=False),
        sa.Column("famille", sa.Text(), nullable=False),
        sa.Column("numero", sa.Text(), nullable=True),
        sa.Column("numero_retenu", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("nature", sa.Text(), nullable=True),
        sa.Column("date_decision", sa.Date(), nullable=True),
        sa.Column("objet", sa.Text(), nullable=False),
        sa.Column("matiere", sa.Text(), nullable=True),
        sa.Column("classification_date", sa.Date(), nullable=True),
        sa.Column("document_papier", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("deposited_by", sa.Text(), nullable=False),
        sa.Column("responsible_user_id", sa.Text(collation="C"), nullable=False),
        sa.Column("awaits", sa.Text(), server_default=sa.text("'pli'"), nullable=False),
        sa.Column("echeance", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("jour", sa.Date(), nullable=True),
        sa.Column("rang", sa.Integer(), nullable=True),
        sa.Column("archive_nom", sa.Text(), nullable=True),
        sa.Column("id_acte", sa.Text(), nullable=True),
        sa.Column("date_transmission", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("date_ar", sa.Date(), nullable=True),
        sa.Column("precedente_id", sa.Text(collation="C"), nullable=True),
        sa.Column("acte_id", sa.Text(collation="C"), nullable=True),
        sa.Column("refus", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("texte_recherche", sa.Text(), nullable=False),
        sa.Column(
            "recherche",
            postgresql.TSVECTOR(),
            sa.Computed("to_tsvector('french'::regconfig, texte_recherche)", persisted=True),
            nullable=False,
        ),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("collectivite_id", sa.Text(collation="C"), nullable=False),
        sa.CheckConstraint(
            "(etat in ('depose','pret','transmis','incertain','a_decider','acquitte')) = (echeance is not null)",
            name="enveloppe_open_has_next_date",
        ),
        sa.ForeignKeyConstraint(
            ["acte_id"],
            ["enveloppe.id"],
        ),
        sa.ForeignKeyConstraint(
            ["collectivite_id"],
            ["collectivite.id"],
        ),
        sa.ForeignKeyConstraint(
            ["precedente_id"],
            ["enveloppe.id"],
        ),
        sa.ForeignKeyConstraint(
            ["responsible_user_id"],
            ["user_account.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("collectivite_id", "jour", "rang", name="enveloppe_rang"),
    )
    op.create_index(
        "enveloppe_annulation",
        "enveloppe",
        ["acte_id"],
        unique=True,
        postgresql_where=sa.text(
            "transaction = '6-1' and etat in ('depose','pret','transmis','incertain','a_decider','acquitte','scelle')"
        ),
    )
    op.create_index(
        "enveloppe_archive",
        "enveloppe",
        ["archive_nom"],
        unique=True,
        postgresql_where=sa.text("archive_nom is not null"),
    )
    op.create_index("enveloppe_body", "enveloppe", ["collectivite_id", "id"], unique=False)
    op.create_index("enveloppe_body_ar", "enveloppe", ["collectivite_id", "date_ar", "id"], unique=False)
    op.create_index("enveloppe_body_etat", "enveloppe", ["collectivite_id", "etat", "id"], unique=False)
    op.create_index("enveloppe_body_famille", "enveloppe", ["collectivite_id", "famille", "id"], unique=False)
    op.create_index("enveloppe_body_matiere", "enveloppe", ["collectivite_id", "matiere", "id"], unique=False)
    op.create_index("enveloppe_body_nature", "enveloppe", ["collectivite_id", "nature", "id"], unique=False)
    op.create_index(
        "enveloppe_acte",
        "enveloppe",
        ["acte_id"],
        unique=False,
        postgresql_where=sa.text("acte_id is not null"),
    )
    op.create_index("enveloppe_etat", "enveloppe", ["etat", "id"], unique=False)
    op.create_index("enveloppe_famille", "enveloppe", ["famille", "id"], unique=False)
    op.create_index(
        "enveloppe_id_acte",
        "enveloppe",
        ["id_acte"],
        unique=False,
        postgresql_where=sa.text("id_acte is not null"),
    )
    op.create_index(
        "enveloppe_nom",
        "enveloppe",
        [sa.literal_column("substr(archive_nom, 5)")],
        unique=False,
        postgresql_where=sa.text("archive_nom is not null"),
    )
    op.create_index(
        "enveloppe_numero",
        "enveloppe",
        ["collectivite_id", "numero"],
        unique=True,
        postgresql_where=sa.text("numero_retenu and transaction = '1-1'"),
    )
    op.create_index(
        "enveloppe_precedente",
        "enveloppe",
        ["precedente_id"],
        unique=False,
        postgresql_where=sa.text("precedente_id is not null"),
    )
    op.create_index("enveloppe_recherche", "enveloppe", ["recherche"], unique=False, postgresql_using="gin")
    op.create_table(
        "membership",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.Text(collation="C"), nullable=False),
        sa.Column("collectivite_id", sa.Text(collation="C"), nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(role = 'administrateur') = (collectivite_id is null)", name="membership_platform_role"
        ),
        sa.CheckConstraint(
            "role in ('agent','signataire','archiviste','administrateur_collectivite','administrateur')",
            name="membership_role",
        ),
        sa.ForeignKeyConstraint(
            ["collectivite_id"],
            ["collectivite.id"],
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["user_account.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("user_id", "collectivite_id", "role", postgresql_nulls_not_distinct=True),
    )
    op.create_table(
        "serial",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("jour", sa.Date(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.Column("collectivite_id", sa.Text(collation="C"), nullable=False),
        sa.ForeignKeyConstraint(
            ["collectivite_id"],
            ["collectivite.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("collectivite_id", "jour", name="serial_day"),
    )
    op.create_table(
        "upload_intent",
        sa.Column("enveloppe_id", sa.Text(collation="C"), nullable=False),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("collectivite_id", sa.Text(collation="C"), nullable=False),
        sa.ForeignKeyConstraint(
            ["collectivite_id"],
            ["collectivite.id"],
        ),
        sa.PrimaryKeyConstraint("enveloppe_id"),
    )
    op.create_table(
        "web_session",
        sa.Column("token_sha256", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(collation="C"), nullable=False),
        sa.Column("csrf_token", sa.Text(), nullable=False),
        sa.Column("collectivite_id", sa.Text(collation="C"), nullable=True),
        sa.Column(
            "created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["collectivite_id"],
            ["collectivite.id"],
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["user_account.id"],
        ),
        sa.PrimaryKeyConstraint("token_sha256"),
    )
    op.create_table(
        "window_use",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.Column("period_start", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("consumed_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["window_id"], ["transmission_window.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("window_id", "period_start", name="window_use_period"),
    )
    op.create_table(
        "idempotency_key",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("enveloppe_id", sa.Text(collation="C"), nullable=False),
        sa.Column(
            "created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("collectivite_id", sa.Text(collation="C"), nullable=False),
        sa.ForeignKeyConstraint(
            ["collectivite_id"],
            ["collectivite.id"],
        ),
        sa.ForeignKeyConstraint(
            ["enveloppe_id"],
            ["enveloppe.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("caller", "key", name="idempotency_key_once"),
    )
    op.create_table(
        "return_mail",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("message_sha512", sa.Text(), nullable=False),
        sa.Column("received_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("enveloppe_id", sa.Text(collation="C"), nullable=True),
        sa.Column("transaction", sa.Text(), nullable=True),
        sa.Column("applied", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("resolved_by", sa.Text(), nullable=True),
        sa.Column("resolved_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.CheckConstraint("state in ('matched','quarantined','resolved')", name="return_mail_state"),
        sa.ForeignKeyConstraint(
            ["enveloppe_id"],
            ["enveloppe.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("message_sha512"),
    )
    op.create_index("return_mail_quarantine", "return_mail", ["state", "received_at"], unique=False)
    op.create_table(
        "sealed_record",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("enveloppe_id", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sealed_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("manifest_sha512", sa.Text(), nullable=False),
        sa.Column("manifest_bucket", sa.Text(), nullable=False),
        sa.Column("manifest_key", sa.Text(), nullable=False),
        sa.Column("manifest_size", sa.BigInteger(), nullable=False),
        sa.Column("locked", sa.Boolean(), nullable=False),
        sa.Column("collectivite_id", sa.Text(collation="C"), nullable=False),
        sa.ForeignKeyConstraint(
            ["collectivite_id"],
            ["collectivite.id"],
        ),
        sa.ForeignKeyConstraint(
            ["enveloppe_id"],
            ["enveloppe.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("enveloppe_id", "version", name="sealed_record_version"),
    )
    op.create_index("sealed_record_body", "sealed_record", ["collectivite_id", "sealed_at"], unique=False)
    op.create_table(
        "send_attempt",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("enveloppe_id", sa.Text(collation="C"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("ended_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("collectivite_id", sa.Text(collation="C"), nullable=False),
        sa.CheckConstraint("outcome in ('answered','unknown','not_left')", name="send_attempt_outcome"),
        sa.ForeignKeyConstraint(
            ["collectivite_id"],
            ["collectivite.id"],
        ),
        sa.ForeignKeyConstraint(
            ["enveloppe_id"],
            ["enveloppe.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("enveloppe_id", "number", name="send_attempt_number"),
    )
    op.create_table(
        "stored_file",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("enveloppe_id", sa.Text(collation="C"), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("nom", sa.Text(), nullable=False),
        sa.Column("nom_norme", sa.Text(), nullable=True),
        sa.Column("code_pj", sa.String(length=5), nullable=True),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("sha512", sa.Text(), nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=False),
        sa.Column(
            "created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("collectivite_id", sa.Text(collation="C"), nullable=False),
        sa.ForeignKeyConstraint(
            ["collectivite_id"],
            ["collectivite.id"],
        ),
        sa.ForeignKeyConstraint(
            ["enveloppe_id"],
            ["enveloppe.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("enveloppe_id", "role", "position", name="stored_file_place"),
    )
    op.create_index("stored_file_key", "stored_file", ["object_key"], unique=False)
    op.create_table(
        "timeline_event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("enveloppe_id", sa.Text(collation="C"), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("etat", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column(
            "params",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("file_id", sa.Text(collation="C"), nullable=True),
        sa.Column("collectivite_id", sa.Text(collation="C"), nullable=False),
        sa.ForeignKeyConstraint(
            ["collectivite_id"],
            ["collectivite.id"],
        ),
        sa.ForeignKeyConstraint(
            ["enveloppe_id"],
            ["enveloppe.id"],
        ),
        sa.ForeignKeyConstraint(
            ["file_id"],
            ["stored_file.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("timeline_event_envelope", "timeline_event", ["enveloppe_id", "id"], unique=False)
    op.execute(
        """
        create function timeline_tell() returns trigger language plpgsql as $tell$
        begin
            perform pg_notify('pli_timeline', json_build_object(
                'collectivite_id', new.collectivite_id, 'enveloppe_id', new.enveloppe_id)::text);
            return null;
        end $tell$;
        create trigger timeline_tell after insert on timeline_event
            for each row execute function timeline_tell();
        """
    )
