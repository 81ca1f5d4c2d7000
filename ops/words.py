"""What `pli` says to people, and in which language."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from schemas.catalogue import Catalogue, Lang, load


def messages() -> Catalogue:
    """The sentences of the command."""
    return load("ops")


def language() -> Lang:
    """French where the reader’s environment is French, else English; `PLI_LANG` wins."""
    chosen = next((os.environ[name] for name in ("PLI_LANG", "LC_ALL", "LANG") if os.environ.get(name)), "")
    return "fr" if chosen.lower().startswith("fr") else "en"


def protections(facts: Mapping[str, Any], lang: Lang) -> list[str]:
    """Whether Object Lock and an antivirus are there, a sentence each (`registry/facts.py`); of what is not
    known yet, nothing."""
    return [
        messages().text(f"{name}_{'present' if facts[name] else 'absent'}", lang)
        for name in ("object_lock", "antivirus")
        if name in facts
    ]
