"""PDF samples, made on the spot: plain, turned, odd, protected, broken and signed."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pikepdf
from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from pikepdf import Array, Dictionary, Name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields, signers
from pyhanko_certvalidator.registry import SimpleCertificateStore

A4 = (0, 0, 595, 842)


def plain_pdf(
    text: str = "Deliberation du conseil municipal",
    pages: int = 1,
    *,
    box: Sequence[float] = A4,
    rotate: int = 0,
    filler: int = 0,
    extra: Mapping[str, Any] | None = None,
) -> bytes:
    """A small PDF of `pages` pages with one line of `text` (ASCII) each; `filler` adds that many bytes."""
    document = pikepdf.new()
    font = document.make_indirect(
        Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica, Encoding=Name.WinAnsiEncoding)
    )
    for number in range(1, pages + 1):
        content = f"BT /F1 14 Tf 72 {box[3] - 160} Td ({text}, page {number}) Tj ET".encode("ascii")
        page = Dictionary(
            Type=Name.Page,
            MediaBox=Array(list(box)),
            Rotate=rotate,
            Resources=Dictionary(Font=Dictionary(F1=font)),
            Contents=document.make_stream(content),
            **(extra or {}),
        )
        document.pages.append(pikepdf.Page(document.make_indirect(page)))
    if filler:
        noise = document.make_stream(bytes(i * i % 251 for i in range(filler)))
        document.Root.PieceInfo = Dictionary(Pli=Dictionary(Private=noise))
    return _saved(document)


def inherited_pdf(pages: int = 3) -> bytes:
    """A PDF whose pages take box, turn and resources from their parent, and have no contents of their own."""
    document = pikepdf.new()
    for _ in range(pages):
        document.pages.append(pikepdf.Page(document.make_indirect(Dictionary(Type=Name.Page))))
    document.Root.Pages.MediaBox = Array(list(A4))
    document.Root.Pages.Rotate = 90
    document.Root.Pages.Resources = Dictionary()
    return _saved(document)


def pageless_pdf() -> bytes:
    """A PDF without page."""
    return _saved(pikepdf.new())


def encrypted_pdf(user_password: str = "") -> bytes:
    """An encrypted PDF; with an empty password anybody reads it, yet it may not be changed."""
    with pikepdf.open(io.BytesIO(plain_pdf())) as document:
        out = io.BytesIO()
        document.save(out, encryption=pikepdf.Encryption(owner="maire", user=user_password, R=6))
        return out.getvalue()


def truncated_pdf() -> bytes:
    """The first bytes of a PDF, as a broken upload leaves them."""
    return plain_pdf()[:120]


def signed_pdf(pages: int = 2, *, filler: int = 0) -> bytes:
    """A PDF with a PAdES signature by a key of the tests."""
    writer = IncrementalPdfFileWriter(io.BytesIO(plain_pdf(pages=pages, filler=filler)))
    metadata = signers.PdfSignatureMetadata(
        field_name="Signature", md_algorithm="sha256", subfilter=fields.SigSeedSubFilter.PADES
    )
    out: io.BytesIO = signers.sign_pdf(writer, metadata, signer=_signer())
    return out.getvalue()


@cache
def signing_pair() -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
    """The tests' signing key and its self-signed certificate."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Maire (essai)")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    return key, certificate


@cache
def _signer() -> signers.SimpleSigner:
    key, certificate = signing_pair()
    der = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return signers.SimpleSigner(
        signing_cert=asn1_x509.Certificate.load(certificate.public_bytes(serialization.Encoding.DER)),
        signing_key=asn1_keys.PrivateKeyInfo.load(der),
        cert_registry=SimpleCertificateStore(),
    )


def _saved(document: pikepdf.Pdf) -> bytes:
    out = io.BytesIO()
    document.save(out, deterministic_id=True)
    return out.getvalue()
