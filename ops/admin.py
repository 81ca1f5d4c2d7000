"""`pli admin …`: bodies, people, roles, tokens, certificates and byte quotas, straight in the register."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import select
from sqlalchemy.orm import Session

from ops.logs import configure_logs
from ops.settings import NORM_EMAIL, Settings, SettingsRefused, load_settings
from registry import accounts
from registry.door import NotFound, Platform, Register
from registry.migrate import upgrade
from registry.models import Collectivite, TransmissionWindow, User, WindowUse
from schemas.catalogue import load
from schemas.findings import UnknownMessage
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
    _require(Siren.valid(siren), f"{siren} is not a SIREN")
    _require(Departement.valid(departement), f"{departement} is not a département")
    _require(re.fullmatch("[0-9]{2}", nature) is not None, "the nature has two digits")
    _require(re.fullmatch("[0-9]", arrondissement) is not None, "the arrondissement has one digit")
    _require(re.match(NORM_EMAIL, email) is not None, f"{email} is not an address that the norm takes")
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
    table = Table("SIREN", "name", "département", "nature", "active", "id", box=None, pad_edge=False)
    with _session() as session:
        for body in accounts.collectivites(session):
            active = "yes" if body.active else "no"
            table.add_row(body.siren, body.nom, body.departement, body.nature, active, body.id)
    out.print(table)


@user_app.command("add")
def add_user(
    email: Annotated[str, typer.Argument(help="The person’s e-mail address, with which to sign in.")],
    nom: Annotated[str, typer.Option(help="The person’s name.")],
) -> None:
    """Add a person; the password is drawn by chance and shown once."""
    password = secrets.token_urlsafe(15)
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
    with _session() as session:
        accounts.grant(session, _user(session, email).id, role, _body(session, siren).id if siren else None)


@user_app.command("revoke")
def revoke_role(
    email: Annotated[str, typer.Argument(help="The person’s e-mail address.")],
    role: Annotated[str, typer.Argument(help=", ".join(accounts.ROLES))],
    siren: Annotated[str | None, typer.Option(help="The body; none for `administrateur`.")] = None,
) -> None:
    """Take a role back."""
    with _session() as session:
        body_id = _body(session, siren).id if siren else None
        accounts.withdraw_role(session, _user(session, email).id, role, body_id)


@user_app.command("list")
def list_users() -> None:
    """List all people with their roles."""
    table = Table("e-mail", "name", "active", "TOTP", "roles", box=None, pad_edge=False)
    with _session() as session:
        for user in session.scalars(select(User).order_by(User.email)):
            roles = ", ".join(
                f"{role.role} ({role.collectivite_nom or 'platform'})"
                for role in accounts.roles_of(session, user.id)
            )
            totp = "yes" if user.totp_secret else "no"
            table.add_row(user.email, user.nom, "yes" if user.active else "no", totp, roles)
    out.print(table)


@token_app.command("add")
def add_token(
    siren: SirenArgument,
    label: Annotated[str, typer.Option(help="Name of the software.")],
    responsible: Responsible,
    right: Rights = ["actes:deposer", "actes:lire"],  # noqa: B006 - typer reads the default, nobody changes it
    days: Annotated[int | None, typer.Option(help="Days until it ends; never if absent.")] = None,
) -> None:
    """Make a token; its secret is shown once and stored nowhere."""
    now = _now()
    with _session() as session:
        made = accounts.create_token(
            session,
            now,
            collectivite_id=_body(session, siren).id,
            label=label,
            rights=right,
            responsible_user_id=_user(session, responsible).id,
            expires_at=now + timedelta(days=days) if days else None,
        )
    out.print(f"{made.id}\ntoken (shown this once): {made.secret}")


@token_app.command("list")
def list_tokens(siren: SirenArgument) -> None:
    """List the tokens of a body."""
    table = Table("id", "begins with", "software", "rights", "last used", "state", box=None, pad_edge=False)
    with _session() as session:
        for token in accounts.tokens_of(session, _body(session, siren).id):
            used = f"{token.last_used_at:%Y-%m-%d %H:%M} UTC" if token.last_used_at else "never"
            state = "revoked" if token.revoked_at else "open"
            table.add_row(token.id, token.prefix, token.label, " ".join(token.rights), used, state)
    out.print(table)


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
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except ValueError:
        _refuse(f"{file} is not a certificate (PEM)")
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
    with _session() as session:
        accounts.add_certificate(
            session,
            _now(),
            fingerprint_sha256=fingerprint,
            collectivite_id=_body(session, siren).id,
            label=label,
            rights=right,
            responsible_user_id=_user(session, responsible).id,
        )
    out.print(fingerprint)


@certificate_app.command("list")
def list_certificates(siren: SirenArgument) -> None:
    """List the certificates of a body."""
    table = Table("SHA-256", "software", "rights", "state", box=None, pad_edge=False)
    with _session() as session:
        for known in accounts.certificates_of(session, _body(session, siren).id):
            state = "revoked" if known.revoked_at else "open"
            table.add_row(known.fingerprint_sha256, known.label, " ".join(known.rights), state)
    out.print(table)


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
    table = Table("id", "when", "bytes", "used in its last period", box=None, pad_edge=False)
    with _session() as session:
        for quota in session.scalars(select(TransmissionWindow).order_by(TransmissionWindow.id)):
            when = f"{quota.begins}-{quota.ends}" if quota.kind == "window" else "every hour"
            last = session.scalar(
                select(WindowUse.consumed_bytes)
                .where(WindowUse.window_id == quota.id)
                .order_by(WindowUse.period_start.desc())
                .limit(1)
            )
            table.add_row(str(quota.id), when, str(quota.limit_bytes), str(last or 0))
    out.print(table)


@quota_app.command("remove")
def remove_quota(quota_id: Annotated[int, typer.Argument(help="Its id.")]) -> None:
    """Remove a quota."""
    with _session() as session:
        quota = session.get(TransmissionWindow, quota_id)
        if quota is None:
            raise NotFound(str(quota_id))
        session.delete(quota)


@contextmanager
def _session() -> Iterator[Session]:
    """One transaction of the administrator; what the register refuses is said in plain words, exit 2."""
    register = Register(_database_url(), pool_size=1)
    try:
        with register.session(Platform("pli admin")) as session:
            yield session
    except NotFound as error:
        _refuse(f"not found: {error}")
    except accounts.AccountRefused as error:
        _refuse(_sentence(error.code))
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
        _refuse(
            "no register: set PLI_DATABASE_URL, or start the local stack (make run) and stay in this folder"
        )


def _sentence(code: str) -> str:
    try:
        return load("api", "problems.toml").text(code, "en")
    except (UnknownMessage, KeyError):
        return code


def _body(session: Session, siren: str) -> Collectivite:
    body = accounts.collectivite_by_siren(session, siren)
    if body is None:
        raise NotFound(f"body {siren}")
    return body


def _user(session: Session, email: str) -> User:
    user = accounts.user_by_email(session, email)
    if user is None:
        raise NotFound(email)
    return user


def _window(text: str) -> tuple[str, str]:
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", text)
    if found is None:
        _refuse("a window reads HH:MM-HH:MM")
    return f"{found[1]}:{found[2]}", f"{found[3]}:{found[4]}"


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        _refuse(otherwise)


def _refuse(why: str) -> NoReturn:
    err.print(Text(why, "red"))
    raise typer.Exit(2)


def _now() -> datetime:
    return datetime.now(UTC)
