from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

import schemas
from schemas.catalogue import load
from schemas.findings import Finding

CATALOGUE = load("schemas")
SOURCES = sorted(Path(next(iter(schemas.__path__))).rglob("*.py"))


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def codes_in_sources() -> set[str]:
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES if path.name != "catalogue.py")
    raised = re.findall(r'(?:_refused|Finding|_rule|_integer)\(\s*"([a-z0-9_]+)"', text)
    passed = re.findall(r'"((?:formulaire|piece)_absente?)"', text)
    named = re.findall(r'    code = "([a-z0-9_]+)"', text)
    noted = re.findall(r'notes, "([a-z_]+)"|\("(encodage_corrige)",\)', text)
    return {*raised, *passed, *named, *(a or b for a, b in noted)} - {""}


def test_every_code_has_its_sentences_and_every_sentence_its_code() -> None:
    assert codes_in_sources() == set(CATALOGUE)


@pytest.mark.parametrize("code", list(CATALOGUE))
def test_both_languages_say_the_same_things(code: str) -> None:
    entry = CATALOGUE.entry(code)
    assert placeholders(entry["fr"]) == placeholders(entry["en"])
    assert ("fr_remedy" in entry) == ("en_remedy" in entry)
    assert ("fr_rule" in entry) == ("en_rule" in entry)
    assert set(entry) <= {"fr", "en", "fr_remedy", "en_remedy", "fr_rule", "en_rule", "norm"}
    assert not placeholders(entry.get("fr_remedy", "") + entry.get("en_remedy", ""))


@pytest.mark.parametrize("code", list(CATALOGUE))
def test_french_is_set_as_french_is(code: str) -> None:
    texts = [text for key, text in CATALOGUE.entry(code).items() if key.startswith("fr")]
    assert not any("'" in text or '"' in text for text in texts)


def test_a_finding_becomes_a_sentence() -> None:
    finding = Finding("xml_mal_forme", "acte.xml", {"ligne": "3"})
    assert (
        CATALOGUE.sentence(finding, "en") == "The file “acte.xml” is an XML that is not well formed (line 3)."
    )
