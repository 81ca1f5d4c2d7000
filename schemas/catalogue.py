"""Message catalogues: every sentence that people read, French beside English, in one TOML file a room.

[numero_invalide]
fr = "Le numéro « {numero} » n’est pas valable."
en = "The number “{numero}” is not valid."
fr_remedy = "Utilisez 1 à 15 lettres majuscules, chiffres ou « _ »."
en_remedy = "Use 1 to 15 upper-case letters, digits or “_”."
norm = "ACTES v1.1, Acte/@NumeroInterne"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Literal

from schemas.findings import Finding, UnknownMessage

Lang = Literal["fr", "en"]
LANGUAGES: tuple[Lang, ...] = ("fr", "en")


class Catalogue:
    """The sentences of one or several TOML files."""

    def __init__(self, entries: Mapping[str, Mapping[str, str]]) -> None:
        self._entries = dict(entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def entry(self, key: str) -> Mapping[str, str]:
        """All fields under `key`; raises `UnknownMessage` where there are none."""
        try:
            return self._entries[key]
        except KeyError:
            raise UnknownMessage(key) from None

    def text(self, key: str, lang: Lang = "fr", /, **params: object) -> str:
        """The sentence under `key` in `lang`, its placeholders filled with `params`."""
        return self.entry(key)[lang].format_map(params)

    def remedy(self, key: str, lang: Lang = "fr", /, **params: object) -> str:
        """What to do about `key`, or an empty string where nothing can be done."""
        return self.entry(key).get(f"{lang}_remedy", "").format_map(params)

    def norm(self, key: str) -> str:
        """The norm and section behind `key`, or an empty string for rules of our own."""
        return self.entry(key).get("norm", "")

    def sentence(self, finding: Finding, lang: Lang = "fr") -> str:
        """The finding as one person-readable sentence."""
        return self.text(finding.code, lang, **told(finding, lang))

    def advice(self, finding: Finding, lang: Lang = "fr") -> str:
        """What to do about the finding, or an empty string where nothing can be done."""
        return self.remedy(finding.code, lang, **told(finding, lang))

    def merged(self, other: Catalogue) -> Catalogue:
        """Both catalogues in one; a key present in both is a bug and raises ValueError."""
        twice = self._entries.keys() & other._entries.keys()
        if twice:
            raise ValueError(f"messages defined twice: {sorted(twice)}")
        return Catalogue({**self._entries, **other._entries})


@cache
def load(package: str, name: str = "messages.toml") -> Catalogue:
    """The catalogue `name` inside `package` (`schemas`, `api`…)."""
    return Catalogue(tomllib.loads(files(package).joinpath(name).read_text(encoding="utf-8")))


def told(finding: Finding, lang: Lang = "fr") -> dict[str, str]:
    """The values of a finding as its sentences need them: dates as people write them, the file in words.

    The file is the one that the finding names (`fichier`), else the one that its place points to.
    """
    values = {name: _as_written(value) for name, value in finding.params.items()}
    if values.get("trouve") == UNRECOGNISED:
        values["trouve"] = load("schemas", "words.toml").text("format_non_reconnu", lang)
    return {**values, "place": finding.place, "fichier": _file(finding, lang)}


UNRECOGNISED = "?"
"""Name of a format that nobody knows; told in words."""
_ANNEXE = re.compile(r"/annexes/(\d+)")


def _as_written(value: str) -> str:
    try:
        return date.fromisoformat(value).strftime("%d/%m/%Y") if value.count("-") == 2 else value
    except ValueError:
        return value


def _file(finding: Finding, lang: Lang) -> str:
    words, annexe = load("schemas", "words.toml"), _ANNEXE.match(finding.place)
    if annexe:
        named = words.text("annexe", lang, rang=int(annexe[1]) + 1)
    elif finding.place.startswith(("/document", "/type_piece")):
        named = words.text("document", lang)
    else:
        return words.text("fichier", lang, nom=finding.params.get("fichier", finding.place))
    quoted = "« {} »" if lang == "fr" else "“{}”"
    nom = finding.params.get("fichier")
    return f"{named} ({quoted.format(nom)})" if nom else named
