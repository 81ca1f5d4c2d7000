"""Acts, their files, the ministry's mails, and hostile input; every byte is made here."""

from __future__ import annotations

import gzip
import io
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from email.message import EmailMessage

from schemas.actes.classification import national
from schemas.actes.model import Acte, Emetteur, Piece
from schemas.actes.package import Package, package_acte
from schemas.actes.rules import Context
from schemas.content import JPEG, PDF, PNG
from schemas.tar import write_archive

TODAY = date(2026, 11, 23)
TRIGRAMME, QUADRIGRAMME = "PLI", "TACT"
ADRESSES = ("retours@pli.test", "mairie@commune.test")
EMETTEUR = Emetteur(siren="214400152", departement="044", arrondissement="1", nature="31")


def pdf(pages: int = 1, text: str = "Acte") -> bytes:
    """A small PDF written by hand, with `text` on each page; valid, also for strict readers."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(pages))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {pages} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for n in range(pages):
        line = text.replace("\\", "").replace("(", "").replace(")", "").encode("cp1252", "replace")
        stream = b"BT /F1 16 Tf 72 760 Td (" + line + b") Tj ET"
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
            b"/Resources << /Font << /F1 3 0 R >> >> /Contents %d 0 R >>" % (5 + 2 * n)
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
    out = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    xref = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, xref)
    return bytes(out)


def png() -> bytes:
    """One grey pixel."""
    return (
        b"\x89PNG\r\n\x1a\n"
        + _png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
        + _png_chunk(b"IDAT", zlib.compress(b"\x00\x80"))
        + _png_chunk(b"IEND", b"")
    )


def jpeg() -> bytes:
    """One grey pixel, baseline, tables of its own."""
    quantisation = b"\xff\xdb" + struct.pack(">HB", 67, 0) + bytes([16] * 64)
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, 1, 1, 1) + b"\x01\x11\x00"
    one_code = bytes([1] + [0] * 15) + b"\x00"
    tables = b"".join(b"\xff\xc4" + struct.pack(">HB", 20, kind) + one_code for kind in (0x00, 0x10))
    scan = b"\xff\xda" + struct.pack(">HB", 8, 1) + b"\x01\x00\x00\x3f\x00" + b"\x3f"
    return b"\xff\xd8" + quantisation + frame + tables + scan + b"\xff\xd9"


def budget_xml() -> bytes:
    """A document that has the budget's root; its content is not the norm's concern here."""
    return (
        b'<?xml version="1.0" encoding="UTF-8"?>'
        b'<DocumentBudgetaire xmlns="http://www.minefi.gouv.fr/cp/demat/docbudgetaire">'
        b"<EnTeteDocBudgetaire/></DocumentBudgetaire>"
    )


def acte(**changes: object) -> Acte:
    """A deliberation that is receivable today, with what `changes` says changed."""
    plain = Acte(
        numero="2026_042",
        date_decision=date(2026, 11, 20),
        nature=1,
        matiere=(7, 10),
        objet="Tarifs de la cantine – vœu du conseil : 3,20 € le repas",
        classification_date=national().date_version,
        document=Piece("deliberation.pdf", PDF, len(pdf()), "99_DE"),
        annexes=(Piece("plan.png", PNG, len(png()), "99_SE"), Piece("photo.jpg", JPEG, len(jpeg()), "99_DE")),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def context(**changes: object) -> Context:
    """The sample commune on `TODAY` with the national classification."""
    plain = Context(emetteur=EMETTEUR, today=TODAY, classification=national())
    return replace(plain, **changes)  # type: ignore[arg-type]


def package(wanted: Acte | None = None, rang: int = 1) -> Package:
    """The envelope of `wanted`, or of the plain act."""
    return package_acte(
        wanted or acte(),
        EMETTEUR,
        jour=TODAY,
        rang=rang,
        adresses_retour=ADRESSES,
        trigramme=TRIGRAMME,
        quadrigramme=QUADRIGRAMME,
    )


def archive(packed: Package, pieces: Sequence[bytes]) -> bytes:
    """The tar.gz of `packed` with the bytes of its pieces."""
    members = [
        (packed.envelope_name, packed.envelope_xml),
        (packed.message_name, packed.message_xml),
        *zip(packed.piece_names, pieces, strict=True),
    ]
    out = io.BytesIO()
    write_archive(out, ((name, len(data), io.BytesIO(data)) for name, data in members))
    return out.getvalue()


def sample_archive() -> bytes:
    """A whole archive of the plain act."""
    return archive(package(), [pdf(), png(), jpeg()])


def mail(parts: Sequence[tuple[str, bytes]], text: str = "Retour ACTES") -> bytes:
    """A mail with `parts` (name, bytes) as attachments."""
    message = _headers()
    message.set_content(text)
    for name, data in parts:
        subtype = "xml" if name.endswith(".xml") else "octet-stream"
        message.add_attachment(data, maintype="application", subtype=subtype, filename=name)
    return message.as_bytes()


def nested_mail(parts: Sequence[tuple[str, bytes]]) -> bytes:
    """The same, its attachments inside a multipart inside a multipart/alternative, last part first."""
    inner = EmailMessage()
    inner.make_mixed()
    for name, data in reversed(parts):
        inner.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    message = _headers()
    message.set_content("Retour ACTES")
    message.make_alternative()
    message.attach(inner)
    return message.as_bytes()


def html_mail(text: str) -> bytes:
    """A mail of HTML only."""
    message = _headers()
    message.set_content(f"<html><body><p>{text}</p></body></html>", subtype="html")
    return message.as_bytes()


def _headers() -> EmailMessage:
    message = EmailMessage()
    message["From"] = "actes@interieur.test"
    message["To"] = ADRESSES[0]
    message["Subject"] = "Retour"
    return message


def xxe() -> bytes:
    """An external entity that would read a file."""
    return b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>'


def entity_bomb() -> bytes:
    """Entities of entities: 10^9 words once expanded."""
    lines = ['<!ENTITY l0 "lol">']
    lines += [f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10)]
    return f'<?xml version="1.0"?><!-- innocent --><!DOCTYPE a [{"".join(lines)}]><a>&l9;</a>'.encode()


def deep_xml(depth: int = 10**6) -> bytes:
    """Elements inside elements."""
    return b"<a>" * depth + b"</a>" * depth


def wide_xml(count: int = 600_000) -> bytes:
    """Many empty elements."""
    return b"<a>" + b"<b/>" * count + b"</a>"


def gzip_bomb(megabytes: int = 300) -> bytes:
    """Zeros, a thousand times smaller on disk."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as packed:
        for _ in range(megabytes):
            packed.write(bytes(2**20))
    return out.getvalue()


def tar_bomb(members: int = 5000) -> bytes:
    """Many small members."""
    return _tar([tarfile.TarInfo(f"f{n}.pdf") for n in range(members)])


def tar_with(change: Callable[[tarfile.TarInfo], None], name: str = "a.pdf") -> bytes:
    """One empty member whose header `change` has touched."""
    info = tarfile.TarInfo(name)
    change(info)
    return _tar([info])


def tar_named(*names: str) -> bytes:
    """Empty members of these names."""
    return _tar([tarfile.TarInfo(name) for name in names])


def tar_link(target: str = "/etc/passwd", kind: bytes = tarfile.SYMTYPE) -> bytes:
    """A link out of the archive."""

    def link(info: tarfile.TarInfo) -> None:
        info.type, info.linkname = kind, target

    return tar_with(link)


def polyglot_pdf_zip() -> bytes:
    """A PDF with a ZIP behind it: one tool reads the one, another the other."""
    return pdf() + _zip()


def polyglot_zip_in_pdf() -> bytes:
    """A PDF whose last lines are the comment of the ZIP before them."""
    packed = io.BytesIO()
    body, ending = pdf().rsplit(b"startxref", 1)
    packed.write(body)
    with zipfile.ZipFile(packed, "a") as archive_file:
        archive_file.writestr("virus.txt", "not a virus")
        archive_file.comment = b"startxref" + ending
    return packed.getvalue()


def not_a_pdf() -> bytes:
    """The signature and the end of a PDF, noise between."""
    return b"%PDF-1.7\n" + random.Random(1).randbytes(2000).replace(b"obj", b"") + b"\n%%EOF\n"


def locked_pdf() -> bytes:
    """A PDF that asks for a password."""
    import pikepdf

    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(pdf())) as document:
        document.save(out, encryption=pikepdf.Encryption(owner="a", user="b"))
    return out.getvalue()


def eicar() -> bytes:
    """The antivirus test file of EICAR, in two halves so that no scanner flags this source."""
    return b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


def executables() -> dict[str, bytes]:
    """First bytes of programs."""
    return {
        "windows": b"MZ\x90\x00" + bytes(200),
        "linux": b"\x7fELF\x02\x01\x01" + bytes(200),
        "script": b"#!/bin/sh\nrm -rf /\n",
    }


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("virus.txt", "not a virus")
    return out.getvalue()


def _tar(infos: Sequence[tarfile.TarInfo]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.USTAR_FORMAT) as packed:
        for info in infos:
            packed.addfile(info)
    return out.getvalue()
