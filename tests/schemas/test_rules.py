from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.actes.classification import national
from schemas.actes.model import Acte, Emetteur, Piece
from schemas.actes.package import check_package, id_acte, open_package
from schemas.actes.rules import DECENTRALISATION, RULES, check_acte
from schemas.actes.text import to_latin1
from schemas.content import JPEG, PDF, PNG, XML
from schemas.tar import NORM_LIMIT
from tests.samples import actes as samples


def found(acte: Acte, **context: object) -> list[tuple[str, str]]:
    return [(f.code, f.place) for f in check_acte(acte, samples.context(**context))]


def test_a_plain_act_is_receivable() -> None:
    assert found(samples.acte()) == []


@pytest.mark.parametrize("numero", ["1", "A", "2026_001", "A" * 15, "0_0"])
def test_numbers_that_are_taken(numero: str) -> None:
    assert found(samples.acte(numero=numero)) == []


@pytest.mark.parametrize("numero", ["", "_", "_A", "A_", "a", "cl-2017/06", "A" * 16, "A B", "É", "1\n", "١"])
def test_numbers_that_are_refused(numero: str) -> None:
    assert found(samples.acte(numero=numero)) == [("numero_invalide", "/numero")]


def test_a_decision_of_today_is_taken_and_of_tomorrow_refused() -> None:
    assert found(samples.acte(date_decision=samples.TODAY)) == []
    tomorrow = samples.TODAY + timedelta(days=1)
    assert found(samples.acte(date_decision=tomorrow)) == [("date_future", "/date_decision")]


@pytest.mark.parametrize("nature", [-1, 0, 7, 9, 99])
def test_there_are_six_natures(nature: int) -> None:
    assert ("nature_inconnue", "/nature") in found(samples.acte(nature=nature))


def test_a_nature_that_the_classification_lacks_is_refused() -> None:
    own = replace(national(), natures=national().natures[1:])
    assert ("nature_inconnue", "/nature") in found(samples.acte(), classification=own)


@pytest.mark.parametrize(
    ("matiere", "codes"),
    [
        ((7,), ["matiere_incomplete"]),
        ((), ["matiere_incomplete", "matiere_inconnue"]),
        ((7, 11), ["matiere_inconnue"]),
        ((7, 10, 1), ["matiere_inconnue"]),
        ((7, 10, 1, 1, 1, 1), ["matiere_incomplete", "matiere_inconnue"]),
    ],
)
def test_two_levels_of_the_classification_are_needed(matiere: tuple[int, ...], codes: list[str]) -> None:
    assert found(samples.acte(matiere=matiere)) == [(code, "/matiere") for code in codes]


def test_a_local_level_is_known_by_the_authoritys_classification() -> None:
    own = replace(national(), matieres={**national().matieres, (7, 10, 1): "Locale"})
    assert found(samples.acte(matiere=(7, 10, 1)), classification=own) == []


@pytest.mark.parametrize(
    ("objet", "codes"),
    [
        ("a", []),
        ("é" * 499, []),
        ("é" * 500, ["objet_trop_long"]),
        ("€" * 166, []),
        ("€" * 167, ["objet_trop_long"]),
        ("", ["objet_vide"]),
        (" \n\u00a0 ", ["objet_vide"]),
        ("日本", ["objet_caracteres"]),
        ("a\x07", ["objet_caracteres"]),
    ],
)
def test_the_subject_is_measured_as_it_is_sent(objet: str, codes: list[str]) -> None:
    assert found(samples.acte(objet=objet)) == [(code, "/objet") for code in codes]


def test_a_stale_or_future_classification_is_refused_with_both_dates() -> None:
    for days in (-1, 1):
        stale = national().date_version + timedelta(days=days)
        (finding,) = check_acte(samples.acte(classification_date=stale), samples.context())
        assert finding.code == "classification_perimee"
        assert finding.params == {"date": stale.isoformat(), "en_vigueur": "2019-04-18"}


def test_every_piece_has_a_type_of_its_nature() -> None:
    plain = samples.acte()
    wrong = replace(plain.annexes[1], code_pj="10_DE")
    assert found(replace(plain, annexes=(plain.annexes[0], wrong))) == [("type_pj_interdit", "/annexes/1")]
    assert found(replace(plain, document=replace(plain.document, code_pj=""))) == [
        ("type_pj_interdit", "/document")
    ]


@pytest.mark.parametrize(
    ("nature", "matiere", "media_type", "taken"),
    [
        (1, (7, 1), PDF, True),
        (1, (7, 1), XML, False),
        (1, (7, 1), JPEG, False),
        (5, (7, 1), XML, True),
        (5, (7, 1), PDF, True),
        (5, (7, 2), XML, False),
        (5, (7, 10), XML, False),
        (5, (7, 1), PNG, False),
    ],
)
def test_formats_of_the_main_document(
    nature: int, matiere: tuple[int, ...], media_type: str, taken: bool
) -> None:
    code = national().default_type(nature) or ""
    acte = samples.acte(nature=nature, matiere=matiere, document=Piece("x", media_type, 10, code), annexes=())
    assert found(acte) == ([] if taken else [("document_format", "/document")])


@pytest.mark.parametrize(
    ("main", "annexe", "taken"),
    [
        (PDF, XML, True),
        (PDF, PNG, True),
        (XML, PDF, True),
        (XML, PNG, False),
        (XML, XML, False),
        (PDF, "text/plain", False),
    ],
)
def test_formats_of_annexes(main: str, annexe: str, taken: bool) -> None:
    acte = samples.acte(
        nature=5,
        matiere=(7, 1),
        document=Piece("x", main, 10, "99_BU"),
        annexes=(Piece("y", annexe, 10, "99_SE"),),
    )
    assert found(acte) == ([] if taken else [("annexe_format", "/annexes/0")])


def test_files_together_may_weigh_150_mebibytes() -> None:
    def of(size: int) -> Acte:
        return samples.acte(document=Piece("x", PDF, size, "99_DE"), annexes=(Piece("y", PDF, 100, "99_DE"),))

    assert found(of(NORM_LIMIT - 100)) == []
    assert found(of(NORM_LIMIT - 99)) == [("taille_depassee", "")]
    assert NORM_LIMIT == 157_286_400


@pytest.mark.parametrize(
    "nom", ["", "..", "a/b.pdf", "a\\b.pdf", "a\x00.pdf", "a\nb.pdf", "\u202efdp.exe", "x" * 256]
)
def test_names_that_hide_something_are_refused(nom: str) -> None:
    assert found(samples.acte(document=Piece(nom, PDF, 1, "99_DE"))) == [
        ("nom_piece_interdit", "/document/nom")
    ]


def test_names_that_people_give_are_taken() -> None:
    for nom in ("Délibération n° 3 : cantine.pdf", "e\u0301te\u0301.PDF", "budget (v2) – final.pdf"):
        assert found(samples.acte(document=Piece(nom, PDF, 1, "99_DE"))) == []


def test_an_empty_piece_and_too_many_pieces_are_refused() -> None:
    assert found(samples.acte(document=Piece("x", PDF, 0, "99_DE"))) == [("piece_vide", "/document")]
    many = (Piece("y", PDF, 1, "99_DE"),) * 998
    assert found(samples.acte(annexes=many)) == [("annexes_trop_nombreuses", "/annexes")]
    assert found(samples.acte(annexes=many[1:])) == []


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"siren": "21440015"}, ("siren_invalide", "/emetteur/siren")),
        ({"siren": "214400153"}, ("siren_invalide", "/emetteur/siren")),
        ({"departement": "2A"}, ("departement_invalide", "/emetteur/departement")),
        ({"arrondissement": "12"}, ("arrondissement_invalide", "/emetteur/arrondissement")),
        ({"nature": "1"}, ("nature_collectivite_invalide", "/emetteur/nature")),
    ],
)
def test_who_transmits_is_checked(change: dict[str, str], finding: tuple[str, str]) -> None:
    assert found(samples.acte(), emetteur=replace(samples.EMETTEUR, **change)) == [finding]


def test_every_rule_states_itself_in_two_languages_and_names_its_norm() -> None:
    assert len({rule.code for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.summary("fr") != rule.summary("en")
        assert rule.check.__doc__
        if "Rule of our own" in rule.check.__doc__:
            assert rule.norm == ""
        else:
            assert "§" in rule.check.__doc__
            assert rule.norm.startswith("ACTES")


@st.composite
def actes(draw: st.DrawFn) -> Acte:
    nature = draw(st.integers(-1, 8))
    codes = [t.code for t in national().allowed_types(nature)] or ["99_DE"]
    piece = st.builds(
        Piece,
        st.just("x"),
        st.sampled_from([PDF, XML, JPEG, PNG, "text/plain"]),
        st.integers(0, NORM_LIMIT),
        st.sampled_from(codes) | st.text(max_size=6),
    )
    return samples.acte(
        numero=draw(st.from_regex(r"[A-Z0-9_]{1,15}", fullmatch=True) | st.text(max_size=20)),
        date_decision=draw(st.dates()),
        nature=nature,
        matiere=draw(
            st.sampled_from(list(national().matieres)) | st.lists(st.integers(), max_size=6).map(tuple)
        ),
        objet=draw(st.text(st.characters(exclude_categories=[]), max_size=600)),
        document=draw(piece),
        annexes=tuple(draw(st.lists(piece, max_size=4))),
        document_papier=draw(st.booleans()),
    )


@st.composite
def receivable(draw: st.DrawFn) -> Acte:
    nature = draw(st.integers(1, 6))
    piece = st.builds(
        Piece,
        st.just("x.pdf"),
        st.sampled_from([PDF, XML, JPEG, PNG]),
        st.integers(1, 2**20),
        st.sampled_from([t.code for t in national().allowed_types(nature)]),
    )
    return samples.acte(
        numero=draw(st.from_regex(r"([A-Z0-9][A-Z0-9_]{0,13})?[A-Z0-9]", fullmatch=True)),
        date_decision=draw(st.dates(min_value=DECENTRALISATION, max_value=samples.TODAY)),
        nature=nature,
        matiere=draw(st.sampled_from([path for path in national().matieres if len(path) == 2])),
        objet=draw(st.text("aé €’œ\t&<\"'", min_size=1, max_size=200).filter(str.strip)),
        document=replace(draw(piece), media_type=PDF),
        annexes=tuple(draw(st.lists(piece, max_size=4))),
        document_papier=draw(st.booleans()),
    )


@given(receivable())
def test_a_receivable_act_goes_into_a_package_and_comes_out_of_its_archive(acte: Acte) -> None:
    assert found(acte) == []
    packed = samples.package(acte)
    assert check_package(packed, len(acte.pieces)) == []
    files = {PDF: samples.pdf(), XML: samples.budget_xml(), JPEG: samples.jpeg(), PNG: samples.png()}
    archive = samples.archive(packed, [files[piece.media_type] for piece in acte.pieces])
    opened = open_package(io.BytesIO(archive), archive_name=packed.archive_name)
    assert opened.acte is not None
    assert replace(opened.acte, objet=acte.objet, document=acte.document, annexes=acte.annexes) == acte
    assert opened.acte.objet == to_latin1(acte.objet)
    assert [(p.media_type, p.code_pj) for p in opened.acte.pieces] == [
        (p.media_type, p.code_pj) for p in acte.pieces
    ]
    assert opened.id_acte == id_acte(acte, samples.EMETTEUR)


@settings(max_examples=50)
@given(actes())
def test_what_passes_the_rules_makes_a_package_without_fault(acte: Acte) -> None:
    if not check_acte(acte, samples.context()):
        assert check_package(samples.package(acte), 1 + len(acte.annexes)) == []


@given(st.text(max_size=12), st.text(max_size=5), st.text(max_size=3), st.text(max_size=3))
def test_rules_answer_for_any_emitter(siren: str, departement: str, arrondissement: str, nature: str) -> None:
    emetteur = Emetteur(siren, departement, arrondissement, nature)
    check_acte(samples.acte(), samples.context(emetteur=emetteur))
