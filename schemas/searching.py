"""Words as they are searched: without accents, ligatures or capitals, on both sides of a search."""

from __future__ import annotations

import unicodedata
from typing import Final

_LETTERS: Final = str.maketrans({"œ": "oe", "æ": "ae", "’": "'"})


def searchable(text: str) -> str:
    """`text` in lower case, its ligatures spelled out and its accents taken off."""
    spelled = unicodedata.normalize("NFKD", text.lower()).translate(_LETTERS)
    return "".join(letter for letter in spelled if not unicodedata.combining(letter))
