from __future__ import annotations

import contextlib
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import xml
from schemas.actes import schema
from schemas.actes.answers import build_retour_classification
from schemas.actes.classification import (
    Classification,
    Nature,
    TypePj,
    national,
    parse_classification,
)
from schemas.findings import Refused

HEAD = '<a:RetourClassification xmlns:a="http://www.interieur.gouv.fr/ACTES#v1.1-20040216">'

LABEL = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
TYPES = st.lists(
    st.builds(TypePj, st.from_regex(r"[0-9]{2}_[A-Z]{2}", fullmatch=True), LABEL), min_size=1, max_size=4
)
NATURES = st.lists(
    st.builds(Nature, st.integers(1, 9), st.from_regex(r"[A-Z]{2}", fullmatch=True), LABEL, TYPES.map(tuple)),
    min_size=1,
    max_size=4,
)


@st.composite
def classifications(draw: st.DrawFn) -> Classification:
    matieres: dict[tuple[int, ...], str] = {}
    for first in range(1, draw(st.integers(1, 3)) + 1):
        for second in range(1, draw(st.integers(1, 11)) + 1):
            matieres.setdefault((first,), draw(LABEL))
            path: tuple[int, ...] = (first, second)
            for _ in range(draw(st.integers(0, 3)) + 1):
                matieres[path] = draw(LABEL)
                path = (*path, draw(st.integers(1, 12)))
    return Classification(draw(st.dates()), tuple(draw(NATURES)), matieres)


@settings(max_examples=25)
@given(classifications())
def test_what_is_built_is_parsed(made: Classification) -> None:
    parsed = parse_classification(build_retour_classification(made))
    assert parsed == made
    assert list(parsed.matieres) == list(made.matieres)


def test_the_national_part_is_whole_and_valid() -> None:
    found = national()
    assert found.date_version == date(2019, 4, 18)
    assert [n.abrege for n in found.natures] == ["DE", "AR", "AI", "CC", "BF", "AU"]
    assert len(found.children()) == 9
    assert sum(len(path) == 2 for path in found.matieres) == 57
    document = xml.parse(build_retour_classification(found), place="7-2")
    assert schema.validate(document, place="7-2") == []


@pytest.mark.parametrize(
    ("nature", "code"), [(1, "99_DE"), (2, "99_AR"), (3, "99_AI"), (4, "99_DC"), (5, "99_BU"), (6, "99_AU")]
)
def test_each_nature_has_its_default_type(nature: int, code: str) -> None:
    assert national().default_type(nature) == code


def test_generic_types_are_offered_first_then_by_label() -> None:
    offered = [t.code for t in national().allowed_types(2)]
    assert offered == ["99_AR", "99_SE", "21_DB", "21_DA", "21_EP", "21_DO", "21_PA", "21_DE", "21_RP"]
    assert national().allowed_types(9) == ()
    assert national().default_type(9) is None


def test_a_matiere_is_found_by_its_path() -> None:
    assert national().label((7, 10)) == "Divers"
    assert national().label((7, 11)) is None
    assert list(national().children((2,))) == [(2, 1), (2, 2), (2, 3)]


def test_files_from_before_the_piece_types_are_read() -> None:
    body = (
        "<a:DateClassification>2004-04-01</a:DateClassification><a:NaturesActes>"
        '<a:NatureActe a:CodeNatureActe="1" a:Libelle="D" a:TypeAbrege="DE"/></a:NaturesActes><a:Matieres>'
        '<a:Matiere1 a:CodeMatiere="1" a:Libelle="M"/></a:Matieres>'
    )
    old = parse_classification(f"{HEAD}{body}</a:RetourClassification>".encode())
    assert old.nature(1).types_pj == ()
    assert old.default_type(1) is None


DATED = "<a:DateClassification>2004-04-01</a:DateClassification>"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<a:DateClassification>hier</a:DateClassification>",
        f"{DATED}<a:NaturesActes><a:NatureActe/></a:NaturesActes>",
        f"{DATED}<a:Matieres><a:Matiere1 a:CodeMatiere='x' a:Libelle=''/></a:Matieres>",
    ],
)
def test_an_unreadable_classification_is_refused(body: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_classification(f"{HEAD}{body}</a:RetourClassification>".encode())
    assert refused.value.findings[0].code == "classification_illisible"


def test_another_document_is_no_classification() -> None:
    with pytest.raises(Refused):
        parse_classification(b"<a/>")


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    with contextlib.suppress(Refused):
        parse_classification(data)
