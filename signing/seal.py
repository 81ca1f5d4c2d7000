"""The platform's seal: a detached RSA signature that `openssl dgst -sha512 -verify` checks.

RSA-3072 or more, PKCS#1 v1.5, SHA-512. PKCS#1 v1.5 is chosen over PSS and ECDSA because one key gives exactly
one signature for one text: no byte of a sealed record can be changed into another valid one.

    SigningError
    └── UnusableSeal     the key or the certificate can't seal; says why
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

MINIMUM_BITS = 3072
SANDBOX_LIFETIME = timedelta(days=3650)


class SigningError(Exception):
    """Root of the errors of `signing`."""


class UnusableSeal(SigningError):
    """The key or the certificate can't seal; `code` is stable."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class SealStatus(StrEnum):
    """What the verification of a seal found."""

    GENUINE = "genuine"
    """The key of the certificate signed exactly these bytes."""
    FORGED = "forged"
    """The signature does not belong to these bytes and this certificate."""
    NO_CERTIFICATE = "no_certificate"
    """The certificate can't be read, or does not hold an RSA key."""


@dataclass(frozen=True, slots=True)
class SealVerdict:
    """What a seal says. Genuine means "this key signed": whose key it is, the reader compares."""

    status: SealStatus
    subject: str
    """Subject of the certificate (RFC 4514), or empty."""
    fingerprint: str
    """SHA-256 of the certificate (DER), lower-case hex, or empty."""
    not_before: datetime | None
    not_after: datetime | None

    @property
    def genuine(self) -> bool:
        """Whether the key of the certificate signed exactly these bytes."""
        return self.status is SealStatus.GENUINE


@dataclass(frozen=True, slots=True)
class SealKey:
    """A sealing key with its certificate; made by `load`."""

    certificate_pem: bytes
    fingerprint: str
    """SHA-256 of the certificate (DER), lower-case hex."""
    _key: rsa.RSAPrivateKey

    @classmethod
    def load(cls, key_pem: bytes, certificate_pem: bytes) -> SealKey:
        """The key and its certificate, as PEM texts (the key unencrypted, PKCS#8 or PKCS#1).

        Raises `UnusableSeal`: ``cle_illisible``, ``cle_pas_rsa``, ``cle_trop_courte`` (under 3072 bits),
        ``certificat_illisible``, ``certificat_d_une_autre_cle``.
        """
        key = _private_key(key_pem)
        holder = _read_certificate(certificate_pem)
        if holder is None:
            raise UnusableSeal("certificat_illisible")
        if holder.key != key.public_key():
            raise UnusableSeal("certificat_d_une_autre_cle")
        return cls(holder.pem, holder.fingerprint, key)

    def sign(self, data: bytes) -> bytes:
        """The detached signature of `data`: as many bytes as the key's modulus (RFC 8017 §8.2)."""
        return self._key.sign(data, padding.PKCS1v15(), hashes.SHA512())

    def __repr__(self) -> str:
        return f"SealKey({self.fingerprint})"


def verify_seal(data: bytes, signature: bytes, certificate_pem: bytes) -> SealVerdict:
    """Check `signature` over `data` with the key of `certificate_pem`; never raises."""
    holder = _read_certificate(certificate_pem)
    if holder is None or not isinstance(holder.key, rsa.RSAPublicKey):
        return SealVerdict(SealStatus.NO_CERTIFICATE, "", "", None, None)
    try:
        holder.key.verify(signature, data, padding.PKCS1v15(), hashes.SHA512())
        status = SealStatus.GENUINE
    except InvalidSignature:
        status = SealStatus.FORGED
    return SealVerdict(status, holder.subject, holder.fingerprint, holder.not_before, holder.not_after)


def make_sandbox_seal(common_name: str, now: datetime) -> tuple[bytes, bytes]:
    """A new self-signed sealing key for the local stack: (key PEM, certificate PEM), valid ten years."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=MINIMUM_BITS)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "bac a sable"),
        ]
    )
    begins = now.astimezone(UTC).replace(microsecond=0)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + SANDBOX_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_seal_usage(), critical=True)
        .sign(key, hashes.SHA512())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key_pem, certificate.public_bytes(serialization.Encoding.PEM)


def _seal_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private_key(pem: bytes) -> rsa.RSAPrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise UnusableSeal("cle_illisible") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise UnusableSeal("cle_pas_rsa")
    if key.key_size < MINIMUM_BITS:
        raise UnusableSeal("cle_trop_courte")
    return key


@dataclass(frozen=True, slots=True)
class _Holder:
    """What a certificate says of the key's holder."""

    key: object
    pem: bytes
    subject: str
    fingerprint: str
    not_before: datetime
    not_after: datetime


def _read_certificate(pem: bytes) -> _Holder | None:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        return _Holder(
            key=certificate.public_key(),
            pem=certificate.public_bytes(serialization.Encoding.PEM),
            subject=certificate.subject.rfc4514_string(),
            fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
        )
    except Exception:  # each field is parsed when asked for, and a hostile one fails in its own way
        return None
