from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.actes.model import Emetteur
from schemas.actes.naming import (
    EnvelopeName,
    FileName,
    IdActe,
    archive_name,
    envelope_name,
    envelope_of_archive,
    id_acte,
    message_name,
    parse_envelope_name,
    parse_file_name,
    parse_id_acte,
    piece_names,
)
from tests.samples import actes as samples

SIRENS = st.from_regex(r"[0-9]{9}", fullmatch=True)
NUMEROS = st.from_regex(r"([A-Z0-9][A-Z0-9_]{0,13})?[A-Z0-9]", fullmatch=True)
EMETTEURS = st.builds(
    Emetteur,
    siren=SIRENS,
    departement=st.sampled_from(["001", "02A", "034", "971", "999"]),
    arrondissement=st.just("1"),
    nature=st.just("31"),
)
DAYS = st.dates(date(1900, 1, 1), date(9999, 12, 31))


def test_names_of_the_norm() -> None:
    assert envelope_name("EACT", "210600730", date(2018, 1, 15), 1) == "EACT--210600730--20180115-1.xml"
    archive = archive_name("SIC", "EACT--210600730--20180115-1.xml")
    assert archive == "SIC-EACT--210600730--20180115-1.tar.gz"
    emetteur = Emetteur("210600730", "006", "1", "31")
    name = message_name(emetteur, "1-1", date(2018, 1, 15), "007", "AR")
    assert name == "006-210600730-20180115-007-AR-1-1_0.xml"
    assert message_name(emetteur, "7-1") == "006-210600730----7-1_0.xml"
    assert piece_names(samples.acte(), samples.EMETTEUR) == (
        "99_DE-044-214400152-20261120-2026_042-DE-1-1_1.pdf",
        "99_SE-044-214400152-20261120-2026_042-DE-1-1_2.png",
        "99_DE-044-214400152-20261120-2026_042-DE-1-1_3.jpg",
    )
    assert id_acte(samples.acte(), samples.EMETTEUR) == "044-214400152-20261120-2026_042-DE"


def test_the_last_days_of_a_year_keep_their_year() -> None:
    assert envelope_name("TACT", "214400152", date(2024, 12, 30), 1) == "TACT--214400152--20241230-1.xml"


@given(st.from_regex(r"[A-Z0-9]{4}", fullmatch=True), SIRENS, DAYS, st.integers(1, 9999))
def test_an_envelopes_name_is_read_back(quadrigramme: str, siren: str, jour: date, rang: int) -> None:
    name = envelope_name(quadrigramme, siren, jour, rang)
    assert parse_envelope_name(name) == EnvelopeName(quadrigramme, siren, jour, rang)
    assert envelope_of_archive(archive_name("PLI", name)) == name


@given(
    EMETTEURS,
    DAYS,
    NUMEROS,
    st.sampled_from(["DE", "AR", "AI", "CC", "BF", "AU"]),
    st.sampled_from(["1-1", "6-1"]),
)
def test_a_messages_name_is_read_back(
    emetteur: Emetteur, jour: date, numero: str, nature: str, transaction: str
) -> None:
    assert parse_file_name(message_name(emetteur, transaction, jour, numero, nature)) == FileName(
        emetteur.departement, emetteur.siren, jour, numero, nature, transaction, 0, "xml"
    )


@given(EMETTEURS, DAYS, st.from_regex(r"[A-Za-z0-9_-]{1,15}", fullmatch=True))
def test_an_identifier_is_read_back_hyphens_included(emetteur: Emetteur, jour: date, numero: str) -> None:
    parts = IdActe(emetteur.departement, emetteur.siren, jour, numero, "DE")
    assert parse_id_acte(str(parts)) == parts


@pytest.mark.parametrize(
    ("name", "numero", "transaction", "rang"),
    [
        ("006-210600235-20180522-684-AI-1-2_5279.xml", "684", "1-2", 5279),
        ("006-210600235-20180522-684-AI-1-2.xml", "684", "1-2", None),
        ("044-214400152----1-3_1.xml", "", "1-3", 1),
        ("99_BU-034-491011698-20181101-ACTE_Y__1-BF-1-1_2.pdf", "ACTE_Y__1", "1-1", 2),
        ("045-214502494-20170717-D201717-DE-1-1_1.PDF", "D201717", "1-1", 1),
        ("034-491011698-20220101-AR-2022-02-AR-1-1_1.pdf", "AR-2022-02", "1-1", 1),
    ],
)
def test_names_seen_in_the_wild_are_read(name: str, numero: str, transaction: str, rang: int | None) -> None:
    found = parse_file_name(name)
    assert found is not None
    assert (found.numero, found.transaction, found.rang) == (numero, transaction, rang)


@pytest.mark.parametrize(
    "name",
    ["", "a.xml", "044-214400152-20269999-1-DE-1-1_0.xml", "044-214400152-20261120-4365-DE-4365-DE_0.xml"],
)
def test_other_names_are_no_names_of_the_norm(name: str) -> None:
    assert parse_file_name(name) is None


@given(st.text(max_size=80))
def test_any_text_is_read_or_not(text: str) -> None:
    parse_file_name(text)
    parse_envelope_name(text)
    parse_id_acte(text)
    envelope_of_archive(text)
