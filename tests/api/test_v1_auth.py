"""Who comes in: tokens, client certificates, browsers; and who stays outside."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from registry import accounts
from registry.door import Platform
from registry.models import Collectivite
from tests.api.conftest import Doors

NOW = datetime.now(UTC)
PROXY = "testclient"


def code(doors: Doors, headers: dict[str, str]) -> str:
    answer = doors.client.get("/v1/introspection", headers=headers)
    return "ok" if answer.status_code == 200 else f"{answer.status_code} {answer.json()['code']}"


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer pli_faux", "Bearer autre", "Basic dTpw"])
def test_a_wrong_credential_is_refused(doors: Doors, header: str) -> None:
    assert code(doors, {"Authorization": header}) == "401 acces_refuse"


def test_nobody_is_told_how_to_come_in(doors: Doors) -> None:
    answer = doors.client.get("/v1/introspection")
    assert (answer.status_code, answer.json()["code"]) == (401, "authentification_requise")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_expired_and_revoked_tokens_and_those_of_a_shut_body_open_nothing(doors: Doors) -> None:
    register = doors.services.register

    def token(expires_at: datetime | None) -> accounts.NewToken:
        with register.session(Platform("test")) as session:
            return accounts.create_token(
                session, NOW, collectivite_id=doors.mine.id, label="x", rights={"actes:lire"},
                responsible_user_id=doors.mine.user_id, expires_at=expires_at,
            )  # fmt: skip

    assert code(doors, bearer(token(datetime.now(UTC) + timedelta(hours=1)).secret)) == "ok"
    assert code(doors, bearer(token(datetime.now(UTC)).secret)) == "401 acces_refuse"
    revoked = token(None)
    assert code(doors, bearer(revoked.secret)) == "ok"
    with register.session(Platform("test")) as session:
        accounts.revoke_token(session, doors.mine.id, revoked.id, NOW)
    assert code(doors, bearer(revoked.secret)) == "401 acces_refuse"
    with register.session(Platform("test")) as session:
        session.get_one(Collectivite, doors.mine.id).active = False
    assert code(doors, bearer(doors.mine.token)) == "401 acces_refuse"
    assert code(doors, bearer(doors.other.token)) == "ok"


class Authority:
    """A CA of the test and the certificates that it issues."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "AC essai")])
        self.certificate = (
            self._builder(self.name, self.key, NOW + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(
                x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(self.key, SHA256())
        )

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, until: datetime
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .issuer_name(self.name)
            .subject_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=10))
            .not_valid_after(until)
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def issue(
        self,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
        until: datetime = NOW + timedelta(days=5),
    ) -> x509.Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Logiciel")])
        own = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return (
            self._builder(subject, key, until)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(own, critical=False)
            .sign(self.key, SHA256())
        )


def shown(certificate: x509.Certificate) -> dict[str, str]:
    return {"Client-Cert": f":{b64encode(certificate.public_bytes(Encoding.DER)).decode()}:"}


def enrol(doors: Doors, certificate: x509.Certificate) -> str:
    fingerprint = certificate.fingerprint(SHA256()).hex()
    with doors.services.register.session(Platform("test")) as session:
        accounts.add_certificate(
            session, NOW, fingerprint_sha256=fingerprint, collectivite_id=doors.mine.id, label="Logiciel",
            rights={"actes:lire"}, responsible_user_id=doors.mine.user_id,
        )  # fmt: skip
    return fingerprint


def test_a_certificate_is_believed_from_the_proxy_only_and_verified_again(doors: Doors) -> None:
    authority, stranger = Authority(), Authority()
    good, unknown = authority.issue(), authority.issue()
    expired = authority.issue(until=NOW - timedelta(days=1))
    server = authority.issue(ExtendedKeyUsageOID.SERVER_AUTH)
    foreign = stranger.issue()
    fingerprint = enrol(doors, good)
    for certificate in (expired, server, foreign):
        enrol(doors, certificate)
    assert code(doors, shown(good)) == "401 authentification_requise"
    doors.use(
        replace(
            doors.services,
            settings=replace(doors.settings, trusted_proxies=frozenset({PROXY}), client_ca_pem=authority.pem),
        )
    )
    assert code(doors, shown(good)) == "ok"
    for certificate in (unknown, expired, server, foreign):
        assert code(doors, shown(certificate)) == "401 certificat_refuse"
    assert code(doors, {"Client-Cert": "::"}) == "401 authentification_requise"
    assert code(doors, {"Client-Cert": ":pas du base64:"}) == "401 certificat_refuse"
    assert code(doors, {"Client-Cert": ":AAAA:"}) == "401 certificat_refuse"
    with doors.services.register.session(Platform("test")) as session:
        accounts.revoke_certificate(session, doors.mine.id, fingerprint, NOW)
    assert code(doors, shown(good)) == "401 certificat_refuse"


def browser(doors: Doors) -> dict[str, str]:
    with doors.services.register.session(Platform("test")) as session:
        web = accounts.open_web_session(session, doors.mine.user_id, datetime.now(UTC))
    return {"Cookie": f"session={web.cookie}"}


def test_a_browser_reads_through_the_api_and_never_writes(doors: Doors) -> None:
    cookie = browser(doors)
    assert code(doors, cookie) == "ok"
    headers = {**cookie, "Idempotency-Key": "k"}
    answer = doors.client.post("/v1/classifications/demande", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "ecriture_par_navigateur")


def test_a_role_that_is_taken_back_is_gone_at_the_next_request(doors: Doors) -> None:
    cookie = browser(doors)
    with doors.services.register.session(Platform("test")) as session:
        accounts.withdraw_role(session, doors.mine.user_id, "agent", doors.mine.id)
    assert code(doors, cookie) == "403 droit_manquant"


def test_health_is_open_and_says_nothing_else(doors: Doors) -> None:
    assert doors.client.get("/sante").json() == {"etat": "ok"}
