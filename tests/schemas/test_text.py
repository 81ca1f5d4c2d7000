from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from schemas.actes.message import child, root, serialise
from schemas.actes.text import REPLACEMENTS, to_latin1, transliterate, unmappable


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("Été à Noël, « ça »", "Été à Noël, « ça »"),
        ("e\u0301te\u0301", "été"),
        ("3,20 € – cœur d’Œuvre…", "3,20 EUR - coeur d'OEuvre..."),
        ("“Şile” ﬁn №½", '"Sile" fin No½'),
        ("a\tb\r\nc \u2003 d\u202fe", "a b c d e"),
        ("1\u00a0000", "1\u00a0000"),
        ("a\u200bb\u00adc", "abc"),
        ("q\u0303", "q"),
        ("日本 \U0001f600", "?? ?"),
        ("a\x00b\x9fc", "a?b?c"),
        ("\ud800", "?"),
        ("", ""),
    ],
)
def test_what_is_typed_is_sent_in_latin_1(typed: str, sent: str) -> None:
    assert to_latin1(typed) == sent


@given(st.text(st.characters(exclude_categories=[])))
def test_any_text_becomes_latin_1_that_xml_carries(text: str) -> None:
    sent = to_latin1(text)
    message = root("Acte")
    child(message, "Objet", text)
    assert etree.fromstring(serialise(message))[0].text in {sent, None}
    assert b"&#" not in serialise(message)
    assert to_latin1(sent) == sent


@given(st.text(st.characters(exclude_categories=[])))
def test_a_question_mark_appears_only_for_what_is_reported(text: str) -> None:
    if not unmappable(text):
        assert to_latin1(text).count("?") <= text.count("?") + sum(
            "?" in to_latin1(c) for c in text if c != "?"
        )
    if "?" in to_latin1(text) and not unmappable(text):
        assert any("?" in to_latin1(c) for c in text)


def test_replacements_are_latin_1_themselves() -> None:
    for replaced in REPLACEMENTS.values():
        assert to_latin1(f"a{replaced}a") == f"a{replaced}a"


def test_a_received_text_keeps_its_lines() -> None:
    assert transliterate("a\n  b\t€") == "a\n  b\tEUR"


def test_characters_without_equivalent_are_told_once() -> None:
    assert unmappable("日本日 é € \x07") == "日本\x07"
    assert unmappable("ligne\nsuivante") == ""
