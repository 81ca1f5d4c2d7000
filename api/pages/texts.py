"""Help, accessibility declaration and legal notice, open to all; their words are in `api/texts.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import Request, Response

from api.pages.render import language, page
from api.pages.routing import pages
from api.sign_in import find_visitor

router = pages()


@cache
def _sections() -> dict[str, Any]:
    return tomllib.loads(files("api").joinpath("texts.toml").read_text(encoding="utf-8"))


def _text_page(request: Request, key: str) -> Response:
    find_visitor(request)
    lang = language(request)
    sections = [
        {
            "title": section.get(f"{lang}_titre", ""),
            "paragraphs": section.get(lang, []),
            "points": section.get(f"{lang}_points", []),
        }
        for section in _sections()[key]
    ]
    return page(request, "texte.html", {"key": key, "sections": sections})


@router.get("/aide")
def help_page(request: Request) -> Response:
    """How to deposit, follow and prove."""
    return _text_page(request, "aide")


@router.get("/accessibilite")
def accessibility_page(request: Request) -> Response:
    """The declaration of accessibility, in the form that the décret asks for."""
    return _text_page(request, "accessibilite")


@router.get("/mentions-legales")
def legal_page(request: Request) -> Response:
    """Who answers for the service, its licences, personal data."""
    return _text_page(request, "mentions")
