from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from sandbox.pki import make_pki


def test_keys_are_their_owners_alone(tmp_path: Path) -> None:
    pki = make_pki(tmp_path)
    for key in (pki.server_key, pki.client_key):
        assert key.stat().st_mode & 0o777 == 0o600


def test_made_once(tmp_path: Path) -> None:
    first = make_pki(tmp_path).ca.read_bytes()
    assert make_pki(tmp_path).ca.read_bytes() == first


def test_certificates_verify_for_what_they_are(tmp_path: Path) -> None:
    pki = make_pki(tmp_path)
    ca, server, client = (
        x509.load_pem_x509_certificate(path.read_bytes())
        for path in (pki.ca, pki.server_certificate, pki.client_certificate)
    )
    store = PolicyBuilder().store(Store([ca]))
    assert len(store.build_server_verifier(x509.DNSName("localhost")).verify(server, [])) == 2
    assert client.issuer == ca.subject
    client.verify_directly_issued_by(ca)
