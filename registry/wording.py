"""The timeline's sentences, for every place that shows it: pages, API, record, bordereau, command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.catalogue import Lang, load


def event_sentence(code: str, params: Mapping[str, Any], lang: Lang = "fr") -> str:
    """The sentence of an event; a `raison` among its values is a code and gets its own words."""
    book = load("registry")
    told = dict(params)
    if "raison" in told:
        told["raison"] = book.text(f"raison_{told['raison']}", lang)
    return book.text(code, lang, **told)
