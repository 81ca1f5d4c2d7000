"""The seal is one that openssl checks, and that nobody can bend."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from signing.seal import SealKey, SealStatus, UnusableSeal, make_sandbox_seal, verify_seal

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PAIR = make_sandbox_seal("Pli, essais", NOW)
OTHER = make_sandbox_seal("Autre", NOW)
KEY = SealKey.load(*PAIR)
TEXT = "0f  pièces/délibération.pdf\n".encode()
SIGNATURE = KEY.sign(TEXT)


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def test_openssl_accepts_the_seal_and_refuses_another_text(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(TEXT)
    (tmp_path / "sig").write_bytes(SIGNATURE)
    (tmp_path / "certificat.pem").write_bytes(KEY.certificate_pem)
    public = subprocess.run(
        ["openssl", "x509", "-in", "certificat.pem", "-pubkey", "-noout"],
        cwd=tmp_path, check=True, capture_output=True,
    ).stdout  # fmt: skip
    (tmp_path / "cle.pem").write_bytes(public)
    check = ["openssl", "dgst", "-sha512", "-verify", "cle.pem", "-signature", "sig", "text"]
    assert subprocess.run(check, cwd=tmp_path, capture_output=True).stdout == b"Verified OK\n"
    (tmp_path / "text").write_bytes(TEXT + b"\n")
    assert subprocess.run(check, cwd=tmp_path, capture_output=True).returncode != 0


def test_openssl_shows_the_same_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_bytes(KEY.certificate_pem)
    shown = subprocess.run(
        ["openssl", "x509", "-in", "c.pem", "-fingerprint", "-sha256", "-noout"],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert shown.strip().split("=")[1].replace(":", "").lower() == KEY.fingerprint


def test_genuine_seal_says_who_signed() -> None:
    verdict = verify_seal(TEXT, SIGNATURE, KEY.certificate_pem)
    assert verdict.genuine
    assert "Pli\\, essais" in verdict.subject
    assert verdict.not_before == NOW
    assert verdict.fingerprint == KEY.fingerprint


def test_one_key_gives_one_signature() -> None:
    assert KEY.sign(TEXT) == SIGNATURE


def test_seal_of_another_key_is_forged() -> None:
    assert verify_seal(TEXT, SIGNATURE, OTHER[1]).status is SealStatus.FORGED


@given(st.integers(0, len(SIGNATURE) - 1), st.integers(1, 255))
def test_no_byte_of_the_signature_can_change(position: int, change: int) -> None:
    altered = bytearray(SIGNATURE)
    altered[position] ^= change
    assert verify_seal(TEXT, bytes(altered), KEY.certificate_pem).status is SealStatus.FORGED


@given(st.binary(max_size=300))
def test_any_bytes_as_certificate_or_signature_give_a_verdict(noise: bytes) -> None:
    assert verify_seal(TEXT, SIGNATURE, noise).status is SealStatus.NO_CERTIFICATE
    assert verify_seal(TEXT, noise, KEY.certificate_pem).status is SealStatus.FORGED


@pytest.mark.parametrize(
    ("key", "certificate", "code"),
    [
        (b"rien", PAIR[1], "cle_illisible"),
        (PAIR[0], b"rien", "certificat_illisible"),
        (PAIR[0], OTHER[1], "certificat_d_une_autre_cle"),
        (_pem(ec.generate_private_key(ec.SECP256R1())), PAIR[1], "cle_pas_rsa"),
        (_pem(rsa.generate_private_key(65537, 2048)), PAIR[1], "cle_trop_courte"),
    ],
)
def test_a_key_that_cannot_seal_is_refused_by_its_code(key: bytes, certificate: bytes, code: str) -> None:
    with pytest.raises(UnusableSeal) as refused:
        SealKey.load(key, certificate)
    assert refused.value.code == code


@given(st.integers(30, len(KEY.certificate_pem) - 30), st.sampled_from(b"ABCDEFGHIJKLMNOPabcdefghi0189+/"))
def test_a_damaged_certificate_gives_a_verdict(position: int, letter: int) -> None:
    damaged = bytearray(KEY.certificate_pem)
    damaged[position] = letter
    assert isinstance(verify_seal(TEXT, SIGNATURE, bytes(damaged)).status, SealStatus)


def test_the_key_never_shows_itself() -> None:
    assert "PRIVATE" not in repr(KEY)
    assert repr(KEY) == f"SealKey({KEY.fingerprint})"
