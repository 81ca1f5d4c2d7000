"""`pli admin …`: bodies, people, roles, tokens, certificates and byte quotas, straight in the register."""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text
from sqlalchemy import select
from sqlalchemy.orm import Session

from ops.logs import configure_logs
from ops.settings import NORM_EMAIL, Settings, SettingsRefused, load_settings
from ops.words import language, messages
from registry import accounts
from registry.door import NotFound, Platform, Register
from registry.migrate import upgrade
from registry.models import Collectivite, TransmissionWindow, User, WindowUse
from schemas.identifiers import Departement, Siren

LOCAL_DATABASE = Path("var/secrets/database-url")
"""Where the local stack keeps the register's address while it runs."""

app = typer.Typer(help="Bodies, people, tokens, certificates and quotas.", no_args_is_help=True)
body_app = typer.Typer(help="Collectivités.", no_args_is_help=True)
user_app = typer.Typer(help="People and their roles.", no_args_is_help=True)
token_app = typer.Typer(help="Access tokens of business software.", no_args_is_help=True)
certificate_app = typer.Typer(help="Client certificates of business software.", no_args_is_help=True)
quota_app = typer.Typer(help="Byte quotas towards the ministry.", no_args_is_help=True)
for name, group in (
    ("collectivite", body_app),
    ("user", user_app),
    ("token", token_app),
    ("certificate", certificate_app),
    ("quota", quota_app),
):
    app.add_typer(group, name=name)

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

SirenArgument = Annotated[str, typer.Argument(help="SIREN of the body.")]
Rights = Annotated[list[str], typer.Option(help="Right, may be repeated: actes:deposer, actes:lire…")]
Responsible = Annotated[str, typer.Option(help="E-mail of the person who decides about what it sends.")]


def settings_or_exit(process: str) -> Settings:
    """The judged settings of this process, its logs set up; where they can't serve, says why and exits 2."""
    try:
        settings = load_settings()
    except SettingsRefused as refused:
        err.print(Text(f"pli {process} can’t start with these settings:", "bold red"))
        for line in refused.lines:
            err.print(f"  - {line}")
        raise typer.Exit(2) from None
    configure_logs(process, form=settings.log_format, level=settings.log_level)
    return settings


@app.command()
def migrate() -> None:
    """Bring the register’s tables to the version that this code needs."""
    upgrade(_database_url())
    out.print("The register is up to date.")


@body_app.command("add")
def add_body(
    siren: SirenArgument,
    nom: Annotated[str, typer.Option(help="Its name.")],
    departement: Annotated[str, typer.Option(help="Three characters: 035, 02A, 974; 999 for tests.")],
    nature: Annotated[
        str, typer.Option(help="Two digits of the norm: 31 commune, 44 communauté de communes…")
    ],
    email: Annotated[str, typer.Option(help="Its own return address.")],
    arrondissement: Annotated[str, typer.Option(help="One digit.")] = "1",
) -> None:
    """Add a body."""
    _check_siren(siren)
    _require(Departement.valid(departement), "departement_invalide", donne=departement)
    _require(re.fullmatch("[0-9]{2}", nature) is not None, "nature_invalide", donne=nature)
    _require(
        re.fullmatch("[0-9]", arrondissement) is not None, "arrondissement_invalide", donne=arrondissement
    )
    _require(re.match(NORM_EMAIL, email) is not None, "adresse_invalide", donne=email)
    with _session() as session:
        made = accounts.add_collectivite(
            session,
            _now(),
            siren=siren,
            nom=nom,
            departement=departement,
            arrondissement=arrondissement,
            nature=nature,
            email=email,
        )
    out.print(made)


@body_app.command("list")
def list_bodies() -> None:
    """List all bodies."""
    rows = [("SIREN", "name", "département", "nature", "active", "id")]
    with _session() as session:
        for body in accounts.collectivites(session):
            active = "yes" if body.active else "no"
            rows.append((body.siren, body.nom, body.departement, body.nature, active, body.id))
    _show(rows)


@user_app.command("add")
def add_user(
    email: Annotated[str, typer.Argument(help="The person’s e-mail address, with which to sign in.")],
    nom: Annotated[str, typer.Option(help="The person’s name.")],
) -> None:
    """Add a person; the password is drawn by chance and shown once."""
    password = secrets.token_urlsafe(15)
    _require(re.fullmatch(r"[^@\s]+@[^@\s]+", email) is not None, "courriel_invalide", donne=email)
    with _session() as session:
        accounts.add_user(session, _now(), email=email, nom=nom, password=password)
    out.print(f"password (shown this once): {password}")


@user_app.command("password")
def reset_password(email: Annotated[str, typer.Argument(help="The person’s e-mail address.")]) -> None:
    """Give a person a new password, shown once; all browsers are signed out."""
    password = secrets.token_urlsafe(15)
    with _session() as session:
        accounts.set_password(session, _user(session, email).id, password)
    out.print(f"password (shown this once): {password}")


@user_app.command("active")
def set_active(
    email: Annotated[str, typer.Argument(help="The person’s e-mail address.")],
    active: Annotated[bool, typer.Option("--yes/--no", help="Let in, or shut out.")] = True,
) -> None:
    """Let a person in again, or shut the account."""
    with _session() as session:
        accounts.set_active(session, _user(session, email).id, active)


@user_app.command("grant")
def grant(
    email: Annotated[str, typer.Argument(help="The person’s e-mail address.")],
    role: Annotated[str, typer.Argument(help=", ".join(accounts.ROLES))],
    siren: Annotated[str | None, typer.Option(help="The body; none for `administrateur`.")] = None,
) -> None:
    """Give a person a role."""
    _check_role(role, siren)
    with _session() as session:
        accounts.grant(session, _user(session, email).id, role, _body(session, siren).id if siren else None)


@user_app.command("revoke")
def revoke_role(
    email: Annotated[str, typer.Argument(help="The person’s e-mail address.")],
    role: Annotated[str, typer.Argument(help=", ".join(accounts.ROLES))],
    siren: Annotated[str | None, typer.Option(help="The body; none for `administrateur`.")] = None,
) -> None:
    """Take a role back."""
    _check_role(role, siren)
    with _session() as session:
        body_id = _body(session, siren).id if siren else None
        accounts.withdraw_role(session, _user(session, email).id, role, body_id)


@user_app.command("list")
def list_users() -> None:
    """List all people with their roles."""
    rows = [("e-mail", "name", "active", "TOTP", "roles")]
    with _session() as session:
        for user in session.scalars(select(User).order_by(User.email)):
            roles = ", ".join(
                f"{role.role} ({role.collectivite_nom or 'platform'})"
                for role in accounts.roles_of(session, user.id)
            )
            totp = "yes" if user.totp_secret else "no"
            rows.append((user.email, user.nom, "yes" if user.active else "no", totp, roles))
    _show(rows)


@token_app.command("add")
def add_token(
    siren: SirenArgument,
    label: Annotated[str, typer.Option(help="Name of the software.")],
    responsible: Responsible,
    right: Rights = ["actes:deposer", "actes:lire"],  # noqa: B006 - typer reads the default, nobody changes it
    days: Annotated[int | None, typer.Option(help="Days until it ends; never if absent.")] = None,
) -> None:
    """Make a token; its secret is shown once and stored nowhere."""
    _check_rights(right)
    now = _now()
    with _session() as session:
        body = _body(session, siren)
        made = accounts.create_token(
            session,
            now,
            collectivite_id=body.id,
            label=label,
            rights=right,
            responsible_user_id=_responsible(session, responsible, body).id,
            expires_at=now + timedelta(days=days) if days else None,
        )
    out.print(f"{made.id}\ntoken (shown this once): {made.secret}")


@token_app.command("list")
def list_tokens(siren: SirenArgument) -> None:
    """List the tokens of a body."""
    rows = [("id", "begins with", "software", "rights", "last used", "state")]
    with _session() as session:
        for token in accounts.tokens_of(session, _body(session, siren).id):
            used = f"{token.last_used_at:%Y-%m-%d %H:%M} UTC" if token.last_used_at else "never"
            state = "revoked" if token.revoked_at else "open"
            rows.append((token.id, token.prefix, token.label, " ".join(token.rights), used, state))
    _show(rows)


@token_app.command("revoke")
def revoke_token(siren: SirenArgument, token_id: Annotated[str, typer.Argument(help="Its id.")]) -> None:
    """Shut a token for ever."""
    with _session() as session:
        accounts.revoke_token(session, _body(session, siren).id, token_id, _now())


@certificate_app.command("add")
def add_certificate(
    siren: SirenArgument,
    file: Annotated[Path, typer.Argument(help="The certificate (PEM).", exists=True, dir_okay=False)],
    label: Annotated[str, typer.Option(help="Name of the software.")],
    responsible: Responsible,
    right: Rights = ["actes:deposer", "actes:lire"],  # noqa: B006 - typer reads the default, nobody changes it
) -> None:
    """Let the holder of a client certificate in for a body."""
    _check_rights(right)
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except ValueError:
        _refuse("pas_un_certificat", fichier=str(file))
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
    with _session() as session:
        body = _body(session, siren)
        accounts.add_certificate(
            session,
            _now(),
            fingerprint_sha256=fingerprint,
            collectivite_id=body.id,
            label=label,
            rights=right,
            responsible_user_id=_responsible(session, responsible, body).id,
        )
    out.print(fingerprint)


@certificate_app.command("list")
def list_certificates(siren: SirenArgument) -> None:
    """List the certificates of a body."""
    rows = [("SHA-256", "software", "rights", "state")]
    with _session() as session:
        for known in accounts.certificates_of(session, _body(session, siren).id):
            state = "revoked" if known.revoked_at else "open"
            rows.append((known.fingerprint_sha256, known.label, " ".join(known.rights), state))
    _show(rows)


@certificate_app.command("revoke")
def revoke_certificate(
    siren: SirenArgument, fingerprint: Annotated[str, typer.Argument(help="SHA-256, hex.")]
) -> None:
    """Shut a certificate for ever."""
    with _session() as session:
        accounts.revoke_certificate(session, _body(session, siren).id, fingerprint, _now())


@quota_app.command("add")
def add_quota(
    limit: Annotated[int, typer.Argument(help="Bytes of one period.", min=1)],
    window: Annotated[
        str | None, typer.Option(help="Daily window HH:MM-HH:MM, Europe/Paris; every clock hour if absent.")
    ] = None,
) -> None:
    """Limit what leaves for the ministry, by hour or within a daily window."""
    begins, ends = _window(window) if window else (None, None)
    kind = "window" if window else "hour"
    with _session() as session:
        session.add(TransmissionWindow(kind=kind, begins=begins, ends=ends, limit_bytes=limit))


@quota_app.command("list")
def list_quotas() -> None:
    """List the quotas and what was used of them last."""
    rows = [("id", "when", "bytes", "used in its last period")]
    with _session() as session:
        for quota in session.scalars(select(TransmissionWindow).order_by(TransmissionWindow.id)):
            when = f"{quota.begins}-{quota.ends}" if quota.kind == "window" else "every hour"
            last = session.scalar(
                select(WindowUse.consumed_bytes)
                .where(WindowUse.window_id == quota.id)
                .order_by(WindowUse.period_start.desc())
                .limit(1)
            )
            rows.append((str(quota.id), when, str(quota.limit_bytes), str(last or 0)))
    _show(rows)


@quota_app.command("remove")
def remove_quota(quota_id: Annotated[int, typer.Argument(help="Its id.")]) -> None:
    """Remove a quota."""
    with _session() as session:
        quota = session.get(TransmissionWindow, quota_id)
        if quota is None:
            _refuse("quota_inconnu", donne=str(quota_id))
        session.delete(quota)


@contextmanager
def _session() -> Iterator[Session]:
    """One transaction of the administrator; what the register refuses is said in plain words, exit 2."""
    register = Register(_database_url(), pool_size=1)
    try:
        with register.session(Platform("pli admin")) as session:
            yield session
    except NotFound as error:
        _refuse("introuvable", donne=str(error))
    except accounts.AccountRefused as error:
        _refuse(error.code)
    finally:
        register.close()


def _database_url() -> str:
    """The register's address: from the settings, else that of the local stack."""
    if url := os.environ.get("PLI_DATABASE_URL"):
        return url
    file = Path(os.environ.get("PLI_DATABASE_URL_FILE", LOCAL_DATABASE))
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        _refuse("registre_absent")


def _body(session: Session, siren: str) -> Collectivite:
    _check_siren(siren)
    body = accounts.collectivite_by_siren(session, siren)
    if body is None:
        _refuse("collectivite_inconnue", donne=siren)
    return body


def _user(session: Session, email: str) -> User:
    user = accounts.user_by_email(session, email)
    if user is None:
        _refuse("personne_inconnue", donne=email)
    return user


def _responsible(session: Session, email: str, body: Collectivite) -> User:
    """The person who will decide about what a software sends for `body`: one who has a role there."""
    user = _user(session, email)
    if not any(role.collectivite_id == body.id for role in accounts.roles_of(session, user.id)):
        _refuse("responsable_hors_collectivite")
    return user


def _check_siren(siren: str) -> None:
    if re.fullmatch("[0-9]{9}", siren) is None:
        _refuse("siren_pas_neuf_chiffres", donne=siren)
    _require(Siren.valid(siren), "siren_cle_fausse", donne=siren)


def _check_role(role: str, siren: str | None) -> None:
    _require(role in accounts.ROLES, "role_inconnu", donne=role)
    if role == "administrateur":
        _require(siren is None, "role_sans_collectivite")
    else:
        _require(siren is not None, "role_avec_collectivite", donne=role)


def _check_rights(rights: Sequence[str]) -> None:
    for right in rights:
        _require(right in accounts.SOFTWARE_RIGHTS, "droit_inconnu", donne=right)


def _window(text: str) -> tuple[str, str]:
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", text)
    if found is None:
        _refuse("fenetre_invalide", donne=text)
    return f"{found[1]}:{found[2]}", f"{found[3]}:{found[4]}"


def _show(rows: Iterable[Sequence[str]]) -> None:
    """A list, its first row the heads: in columns for people, with tabs between for programs.

    Nothing is shortened: an identifier cut short is of no use to anybody.
    """
    lines = [tuple(row) for row in rows]
    if not sys.stdout.isatty():
        for line in lines:
            typer.echo("\t".join(line))
        return
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for number, line in enumerate(lines):
        padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True))
        out.print(Text("  ".join(padded).rstrip(), "" if number else "bold"))


def _require(holds: bool, otherwise: str, **params: str) -> None:
    if not holds:
        _refuse(otherwise, **params)


def _refuse(code: str, **params: str) -> NoReturn:
    """Say in words why it can't be, and what can; exit 2."""
    words, lang = messages(), language()
    known = {
        "donne": "",
        "roles": ", ".join(accounts.ROLES),
        "droits": ", ".join(sorted(accounts.SOFTWARE_RIGHTS)),
        "longueur": str(accounts.MIN_PASSWORD),
        **params,
    }
    key = f"admin_{code}" if f"admin_{code}" in set(words) else "admin_refus"
    err.print(Text(words.text(key, lang, code=code, **known), "red"))
    if remedy := words.remedy(key, lang, **known):
        err.print(Text(f"→ {remedy}"))
    raise typer.Exit(2)


def _now() -> datetime:
    return datetime.now(UTC)
