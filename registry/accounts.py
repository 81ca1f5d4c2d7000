"""Who may come in: bodies, people, their roles, tokens and certificates of software, signed-in browsers.

Secrets are stored hashed only: passwords by argon2id, tokens and cookies (256 random bits) by SHA-256.

    RegistryError
    └── AccountRefused      an account can't be made or changed so; `code` is a key of the doors' catalogue
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from threading import BoundedSemaphore

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from registry.door import NotFound, Platform, Register, RegistryError
from registry.models import ApiToken, ClientCertificate, Collectivite, Membership, User, WebSession
from schemas.identifiers import new_id

ROLES = ("agent", "signataire", "archiviste", "administrateur_collectivite", "administrateur")
SOFTWARE_RIGHTS = frozenset({"actes:deposer", "actes:lire", "actes:decider", "archives:lire"})
"""Rights that a token or a certificate can be given; administering is for people."""

TOKEN_PREFIX = "pli_"  # noqa: S105 - a visible prefix, not a secret
MIN_PASSWORD = 12
"""Characters; length is what the CNIL asks for first (délibération 2022-100)."""
ALLOWED_FAILURES = 5
LOCKED_FOR = timedelta(minutes=15)
SESSION_LIFE = timedelta(hours=12)
LAST_USE_PRECISION = timedelta(minutes=1)
TOTP_STEP = 30
"""Seconds (RFC 6238 §4.1)."""

_PASSWORDS = PasswordHasher()
# One hash takes 64 MiB: a burst of sign-ins must not take the process's memory.
_FEW_HASHES_AT_A_TIME = BoundedSemaphore(2)


class AccountRefused(RegistryError):
    """An account can't be made or changed so."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


@dataclass(frozen=True, slots=True)
class Access:
    """What a token or a certificate opens."""

    caller: str
    """`token:<id>` or `certificate:<fingerprint>`."""
    name: str
    collectivite_id: str
    responsible_user_id: str
    rights: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token at its birth: the only moment at which its secret is known."""

    id: str
    secret: str


@dataclass(frozen=True, slots=True)
class Role:
    """One role of a person, with the body where it holds (none: the whole platform)."""

    role: str
    collectivite_id: str | None
    collectivite_nom: str | None


@dataclass(frozen=True, slots=True)
class NewWebSession:
    """A browser that has just signed in."""

    cookie: str
    csrf_token: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The person behind a browser's cookie."""

    user_id: str
    nom: str
    email: str
    csrf_token: str
    collectivite_id: str | None
    """The body that the person works for at the moment."""
    roles: tuple[Role, ...]


class Outcome(StrEnum):
    """How a sign-in ended."""

    SIGNED_IN = "signed_in"
    REFUSED = "refused"
    """Unknown address, wrong password, inactive or locked account: deliberately one answer for all."""
    CODE_NEEDED = "code_needed"
    CODE_REFUSED = "code_refused"


@dataclass(frozen=True, slots=True)
class SignIn:
    """Verdict on an address, a password and perhaps a code."""

    outcome: Outcome
    user_id: str | None = None


# Bodies


def add_collectivite(
    session: Session,
    now: datetime,
    *,
    siren: str,
    nom: str,
    departement: str,
    arrondissement: str,
    nature: str,
    email: str,
) -> str:
    """Add a body and give its id; `AccountRefused` where its SIREN is known already."""
    if session.scalar(select(Collectivite.id).where(Collectivite.siren == siren)) is not None:
        raise AccountRefused("siren_deja_connu")
    row = Collectivite(
        id=_id("col", now),
        siren=siren,
        nom=nom,
        departement=departement,
        arrondissement=arrondissement,
        nature=nature,
        email=email,
        active=True,
        created_at=now,
    )
    session.add(row)
    session.flush()
    return row.id


def collectivites(session: Session) -> Sequence[Collectivite]:
    """All bodies, by name; for administrators of the platform."""
    return session.scalars(select(Collectivite).order_by(Collectivite.nom)).all()


def collectivite(session: Session, collectivite_id: str) -> Collectivite:
    """One active body; `NotFound` where there is none."""
    row = session.get(Collectivite, collectivite_id)
    if row is None or not row.active:
        raise NotFound(collectivite_id)
    return row


def collectivite_by_siren(session: Session, siren: str) -> Collectivite | None:
    """The body with this SIREN, or None."""
    return session.scalar(select(Collectivite).where(Collectivite.siren == siren))


# People


def add_user(session: Session, now: datetime, *, email: str, nom: str, password: str) -> str:
    """Add a person and give the id; `AccountRefused` where the address is taken or the password too short."""
    address = _address(email)
    if session.scalar(select(User.id).where(User.email == address)) is not None:
        raise AccountRefused("adresse_deja_connue")
    row = User(
        id=_id("usr", now),
        email=address,
        nom=nom.strip(),
        password_hash=_hash_password(password),
        active=True,
        failed_logins=0,
        created_at=now,
    )
    session.add(row)
    session.flush()
    return row.id


def user_by_email(session: Session, email: str) -> User | None:
    """The person with this address, or None."""
    return session.scalar(select(User).where(User.email == _address(email)))


def users_of(session: Session, collectivite_id: str) -> Sequence[tuple[User, str]]:
    """People of a body with their role there, by name."""
    query = (
        select(User, Membership.role)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.collectivite_id == collectivite_id)
        .order_by(User.nom, Membership.role)
    )
    return [(user, role) for user, role in session.execute(query)]


def set_password(session: Session, user_id: str, password: str) -> None:
    """Give a new password and sign all browsers of the person out."""
    user = _user(session, user_id)
    user.password_hash = _hash_password(password)
    user.failed_logins = 0
    user.locked_until = None
    close_all_web_sessions(session, user_id)


def set_active(session: Session, user_id: str, active: bool) -> None:
    """Let a person in again, or shut the account and sign all its browsers out."""
    _user(session, user_id).active = active
    if not active:
        close_all_web_sessions(session, user_id)


def grant(session: Session, user_id: str, role: str, collectivite_id: str | None) -> None:
    """Give a role in a body (`administrateur`: without body); given already, nothing changes."""
    if role not in ROLES or (role == "administrateur") != (collectivite_id is None):
        raise AccountRefused("role_inconnu")
    if not any(r.role == role and r.collectivite_id == collectivite_id for r in roles_of(session, user_id)):
        session.add(Membership(user_id=user_id, collectivite_id=collectivite_id, role=role))
        session.flush()


def withdraw_role(session: Session, user_id: str, role: str, collectivite_id: str | None) -> None:
    """Take a role back; the person's browsers lose it at their next request."""
    session.execute(
        delete(Membership).where(
            Membership.user_id == user_id,
            Membership.role == role,
            Membership.collectivite_id.is_not_distinct_from(collectivite_id),
        )
    )


def roles_of(session: Session, user_id: str) -> tuple[Role, ...]:
    """All roles of a person in active bodies and on the platform."""
    query = (
        select(Membership.role, Membership.collectivite_id, Collectivite.nom)
        .outerjoin(Collectivite, Collectivite.id == Membership.collectivite_id)
        .where(Membership.user_id == user_id)
        .where((Membership.collectivite_id.is_(None)) | (Collectivite.active))
        .order_by(Collectivite.nom, Membership.role)
    )
    return tuple(Role(role, body, nom) for role, body, nom in session.execute(query))


# Signing in


def sign_in(register: Register, email: str, password: str, code: str | None, now: datetime) -> SignIn:
    """Check an address, a password and, where the person has set it up, a one-time code.

    The password is hashed outside any transaction. Five failures in a row lock the account for a quarter of
    an hour; a right password on a locked account gets the same answer as a wrong one. A code serves once
    (RFC 6238 §5.2).
    """
    with register.session(Platform("sign-in")) as session:
        user = session.scalar(select(User).where(User.email == _address(email)))
    right = _password_matches(user.password_hash if user else _nobodys_hash(), password)
    if user is None:
        return SignIn(Outcome.REFUSED)
    with register.session(Platform("sign-in")) as session:
        # The row lock makes concurrent guesses count one after the other, and a code serve one of them.
        user = session.scalars(select(User).where(User.id == user.id).with_for_update()).one()
        return _judge(user, right, code, now)


def _judge(user: User, password_is_right: bool, code: str | None, now: datetime) -> SignIn:
    if not user.active or (user.locked_until is not None and now < user.locked_until):
        return SignIn(Outcome.REFUSED)
    if not password_is_right:
        _count_failure(user, now)
        return SignIn(Outcome.REFUSED)
    if user.totp_secret is not None:
        if not code:
            return SignIn(Outcome.CODE_NEEDED)
        counter = _totp_counter(user.totp_secret, code, user.totp_last_counter, now)
        if counter is None:
            _count_failure(user, now)
            return SignIn(Outcome.CODE_REFUSED)
        user.totp_last_counter = counter
    user.failed_logins = 0
    user.locked_until = None
    return SignIn(Outcome.SIGNED_IN, user.id)


def _count_failure(user: User, now: datetime) -> None:
    user.failed_logins += 1
    if user.failed_logins >= ALLOWED_FAILURES:
        user.failed_logins = 0
        user.locked_until = now + LOCKED_FOR


def new_totp_secret() -> str:
    """A fresh base32 secret to show as a QR code; it holds once `enable_totp` has seen a code of it."""
    return pyotp.random_base32()


def totp_uri(secret: str, email: str) -> str:
    """The `otpauth://` address that authenticator applications read."""
    return pyotp.TOTP(secret, interval=TOTP_STEP).provisioning_uri(name=email, issuer_name="Pli")


def enable_totp(session: Session, user_id: str, secret: str, code: str, now: datetime) -> None:
    """Ask for codes of `secret` from now on; `AccountRefused` where `code` is not one."""
    counter = _totp_counter(secret, code, None, now)
    if counter is None:
        raise AccountRefused("code_refuse")
    user = _user(session, user_id)
    user.totp_secret = secret
    user.totp_last_counter = counter


def disable_totp(session: Session, user_id: str) -> None:
    """Ask for no code any more."""
    user = _user(session, user_id)
    user.totp_secret = None
    user.totp_last_counter = None


def _totp_counter(secret: str, code: str, last: int | None, now: datetime) -> int | None:
    """The step that `code` belongs to (now, one before or one after) if it is newer than `last`."""
    given = "".join(code.split())
    totp = pyotp.TOTP(secret, interval=TOTP_STEP)
    current = int(now.timestamp()) // TOTP_STEP
    for counter in (current - 1, current, current + 1):
        if hmac.compare_digest(totp.generate_otp(counter).encode(), given.encode()):
            return counter if last is None or counter > last else None
    return None


# Browsers


def open_web_session(
    session: Session, user_id: str, now: datetime, *, life: timedelta = SESSION_LIFE
) -> NewWebSession:
    """Sign a browser in. The person works for their only body, or chooses one (`choose_body`)."""
    fresh = NewWebSession(cookie=secrets.token_urlsafe(32), csrf_token=secrets.token_urlsafe(32))
    bodies = {role.collectivite_id for role in roles_of(session, user_id) if role.collectivite_id}
    session.add(
        WebSession(
            token_sha256=_digest(fresh.cookie),
            user_id=user_id,
            csrf_token=fresh.csrf_token,
            collectivite_id=bodies.pop() if len(bodies) == 1 else None,
            created_at=now,
            expires_at=now + life,
        )
    )
    session.flush()
    return fresh


def find_web_session(session: Session, cookie: str, now: datetime) -> SignedIn | None:
    """The person behind a cookie; None where it is unknown, too old, or the account is shut."""
    found = session.execute(
        select(WebSession, User)
        .join(User, User.id == WebSession.user_id)
        .where(WebSession.token_sha256 == _digest(cookie), WebSession.expires_at > now, User.active)
    ).one_or_none()
    if found is None:
        return None
    web, user = found
    return SignedIn(
        user.id, user.nom, user.email, web.csrf_token, web.collectivite_id, roles_of(session, user.id)
    )


def choose_body(session: Session, cookie: str, collectivite_id: str | None, now: datetime) -> None:
    """Work for this body from now on; `NotFound` where the person has no role there."""
    person = find_web_session(session, cookie, now)
    if person is None or not may_work_for(person.roles, collectivite_id):
        raise NotFound(collectivite_id or "")
    if collectivite_id is not None:
        collectivite(session, collectivite_id)
    session.execute(
        update(WebSession)
        .where(WebSession.token_sha256 == _digest(cookie))
        .values(collectivite_id=collectivite_id)
    )


def may_work_for(roles: Collection[Role], collectivite_id: str | None) -> bool:
    """Whether these roles reach the body; administrators of the platform reach all, and none in particular
    (None)."""
    return any(
        r.role == "administrateur" or (collectivite_id is not None and r.collectivite_id == collectivite_id)
        for r in roles
    )


def close_web_session(session: Session, cookie: str) -> None:
    """Sign a browser out."""
    session.execute(delete(WebSession).where(WebSession.token_sha256 == _digest(cookie)))


def close_all_web_sessions(session: Session, user_id: str) -> None:
    """Sign all browsers of a person out."""
    session.execute(delete(WebSession).where(WebSession.user_id == user_id))


def forget_old_web_sessions(session: Session, now: datetime) -> None:
    """Delete the sessions that have ended."""
    session.execute(delete(WebSession).where(WebSession.expires_at <= now))


# Software


def create_token(
    session: Session,
    now: datetime,
    *,
    collectivite_id: str,
    label: str,
    rights: Collection[str],
    responsible_user_id: str,
    expires_at: datetime | None = None,
) -> NewToken:
    """Make a token for a body's software; its secret is in the answer and nowhere else.

    `AccountRefused` where a right is unknown, or the person who would answer for it has no role in the body.
    """
    _check_software_rights(rights)
    _check_responsible(session, responsible_user_id, collectivite_id)
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    row = ApiToken(
        id=_id("jet", now),
        collectivite_id=collectivite_id,
        prefix=secret[:10],
        secret_sha256=_digest(secret),
        label=label,
        rights=sorted(rights),
        responsible_user_id=responsible_user_id,
        created_at=now,
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    return NewToken(row.id, secret)


def find_token(session: Session, secret: str, now: datetime) -> Access | None:
    """What a token opens; None where it is unknown, expired, revoked, or its body is shut."""
    row = session.scalar(
        select(ApiToken)
        .join(Collectivite, Collectivite.id == ApiToken.collectivite_id)
        .where(ApiToken.secret_sha256 == _digest(secret), ApiToken.revoked_at.is_(None), Collectivite.active)
    )
    if row is None or (row.expires_at is not None and row.expires_at <= now):
        return None
    if row.last_used_at is None or now - row.last_used_at >= LAST_USE_PRECISION:
        # Written at most once a minute, and only by the caller who finds it old: no queue on a busy token.
        session.execute(
            update(ApiToken)
            .where(ApiToken.id == row.id, ApiToken.last_used_at.is_not_distinct_from(row.last_used_at))
            .values(last_used_at=now)
            .execution_options(synchronize_session=False)
        )
    return Access(
        f"token:{row.id}", row.label, row.collectivite_id, row.responsible_user_id, tuple(row.rights)
    )


def tokens_of(session: Session, collectivite_id: str) -> Sequence[ApiToken]:
    """The tokens of a body, newest first."""
    query = select(ApiToken).where(ApiToken.collectivite_id == collectivite_id).order_by(ApiToken.id.desc())
    return session.scalars(query).all()


def revoke_token(session: Session, collectivite_id: str, token_id: str, now: datetime) -> None:
    """Shut a token of this body for ever; `NotFound` where the body has no such token."""
    row = session.get(ApiToken, token_id)
    if row is None or row.collectivite_id != collectivite_id:
        raise NotFound(token_id)
    row.revoked_at = row.revoked_at or now


def add_certificate(
    session: Session,
    now: datetime,
    *,
    fingerprint_sha256: str,
    collectivite_id: str,
    label: str,
    rights: Collection[str],
    responsible_user_id: str,
) -> None:
    """Let the holder of a client certificate (SHA-256 of its DER, hex) in; refused as a token is."""
    _check_software_rights(rights)
    _check_responsible(session, responsible_user_id, collectivite_id)
    if session.get(ClientCertificate, fingerprint_sha256.lower()) is not None:
        raise AccountRefused("certificat_deja_connu")
    session.add(
        ClientCertificate(
            fingerprint_sha256=fingerprint_sha256.lower(),
            collectivite_id=collectivite_id,
            label=label,
            rights=sorted(rights),
            responsible_user_id=responsible_user_id,
            created_at=now,
        )
    )
    session.flush()


def find_certificate(session: Session, fingerprint_sha256: str) -> Access | None:
    """What a certificate opens; None where it is unknown, revoked, or its body is shut."""
    row = session.scalar(
        select(ClientCertificate)
        .join(Collectivite, Collectivite.id == ClientCertificate.collectivite_id)
        .where(
            ClientCertificate.fingerprint_sha256 == fingerprint_sha256.lower(),
            ClientCertificate.revoked_at.is_(None),
            Collectivite.active,
        )
    )
    if row is None:
        return None
    caller = f"certificate:{row.fingerprint_sha256}"
    return Access(caller, row.label, row.collectivite_id, row.responsible_user_id, tuple(row.rights))


def certificates_of(session: Session, collectivite_id: str) -> Sequence[ClientCertificate]:
    """The certificates of a body, by label."""
    query = (
        select(ClientCertificate)
        .where(ClientCertificate.collectivite_id == collectivite_id)
        .order_by(ClientCertificate.label)
    )
    return session.scalars(query).all()


def revoke_certificate(session: Session, collectivite_id: str, fingerprint: str, now: datetime) -> None:
    """Shut a certificate of this body for ever; `NotFound` where the body has no such certificate."""
    row = session.get(ClientCertificate, fingerprint.lower())
    if row is None or row.collectivite_id != collectivite_id:
        raise NotFound(fingerprint)
    row.revoked_at = row.revoked_at or now


def _check_software_rights(rights: Collection[str]) -> None:
    if not rights or not set(rights) <= SOFTWARE_RIGHTS:
        raise AccountRefused("droit_inconnu")


def _check_responsible(session: Session, user_id: str, collectivite_id: str) -> None:
    # Whoever answers for a software's envelopes must be able to open them.
    if all(role.collectivite_id != collectivite_id for role in roles_of(session, user_id)):
        raise AccountRefused("responsable_hors_collectivite")


def _user(session: Session, user_id: str) -> User:
    user = session.get(User, user_id)
    if user is None:
        raise NotFound(user_id)
    return user


def _address(email: str) -> str:
    return email.strip().lower()


def _id(prefix: str, now: datetime) -> str:
    return new_id(prefix, now, secrets.token_bytes(10))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _hash_password(password: str) -> str:
    if len(password) < MIN_PASSWORD:
        raise AccountRefused("mot_de_passe_trop_court")
    with _FEW_HASHES_AT_A_TIME:
        return _PASSWORDS.hash(password)


def _password_matches(stored: str, password: str) -> bool:
    try:
        with _FEW_HASHES_AT_A_TIME:
            return _PASSWORDS.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys_hash() -> str:
    """Checked in place of an unknown person's, so that the time of the answer names nobody."""
    return _PASSWORDS.hash(secrets.token_urlsafe(16))
