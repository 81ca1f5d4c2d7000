from __future__ import annotations

import io
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.content import JPEG, PDF, PNG, XML, ends, identify, inspect
from schemas.findings import Refused
from tests.samples import actes as samples

GOOD = {
    "pdf": (samples.pdf(3), PDF),
    "png": (samples.png(), PNG),
    "jpeg": (samples.jpeg(), JPEG),
    "xml": (samples.budget_xml(), XML),
}


def verdict(data: bytes) -> str | list[str]:
    """The media type, or the codes of what is wrong."""
    try:
        media_type = identify(*ends(io.BytesIO(data)), place="f")
    except Refused as refused:
        return [f.code for f in refused.findings]
    return [f.code for f in inspect(io.BytesIO(data), media_type, place="f")] or media_type


@pytest.mark.parametrize(("data", "media_type"), GOOD.values(), ids=GOOD)
def test_the_four_formats_are_known_by_their_bytes(data: bytes, media_type: str) -> None:
    assert verdict(data) == media_type


@pytest.mark.parametrize("data", samples.executables().values(), ids=samples.executables())
def test_programs_are_refused_as_such(data: bytes) -> None:
    assert verdict(data) == ["fichier_executable"]


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (b"", ["fichier_vide"]),
        (b"hello", ["format_inconnu"]),
        (b"PK\x03\x04" + bytes(100), ["format_inconnu"]),
        (b"\xd0\xcf\x11\xe0" + bytes(100), ["format_inconnu"]),
        (samples.eicar(), ["format_inconnu"]),
        (samples.not_a_pdf(), ["fichier_polyglotte"]),
        (samples.locked_pdf(), ["pdf_chiffre"]),
        (samples.pdf()[:-7], ["fichier_polyglotte"]),
        (samples.polyglot_pdf_zip(), ["fichier_polyglotte"]),
        (samples.polyglot_zip_in_pdf(), ["fichier_polyglotte"]),
        (samples.png() + b"PK", ["fichier_polyglotte"]),
        (samples.jpeg() + samples.pdf(), ["fichier_polyglotte"]),
        (samples.png().replace(b"IDAT", b"IDAX"), ["image_illisible"]),
        (samples.jpeg()[:20] + b"\xff\xd9", ["image_illisible"]),
        (samples.xxe(), ["xml_doctype"]),
        (samples.deep_xml(1000), ["xml_trop_profond"]),
        (b"<a><b></a>", ["xml_mal_forme"]),
    ],
)
def test_what_is_not_what_it_says_is_refused(data: bytes, codes: list[str]) -> None:
    assert verdict(data) == codes


def test_a_zip_comment_longer_than_the_end_that_is_looked_at_is_found() -> None:
    packed = io.BytesIO(samples.polyglot_zip_in_pdf())
    data = packed.getvalue()
    at = data.rfind(b"PK\x05\x06")
    comment = int.from_bytes(data[at + 20 : at + 22], "little")
    filler = b"%" + b"x" * 8000 + b"\n"
    longer = data[: at + 20] + (comment + len(filler)).to_bytes(2, "little") + filler + data[at + 22 :]
    assert identify(*ends(io.BytesIO(longer)), place="f") == PDF
    assert verdict(longer) == ["fichier_polyglotte"]


def test_a_zip_attached_inside_a_pdf_is_no_polyglot() -> None:
    import pikepdf

    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(samples.pdf())) as document:
        attached = samples.polyglot_pdf_zip()[len(samples.pdf()) :]
        document.attachments["a.zip"] = pikepdf.AttachedFileSpec(document, attached)
        document.save(out, compress_streams=False)
    assert verdict(out.getvalue()) == PDF


def test_a_pdf_of_no_page_is_refused() -> None:
    import pikepdf

    out = io.BytesIO()
    pikepdf.new().save(out)
    assert verdict(out.getvalue()) == ["pdf_illisible"]


def test_a_stream_that_unpacks_without_end_is_not_unpacked() -> None:
    import pikepdf

    deflater = zlib.compressobj(1)
    bomb = b"".join(deflater.compress(bytes(2**20)) for _ in range(130)) + deflater.flush()
    with pikepdf.open(io.BytesIO(samples.pdf())) as document:
        stream = pikepdf.Stream(document, bomb, Filter=pikepdf.Name.FlateDecode)
        with pytest.raises((pikepdf.PdfError, RuntimeError), match="memory limit"):
            stream.read_bytes()


@settings(max_examples=60)
@given(
    st.sampled_from([b"%PDF-1.7\n", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"<a>", b""]),
    st.binary(max_size=300),
)
def test_random_bytes_give_a_verdict(magic: bytes, data: bytes) -> None:
    verdict(magic + data)
    for media_type in (PDF, PNG, JPEG, XML):
        inspect(io.BytesIO(magic + data), media_type, place="f")


@settings(max_examples=60)
@given(st.sampled_from(sorted(GOOD)), st.data())
def test_damaged_files_give_a_verdict(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(GOOD[kind][0])
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    verdict(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))
    verdict(bytes(damaged))
