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
    carried = (character if _carried(character) else "?" for character in transliterate(_spaced(text)))
    return " ".join(part for part in "".join(carried).split(" ") if part)


def transliterate(text: str) -> str:
    """`text` with every character that ISO-8859-1 lacks replaced, and nothing else touched."""
    replaced = (_replacement(c) if ord(c) > 0xFF else c for c in _composed(text))
    return "".join("?" if c is None else c for c in replaced)


def unmappable(text: str) -> str:
    """The characters of `text` that have no equivalent, each once, in their order; controls are such."""
    lost = (c for c in _composed(_spaced(text)) if not _carried(c) and _replacement(c) is None)
    return "".join(dict.fromkeys(lost))


def _spaced(text: str) -> str:
    """Every white space (line ends too) a space; the no-break space, which Latin-1 has, stays."""
    return "".join(" " if c.isspace() and c != "\u00a0" else c for c in text)


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text).translate(_TABLE)


def _replacement(character: str) -> str | None:
    """What is written for a character that Latin-1 lacks: nothing for a mark, None where nothing fits."""
    if unicodedata.category(character).startswith("M"):
        return ""
    plain = unicodedata.normalize("NFKD", character).translate(_TABLE)
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    return letters if letters and all(map(_carried, letters)) else None


def _carried(character: str) -> bool:
    return " " <= character <= "~" or "\u00a0" <= character <= "\u00ff"
