"""The rules of the house find what breaks them, and the house obeys them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.house import ROOT, check_catalogue, check_source, check_tree


def test_the_house_is_in_order() -> None:
    assert list(check_tree(ROOT)) == []


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"fr": "Oui"}, "m: [k] lacks en"),
        ({"en": "Yes"}, "m: [k] lacks fr"),
        ({"fr": "Oui", "en": "Yes", "fr_remedy": "Va"}, "m: [k] lacks en_remedy"),
        ({"fr": "{a}", "en": "{b}"}, "m: [k] fr and en have different placeholders"),
    ],
)
def test_a_sentence_in_one_language_only_is_found(entry: dict[str, str], said: str) -> None:
    assert list(check_catalogue("m", {"k": entry})) == [said]


def test_a_sentence_in_two_languages_passes() -> None:
    assert list(check_catalogue("m", {"k": {"fr": "{a} oui", "en": "yes {a}", "norm": "§1"}, "v": 3})) == []


@pytest.mark.parametrize(
    "source",
    [
        "from sqlalchemy import text",
        "import psycopg",
        "from psycopg.rows import dict_row",
        "from sqlalchemy import create_engine",
        "from sqlalchemy.orm import sessionmaker",
        "Session(engine)",
        "connection.exec_driver_sql('select 1')",
    ],
)
def test_a_way_round_the_door_is_found(source: str) -> None:
    assert len(list(check_source(Path("api/v1/actes.py"), source))) == 1
    assert list(check_source(Path("registry/queries.py"), source)) == []
