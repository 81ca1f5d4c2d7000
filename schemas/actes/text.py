"""Text as ISO-8859-1 can carry it (ACTES v1.1: every message is written in Latin-1).

Characters that Latin-1 lacks are replaced by what a clerk would type for them: first by `REPLACEMENTS`,
then by their compatibility form and without diacritics that Latin-1 has no letter for (ş becomes s).
What has no equivalent at all is reported by `unmappable` before packaging, and becomes ``?`` in `to_latin1`.
"""

from __future__ import annotations

import unicodedata

REPLACEMENTS = {
    "€": "EUR",
    "œ": "oe",
    "Œ": "OE",
    "Ÿ": "Y",
    "‘": "'",
    "’": "'",
    "‚": ",",
    "‛": "'",
    "ʼ": "'",
    "′": "'",
    "“": '"',
    "”": '"',
    "„": '"',
    "″": '"',
    "‹": "<",
    "›": ">",
    "‐": "-",
    "‑": "-",
    "‒": "-",
    "–": "-",
    "—": "-",
    "―": "-",
    "−": "-",
    "…": "...",
    "•": "-",
    "‣": "-",
    "◦": "-",
    "▪": "-",
    "●": "-",
    "⁄": "/",
    "≤": "<=",
    "≥": ">=",
    "≠": "<>",
    "≈": "~",
    "→": "->",
    "←": "<-",
    "⇒": "=>",
    "Đ": "D",
    "đ": "d",
    "ı": "i",
    "Ł": "L",
    "ł": "l",
    "ẞ": "SS",
    "†": "+",
    "‰": "o/oo",
    "\u2028": " ",
    "\u2029": " ",
    "\u00ad": "",
    "\u200b": "",
    "\u200c": "",
    "\u200d": "",
    "\u2060": "",
    "\ufeff": "",
}
"""What is typed for a character that Latin-1 lacks; invisible characters vanish."""

_TABLE = str.maketrans(REPLACEMENTS)


def to_latin1(text: str) -> str:
    """`text` with only characters that ISO-8859-1 and XML 1.0 carry, its white space made single spaces."""
    return " ".join("".join(_latin1(c) or "?" for c in _prepared(text)).split(" ")).strip()


def unmappable(text: str) -> str:
    """The characters of `text` that have no equivalent, each once, in their order."""
    return "".join(dict.fromkeys(c for c in _prepared(text) if _latin1(c) is None))


def _prepared(text: str) -> str:
    """Composed, replaced, and every run of white space (line ends too, no-break spaces not) one space."""
    text = unicodedata.normalize("NFC", text).translate(_TABLE)
    kept = (c if c == "\u00a0" or not c.isspace() else " " for c in text)
    return " ".join(part for part in "".join(kept).split(" ") if part)


def _latin1(character: str) -> str | None:
    if _carried(character):
        return character
    plain = unicodedata.normalize("NFKD", character).translate(_TABLE)
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    return letters if letters and all(map(_carried, letters)) else None


def _carried(character: str) -> bool:
    return " " <= character <= "~" or "\u00a0" <= character <= "\u00ff"
