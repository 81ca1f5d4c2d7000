"""People, tokens and certificates: who comes in, who is kept out, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from argon2 import PasswordHasher
from sqlalchemy.orm import Session

from registry import accounts
from registry.accounts import AccountRefused, Outcome
from registry.door import NotFound, Platform, Register
from registry.models import ApiToken, User

NOW = datetime(2026, 11, 23, 9, 0, 15, tzinfo=UTC)
PASSWORD = "quatre mots de passe"


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "_PASSWORDS", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@contextmanager
def inside(register: Register) -> Iterator[Session]:
    with register.session(Platform("test")) as session:
        yield session


@pytest.fixture
def person(register: Register) -> str:
    with inside(register) as session:
        return accounts.add_user(session, NOW, email=" Agnes@Mairie.FR ", nom="Agnès", password=PASSWORD)


def body(register: Register, siren: str = "213502388") -> str:
    with inside(register) as session:
        return accounts.add_collectivite(
            session, NOW, siren=siren, nom=f"Commune {siren}", departement="035", arrondissement="1",
            nature="31", email="mairie@exemple.fr",
        )  # fmt: skip


def enter(
    register: Register, password: str = PASSWORD, code: str | None = None, after: timedelta = timedelta()
) -> Outcome:
    return accounts.sign_in(register, "agnes@mairie.fr", password, code, NOW + after).outcome


def test_the_right_password_lets_in_and_the_wrong_one_does_not(register: Register, person: str) -> None:
    assert accounts.sign_in(register, "AGNES@mairie.fr", PASSWORD, None, NOW).user_id == person
    assert enter(register, "autre") is Outcome.REFUSED
    assert accounts.sign_in(register, "inconnue@mairie.fr", PASSWORD, None, NOW).outcome is Outcome.REFUSED


def test_passwords_are_hashed_by_argon2id(register: Register, person: str) -> None:
    with inside(register) as session:
        assert session.get_one(User, person).password_hash.startswith("$argon2id$")


def test_five_failures_lock_for_a_quarter_of_an_hour(register: Register, person: str) -> None:
    for _ in range(accounts.ALLOWED_FAILURES):
        assert enter(register, "autre") is Outcome.REFUSED
    assert enter(register) is Outcome.REFUSED
    assert enter(register, after=timedelta(minutes=14)) is Outcome.REFUSED
    assert enter(register, after=timedelta(minutes=15)) is Outcome.SIGNED_IN


def test_concurrent_guesses_are_counted_one_by_one(register: Register, person: str) -> None:
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda _: enter(register, "autre"), range(5)))
    assert enter(register) is Outcome.REFUSED


def test_a_success_forgets_the_failures_before_it(register: Register, person: str) -> None:
    for _ in range(3):
        for _ in range(accounts.ALLOWED_FAILURES - 1):
            enter(register, "autre")
        assert enter(register) is Outcome.SIGNED_IN


def with_totp(register: Register, person: str) -> pyotp.TOTP:
    secret = accounts.new_totp_secret()
    totp = pyotp.TOTP(secret)
    with inside(register) as session:
        accounts.enable_totp(session, person, secret, totp.at(NOW - timedelta(minutes=1, seconds=-30)), NOW)
    return totp


def test_a_code_is_asked_for_once_set_up_and_serves_once(register: Register, person: str) -> None:
    totp = with_totp(register, person)
    assert enter(register) is Outcome.CODE_NEEDED
    assert enter(register, code="000000") is Outcome.CODE_REFUSED
    code = totp.at(NOW)
    assert enter(register, "autre", code) is Outcome.REFUSED
    assert enter(register, code=f"{code[:3]} {code[3:]}") is Outcome.SIGNED_IN
    assert enter(register, code=code) is Outcome.CODE_REFUSED
    assert enter(register, code=totp.at(NOW - timedelta(seconds=30))) is Outcome.CODE_REFUSED
    later = timedelta(seconds=60)
    assert enter(register, code=totp.at(NOW + later), after=later) is Outcome.SIGNED_IN


def test_one_of_two_concurrent_uses_of_a_code_is_refused(register: Register, person: str) -> None:
    code = with_totp(register, person).at(NOW)
    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(lambda _: enter(register, code=code), range(2)))
    assert outcomes == [Outcome.CODE_REFUSED, Outcome.SIGNED_IN]


def test_wrong_codes_lock_too(register: Register, person: str) -> None:
    totp = with_totp(register, person)
    for _ in range(accounts.ALLOWED_FAILURES):
        enter(register, code="000000")
    assert enter(register, code=totp.at(NOW)) is Outcome.REFUSED


def test_a_secret_holds_once_a_code_of_it_was_seen(register: Register, person: str) -> None:
    with inside(register) as session, pytest.raises(AccountRefused, match="code_refuse"):
        accounts.enable_totp(session, person, accounts.new_totp_secret(), "123456", NOW)
    assert enter(register) is Outcome.SIGNED_IN


def test_accounts_are_refused_with_a_reason(register: Register, person: str) -> None:
    own = body(register)
    with inside(register) as session:
        with pytest.raises(AccountRefused, match="adresse_deja_connue"):
            accounts.add_user(session, NOW, email="agnes@mairie.fr", nom="x", password=PASSWORD)
        with pytest.raises(AccountRefused, match="mot_de_passe_trop_court"):
            accounts.add_user(session, NOW, email="b@mairie.fr", nom="x", password="court")
        with pytest.raises(AccountRefused, match="role_inconnu"):
            accounts.grant(session, person, "administrateur", own)
        with pytest.raises(AccountRefused, match="role_inconnu"):
            accounts.grant(session, person, "agent", None)
        with pytest.raises(AccountRefused, match="droit_inconnu"):
            accounts.create_token(
                session, NOW, collectivite_id=own, label="x", rights={"plateforme:administrer"},
                responsible_user_id=person,
            )  # fmt: skip
    with pytest.raises(AccountRefused, match="siren_deja_connu"):
        body(register)


def test_a_person_works_for_the_only_body_or_chooses(register: Register, person: str) -> None:
    one, two, foreign = body(register), body(register, "214400152"), body(register, "356000000")
    with inside(register) as session:
        accounts.grant(session, person, "agent", one)
        first = accounts.open_web_session(session, person, NOW)
        accounts.grant(session, person, "archiviste", two)
        accounts.grant(session, person, "archiviste", two)
        second = accounts.open_web_session(session, person, NOW)
    with inside(register) as session:
        found = accounts.find_web_session(session, first.cookie, NOW)
        assert found is not None
        assert found.collectivite_id == one
        assert len(found.roles) == 2
        undecided = accounts.find_web_session(session, second.cookie, NOW)
        assert undecided is not None
        assert undecided.collectivite_id is None
        accounts.choose_body(session, second.cookie, two, NOW)
        with pytest.raises(NotFound):
            accounts.choose_body(session, second.cookie, foreign, NOW)
        with pytest.raises(NotFound):
            accounts.choose_body(session, second.cookie, None, NOW)


def test_a_browser_is_signed_out_by_time_by_hand_and_by_a_new_password(
    register: Register, person: str
) -> None:
    def opened() -> str:
        with inside(register) as session:
            return accounts.open_web_session(session, person, NOW).cookie

    def known(cookie: str, after: timedelta = timedelta()) -> bool:
        with inside(register) as session:
            return accounts.find_web_session(session, cookie, NOW + after) is not None

    by_hand, by_password, by_shutting = opened(), opened(), None
    assert known(by_hand)
    assert not known(by_hand, accounts.SESSION_LIFE)
    with inside(register) as session:
        accounts.close_web_session(session, by_hand)
    assert (known(by_hand), known(by_password)) == (False, True)
    with inside(register) as session:
        accounts.set_password(session, person, "un tout autre mot de passe")
    assert not known(by_password)
    by_shutting = opened()
    with inside(register) as session:
        accounts.set_active(session, person, False)
    assert not known(by_shutting)
    assert enter(register, "un tout autre mot de passe") is Outcome.REFUSED


def test_whoever_answers_for_software_works_for_its_body(register: Register, person: str) -> None:
    own, other = body(register), body(register, "214400152")
    with inside(register) as session:
        accounts.grant(session, person, "agent", other)
        with pytest.raises(AccountRefused, match="responsable_hors_collectivite"):
            accounts.create_token(
                session,
                NOW,
                collectivite_id=own,
                label="x",
                rights={"actes:lire"},
                responsible_user_id=person,
            )
        with pytest.raises(AccountRefused, match="responsable_hors_collectivite"):
            accounts.add_certificate(
                session, NOW, fingerprint_sha256="ab" * 32, collectivite_id=own, label="x",
                rights={"actes:lire"},
                responsible_user_id=person,
            )  # fmt: skip


def test_a_token_is_stored_hashed_and_its_use_is_noted_once_a_minute(register: Register, person: str) -> None:
    own = body(register)
    with inside(register) as session:
        accounts.grant(session, person, "agent", own)
        token = accounts.create_token(
            session, NOW, collectivite_id=own, label="Logiciel", rights={"actes:lire", "actes:deposer"},
            responsible_user_id=person,
        )  # fmt: skip
    with inside(register) as session:
        row = session.get_one(ApiToken, token.id)
        assert token.secret not in (row.secret_sha256, row.prefix)
        assert token.secret.startswith(row.prefix)

    def use(after: float) -> datetime | None:
        with inside(register) as session:
            access = accounts.find_token(session, token.secret, NOW + timedelta(seconds=after))
            assert access is not None
            assert access.rights == ("actes:deposer", "actes:lire")
        with inside(register) as session:
            return session.get_one(ApiToken, token.id).last_used_at

    assert use(0) == NOW
    assert use(59) == NOW
    assert use(60) == NOW + timedelta(seconds=60)


def test_only_the_bodys_own_tokens_and_certificates_can_be_revoked(register: Register, person: str) -> None:
    own, other = body(register), body(register, "214400152")
    with inside(register) as session:
        accounts.grant(session, person, "agent", own)
        token = accounts.create_token(
            session, NOW, collectivite_id=own, label="x", rights={"actes:lire"}, responsible_user_id=person
        )
        accounts.add_certificate(
            session, NOW, fingerprint_sha256="AB" * 32, collectivite_id=own, label="x", rights={"actes:lire"},
            responsible_user_id=person,
        )  # fmt: skip
    with inside(register) as session:
        with pytest.raises(NotFound):
            accounts.revoke_token(session, other, token.id, NOW)
        with pytest.raises(NotFound):
            accounts.revoke_certificate(session, other, "ab" * 32, NOW)
        assert accounts.find_certificate(session, "ab" * 32) is not None
        accounts.revoke_certificate(session, own, "ab" * 32, NOW)
        assert accounts.find_certificate(session, "ab" * 32) is None
        assert [c.label for c in accounts.certificates_of(session, own)] == ["x"]
        assert accounts.tokens_of(session, other) == []
