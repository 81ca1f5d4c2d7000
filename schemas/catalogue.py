"""Message catalogues: every sentence that people read, French beside English, in one TOML file a room.

[numero_invalide]
fr = "Le numéro « {numero} » n’est pas valable."
en = "The number “{numero}” is not valid."
fr_remedy = "Utilisez 1 à 15 lettres majuscules, chiffres ou « _ »."
en_remedy = "Use 1 to 15 upper-case letters, digits or “_”."
norm = "ACTES v1.1, Acte/@NumeroInterne"
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
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
        return self.text(finding.code, lang, **finding.params, place=finding.place)

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
