"""The bordereau is a record, readable by everyone, and shows what it is given as it was given."""

from __future__ import annotations

import io
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from fontTools.ttLib import TTFont
from hypothesis import given, settings
from hypothesis import strategies as st

import documents
from documents.bordereau import Bordereau, Etape, Fichier, PieceJointe, render_bordereau
from documents.errors import DocumentError
from documents.typesetting import flowing, printable, typeset
from schemas.catalogue import load
from tests.documents.reading import text_of

AT = datetime(2026, 11, 23, 8, 12, 5, tzinfo=UTC)
ARACTE = '<?xml version="1.0" encoding="ISO-8859-1"?><actes:ARActe>reçu</actes:ARActe>'.encode("iso-8859-1")
HASH = "0f" * 64

BORDEREAU = Bordereau(
    collectivite="Commune de Saint-Aubin-sur-Loire",
    siren="217100122",
    departement="071",
    deposant="Camille Ménard",
    enveloppe_id="acte_0193c2f1-7a2b-7c11-9d2e-5f7a11c0ffee",
    transaction="1-1",
    numero="DEL_2026_041",
    objet="Approbation du compte financier unique 2025",
    nature="Délibérations",
    date_decision=date(2026, 11, 20),
    matiere_code="7.1",
    matiere="Décisions budgétaires",
    document_papier=False,
    id_acte="071-217100122-20261120-DEL_2026_041-DE",
    envoye=AT,
    recu=date(2026, 12, 1),
    etabli=AT + timedelta(minutes=14),
    fichiers=(Fichier("Acte", "délibération.pdf", "application/pdf", 345_678, HASH, "99_DE-1-1_1.pdf"),),
    etapes=(
        Etape("Déposé", "Camille Ménard", AT, "délibération.pdf"),
        Etape("Acquitté", "Ministère de l’Intérieur", AT + timedelta(minutes=13), "ARActe.xml"),
        Etape("Scellé", "Pli", AT + timedelta(minutes=15), a_venir=True),
    ),
    jointes=(PieceJointe("ARActe.xml", ARACTE, "Accusé de réception"),),
)


@pytest.fixture(scope="module")
def rendered() -> bytes:
    return render_bordereau(BORDEREAU)


def test_it_declares_pdf_a_3a_and_pdf_ua_1(rendered: bytes) -> None:
    with pikepdf.open(io.BytesIO(rendered)) as pdf:
        with pdf.open_metadata() as xmp:
            assert xmp["pdfaid:part"] == "3"
            assert xmp["pdfaid:conformance"] == "A"
            assert xmp["pdfuaid:part"] == "1"
            assert xmp["dc:title"] == "Bordereau d’acquittement de l’acte DEL_2026_041"
        assert str(pdf.Root.Lang) == "fr-FR"
        assert bool(pdf.Root.MarkInfo.Marked)
        assert bool(pdf.Root.ViewerPreferences.DisplayDocTitle)
        assert "/StructTreeRoot" in pdf.Root
        assert not pdf.is_encrypted


def test_the_answer_of_the_state_is_inside_byte_for_byte(rendered: bytes) -> None:
    with pikepdf.open(io.BytesIO(rendered)) as pdf:
        assert pdf.attachments["ARActe.xml"].get_file().read_bytes() == ARACTE
        [described] = pdf.Root.AF
        assert str(described.AFRelationship) == "/Source"


def test_it_shows_every_fact_of_the_fact_sheet(rendered: bytes) -> None:
    shown = text_of(rendered)
    for fact in (
        "Commune de Saint-Aubin-sur-Loire", "SIREN 217100122", "Camille Ménard", "DEL_2026_041",
        "Approbation du compte financier unique 2025", "Transmission d’un acte", "20 novembre 2026",
        "Délibérations", "7.1 Décisions budgétaires", "071-217100122-20261120-DEL_2026_041-DE",
        "23 novembre 2026", "1er décembre 2026",
        "délibération.pdf", "99_DE-1-1_1.pdf", "application/pdf", "337,6 Ko", HASH,
        "Acquitté", "Ministère de l’Intérieur", "attendu vers 09 h 27", "Page 1 sur 1",
    ):  # fmt: skip
        assert fact in shown, fact


def test_what_there_is_nothing_to_say_of_is_not_named(rendered: bytes) -> None:
    shown = text_of(rendered)
    assert "archivage" not in shown
    assert "Notification" not in shown
    assert "Preuve" in shown
    bare = replace(BORDEREAU, etapes=(Etape("Déposé", "Pli", AT),), notifications=("mairie@saint-aubin.fr",))
    shown = text_of(render_bordereau(bare))
    assert "Preuve" not in shown
    assert "mairie@saint-aubin.fr" in shown


def test_a_long_name_breaks_behind_its_separators_only() -> None:
    name = "217100122-20261120_DEL_2026_041_TACT_SPLI_0001.tar.gz"
    pieces = flowing(name).split("\u200b")
    assert "".join(pieces) == name
    assert len(pieces) > 1
    assert all(piece[-1] in "_." for piece in pieces[:-1])


def test_times_are_those_of_paris(rendered: bytes) -> None:
    assert "09 h 12 min 05 s" in text_of(rendered)
    summer = replace(BORDEREAU, etapes=(Etape("Déposé", "Pli", datetime(2026, 7, 1, 22, 30, tzinfo=UTC)),))
    shown = text_of(render_bordereau(summer))
    assert "2 juillet 2026" in shown
    assert "00 h 30 min 00 s" in shown


def test_a_cancellation_is_shown_with_its_day() -> None:
    shown = text_of(render_bordereau(replace(BORDEREAU, annule=date(2026, 12, 2))))
    assert "Transmission annulée le" in shown
    assert "2 décembre 2026" in shown


def test_the_same_bordereau_gives_the_same_bytes(rendered: bytes) -> None:
    assert render_bordereau(BORDEREAU) == rendered


def test_markup_in_a_value_is_shown_and_never_run() -> None:
    hostile = (
        '#read("/etc/passwd") *gras* = Titre $x^2$ `code` <label> @ref // \\u{41} "#{ [ ) http://a.fr --- ~'
    )
    shown = text_of(render_bordereau(replace(BORDEREAU, objet=hostile)))
    assert hostile in shown.replace("\n", " ")
    assert "root:" not in shown


def test_what_the_face_lacks_is_written_out() -> None:
    assert printable("汉\u0007 e\u0301\r\nx\ue000 😀 \u202fÿ") == "[U+6C49] é  x[U+E000] [U+1F600] \u202fÿ"


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=80))
def test_any_text_can_be_set(text: str) -> None:
    odd = replace(BORDEREAU, objet=text, collectivite=text, deposant=text, numero=text, notifications=(text,))
    assert render_bordereau(odd).startswith(b"%PDF-1.7")


def test_long_unbroken_names_stay_on_the_page() -> None:
    name = "x" * 200 + ".pdf"
    files = (replace(BORDEREAU.fichiers[0], nom=name, nom_norme="y" * 200),)
    steps = (Etape("Déposé", "z" * 120, AT, "w" * 120),)
    pdf = render_bordereau(replace(BORDEREAU, fichiers=files, etapes=steps, objet="o" * 400))
    shown = text_of(pdf).replace("\u200b", "")
    for letter, count in (("x", 200), ("y", 200), ("z", 120), ("w", 120), ("o", 400)):
        assert max(len(run) for run in re.findall(f"{letter}+", shown)) < count
        assert shown.count(letter) >= count


def test_two_hundred_files_take_several_pages() -> None:
    pdf = render_bordereau(replace(BORDEREAU, fichiers=BORDEREAU.fichiers * 200))
    with pikepdf.open(io.BytesIO(pdf)) as document:
        assert len(document.pages) > 5


def test_threads_share_nothing() -> None:
    many = [replace(BORDEREAU, numero=f"N{number}") for number in range(24)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(render_bordereau, many))
    assert all(f"N{number}" in text_of(pdf) for number, pdf in enumerate(made))


def test_what_typst_refuses_is_a_document_error() -> None:
    with pytest.raises(DocumentError) as refused:
        typeset("bordereau.typ", {}, epoch=0)
    assert refused.value.code == "composition_impossible"


@pytest.mark.parametrize("weight", ["Regular", "Bold"])
def test_the_face_holds_what_its_coverage_says(weight: str) -> None:
    folder = Path(documents.__file__).parent / "fonts"
    held = set(TTFont(folder / f"AtkinsonHyperlegibleNext-{weight}.ttf").getBestCmap())
    listed: set[int] = set()
    for line in (folder / "coverage.txt").read_text().split():
        first, _, last = line.partition("-")
        listed.update(range(int(first, 16), int(last or first, 16) + 1))
    assert listed <= held
    assert all(chr(point) not in "\u00ad\u200b\ufeff" for point in listed)


def test_every_message_of_the_room_speaks_both_languages() -> None:
    catalogue = load("documents")
    for key in catalogue:
        entry: Any = catalogue.entry(key)
        assert all(entry[field] for field in ("fr", "en", "fr_remedy", "en_remedy")), key


def test_the_timeline_keeps_its_order(rendered: bytes) -> None:
    shown = text_of(rendered)
    places = [shown.rindex(step.libelle) for step in BORDEREAU.etapes]
    assert all(before < after for before, after in pairwise(places))
