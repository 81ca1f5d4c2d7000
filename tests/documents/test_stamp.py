"""The stamp stands where a reader sees the top left, and never harms what was signed."""

from __future__ import annotations

import io
import warnings
from datetime import date

import pikepdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pikepdf import Array, Dictionary
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature

from documents.errors import DocumentError
from documents.stamp import HEIGHT, MARGIN, WIDTH, Stamp, placement, stamp_pdf
from tests.documents.reading import text_of
from tests.samples.pdf import (
    encrypted_pdf,
    inherited_pdf,
    pageless_pdf,
    plain_pdf,
    signed_pdf,
    truncated_pdf,
)

STAMP = Stamp(date(2026, 11, 22), date(2026, 11, 23), None, "071-217100122-20261120-DEL_2026_041-DE")
SIGNED = signed_pdf()
PLAIN = plain_pdf(pages=3)


def _seen(matrix: tuple[float, ...], box: tuple[float, ...], rotation: int) -> list[tuple[float, float]]:
    """Bottom left and top right of the stamp as its reader sees them, from the top left, y downwards."""
    a, b, c, d, e, f = matrix
    left, bottom, right, top = box
    seen = []
    for u, v in ((0.0, 0.0), (WIDTH, HEIGHT)):
        x, y = a * u + c * v + e, b * u + d * v + f
        seen.append(
            {
                0: (x - left, top - y),
                90: (y - bottom, x - left),
                180: (right - x, y - bottom),
                270: (top - y, right - x),
            }[rotation]
        )
    return seen


@given(
    st.sampled_from([0, 90, 180, 270]),
    st.floats(-500, 500),
    st.floats(-500, 500),
    st.floats(300, 3000),
    st.floats(300, 3000),
)
def test_the_stamp_is_at_the_readers_top_left_however_the_page_is_turned(
    rotation: int, left: float, bottom: float, wide: float, high: float
) -> None:
    box = (left, bottom, left + wide, bottom + high)
    lower_left, upper_right = _seen(placement(box, rotation), box, rotation)
    assert lower_left == pytest.approx((MARGIN, MARGIN + HEIGHT), abs=1e-6)
    assert upper_right == pytest.approx((MARGIN + WIDTH, MARGIN), abs=1e-6)


def test_a_small_page_gets_a_small_stamp() -> None:
    matrix = placement((0, 0, 110, 400), 0)
    assert matrix[0] == pytest.approx(0.5)


def test_a_page_in_larger_units_gets_the_same_size_on_paper() -> None:
    assert placement((0, 0, 3000, 3000), 0, 2.0)[0] == pytest.approx(0.5)


def test_a_box_drawn_backwards_is_read_as_the_norm_says() -> None:
    assert placement((595, 842, 0, 0), 0) == placement((0, 0, 595, 842), 0)


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (0, 0, float("inf"), 10), (0, 0, float("nan"), 10)])
def test_a_page_without_area_is_refused(box: tuple[float, ...]) -> None:
    with pytest.raises(ValueError):
        placement(box, 0)


def test_every_page_says_when_and_which_act() -> None:
    pages = text_of(stamp_pdf(PLAIN, STAMP)).split("\f")[:3]
    for number, page in enumerate(pages, 1):
        assert "Envoyé en préfecture le 22/11/2026" in page
        assert "Reçu en préfecture le 23/11/2026" in page
        assert "ID : 071-217100122-20261120-DEL_2026_041-DE" in page
        assert f"page {number}" in page


def test_publication_stays_blank_until_it_is_known() -> None:
    assert "Publié le\n" in text_of(stamp_pdf(PLAIN, STAMP)).replace(" \n", "\n")
    published = Stamp(STAMP.envoye, STAMP.recu, date(2026, 11, 24), STAMP.id_acte)
    assert "Publié le 24/11/2026" in text_of(stamp_pdf(PLAIN, published))


@pytest.mark.parametrize("pdf", [PLAIN, SIGNED, inherited_pdf()], ids=["plain", "signed", "inherited"])
def test_a_stamped_copy_is_sound(pdf: bytes) -> None:
    with pikepdf.open(io.BytesIO(stamp_pdf(pdf, STAMP))) as document:
        assert document.check_pdf_syntax() == []
        for page in document.pages:
            forms = [key for key in page.resources["/XObject"] if key.startswith("/PliTampon")]
            assert len(forms) == 1
            fonts = page.resources["/XObject"][forms[0]].Resources.Font
            assert all("/FontFile2" in str(font.DescendantFonts[0].FontDescriptor.keys()) for font in
                       (fonts[key] for key in fonts))  # fmt: skip


def test_the_same_copy_twice_is_the_same() -> None:
    assert stamp_pdf(PLAIN, STAMP) == stamp_pdf(PLAIN, STAMP)


def test_a_copy_stamped_twice_shows_both() -> None:
    later = Stamp(STAMP.envoye, STAMP.recu, date(2026, 11, 24), STAMP.id_acte)
    with pikepdf.open(io.BytesIO(stamp_pdf(stamp_pdf(PLAIN, STAMP), later))) as document:
        assert len(document.pages[0].resources["/XObject"].keys()) == 2


def test_a_signed_act_keeps_its_bytes_and_its_signature() -> None:
    stamped = stamp_pdf(SIGNED, STAMP)
    assert stamped.startswith(SIGNED)
    assert "Reçu en préfecture le 23/11/2026" in text_of(stamped)
    [signature] = PdfFileReader(io.BytesIO(stamped)).embedded_signatures
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        status = validate_pdf_signature(signature)
    assert status.intact
    assert status.valid


def test_only_an_unsigned_act_is_rewritten() -> None:
    assert not stamp_pdf(PLAIN, STAMP).startswith(PLAIN)


def test_an_act_that_announces_signatures_is_never_rewritten() -> None:
    with pikepdf.open(io.BytesIO(PLAIN)) as document:
        document.Root.AcroForm = Dictionary(Fields=Array([]), SigFlags=3)
        out = io.BytesIO()
        document.save(out)
    assert stamp_pdf(out.getvalue(), STAMP).startswith(out.getvalue())


@pytest.mark.parametrize(
    ("pdf", "code"),
    [
        (b"", "pdf_illisible"),
        (b"%PDF-1.7\nrien", "pdf_illisible"),
        (b"<html></html>", "pdf_illisible"),
        (truncated_pdf(), "pdf_illisible"),
        (pageless_pdf(), "pdf_illisible"),
        (encrypted_pdf(), "pdf_chiffre"),
        (encrypted_pdf("secret"), "pdf_chiffre"),
        (plain_pdf(box=(0, 0, 0, 0)), "pdf_illisible"),
        (plain_pdf(rotate=45), "pdf_illisible"),
    ],
)
def test_what_cannot_be_stamped_says_why(pdf: bytes, code: str) -> None:
    with pytest.raises(DocumentError) as refused:
        stamp_pdf(pdf, STAMP)
    assert refused.value.code == code


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([PLAIN, SIGNED]), st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1))
def test_damage_ends_in_a_copy_or_in_a_document_error(pdf: bytes, changes: list[tuple[int, int]]) -> None:
    broken = bytearray(pdf)
    for position, value in changes:
        broken[position % len(broken)] = value
    try:
        stamped = stamp_pdf(bytes(broken), STAMP)
    except DocumentError as error:
        assert error.code.startswith("pdf_")  # noqa: PT017 - either outcome is right
    else:
        assert stamped.startswith((b"%PDF", broken[:4]))
