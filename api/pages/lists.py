"""The list of envelopes: filters in the address, walked by key, told when something new has happened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from datetime import date
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from markupsafe import Markup

from api.auth import services_of
from api.live import ANYTHING, Live, event_stream, message
from api.pages.choices import natures
from api.pages.render import day, language, page, words
from api.pages.routing import pages
from api.pages.rows import row
from api.sign_in import Reader, Visitor
from registry import envelopes
from registry.envelopes import Filters, Line
from schemas.catalogue import Lang
from schemas.states import Etat, Famille

router = pages()

PAGE_SIZE = 25
QUIET_SECONDS = 2.0
"""Least time between two notices of a list, so that a busy morning does not talk without end."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The filters as the address has them; what can't be read filters nothing."""

    type: str = "1-1"
    texte: str = ""
    famille: str = ""
    etat: str = ""
    nature: str = ""
    depose_du: str = ""
    depose_au: str = ""
    ar_du: str = ""
    ar_au: str = ""
    mes: str = ""
    ouvert: str = ""

    def query(self, **changes: str) -> str:
        """The filters as a query string, with some changed; empty ones are left out."""
        kept = {f.name: getattr(self, f.name) for f in fields(self)} | changes
        if kept["type"] == "1-1":
            kept["type"] = ""
        return urlencode({name: value for name, value in kept.items() if value})


@dataclass(frozen=True, slots=True)
class Applied:
    """A filter in force, with the address of the list without it."""

    words: str
    href: str


def read_filters(request: Request) -> Asked:
    """The filters of the address, each one valid or empty."""
    given = request.query_params
    texts = {f.name: given.get(f.name, "").strip()[:200] for f in fields(Asked)}
    texts["type"] = texts["type"] if texts["type"] in envelopes.PREFIX else "1-1"
    texts["famille"] = texts["famille"] if texts["famille"] in set(Famille) else ""
    texts["etat"] = texts["etat"] if texts["etat"] in set(Etat) else ""
    texts["nature"] = texts["nature"] if texts["nature"] in set("123456") else ""
    for name in ("depose_du", "depose_au", "ar_du", "ar_au"):
        parsed = _date(texts[name])
        texts[name] = parsed.isoformat() if parsed else ""
    return Asked(**texts)


def to_filters(asked: Asked, visitor: Visitor) -> Filters:
    """The register's filters."""
    return Filters(
        transaction=asked.type,
        q=asked.texte or None,
        famille=Famille(asked.famille) if asked.famille else None,
        etat=Etat(asked.etat) if asked.etat else None,
        nature=int(asked.nature) if asked.nature else None,
        depose_du=_date(asked.depose_du),
        depose_au=_date(asked.depose_au),
        ar_du=_date(asked.ar_du),
        ar_au=_date(asked.ar_au),
        responsable=visitor.user_id if asked.mes else None,
        a_corriger=bool(asked.ouvert),
    )


@router.get("/envois")
def list_page(request: Request, visitor: Reader, apres: str = "", avant: str = "") -> Response:
    """One page of the list; `apres` and `avant` are keys, so that any page costs what the first does."""
    lang, services, asked = language(request), services_of(request), read_filters(request)
    filters = to_filters(asked, visitor)
    with services.register.session(visitor.principal.scope) as session:
        if avant:
            found = envelopes.newer(session, filters, limit=PAGE_SIZE + 1, before=avant)
            # One row too many means that newer ones exist; it is the newest of those found.
            has_newer, lines = len(found) > PAGE_SIZE, found[-PAGE_SIZE:]
            has_older = True
        else:
            some = envelopes.search(session, filters, limit=PAGE_SIZE, after=apres or None)
            lines, has_older, has_newer = some.lines, some.suivant is not None, bool(apres)
        known_natures = natures(session, visitor.principal.collectivite_id)
    context = {
        "asked": asked,
        "applied": _applied(asked, dict(known_natures), lang),
        "rows": [row(line, lang) for line in lines],
        "natures": known_natures,
        "types": [(t, words().text(f"transaction_{t.replace('-', '_')}", lang)) for t in envelopes.PREFIX],
        "newer": _neighbour(asked, lines[:1], "avant") if has_newer else None,
        "older": _neighbour(asked, lines[-1:], "apres") if has_older else None,
    }
    return page(request, "envois.html", context)


def _neighbour(asked: Asked, edge: tuple[Line, ...], name: str) -> str | None:
    if not edge:
        return f"/envois?{asked.query()}"
    return f"/envois?{asked.query(**{name: edge[0].id})}"


def _applied(asked: Asked, natures_by_code: dict[str, str], lang: Lang) -> list[Applied]:
    text = words().text
    told = {
        "type": text(f"transaction_{asked.type.replace('-', '_')}", lang) if asked.type != "1-1" else "",
        "texte": f"«\N{NO-BREAK SPACE}{asked.texte}\N{NO-BREAK SPACE}»" if asked.texte else "",
        "famille": text(f"famille_{asked.famille}", lang) if asked.famille else "",
        "etat": text(f"etat_{asked.etat}", lang) if asked.etat else "",
        "nature": natures_by_code.get(asked.nature, asked.nature),
        **{
            name: _day_in_words(getattr(asked, name), lang)
            for name in ("depose_du", "depose_au", "ar_du", "ar_au")
        },
        "mes": text("oui", lang) if asked.mes else "",
        "ouvert": text("oui", lang) if asked.ouvert else "",
    }
    return [
        Applied(
            text("applique", lang, nom=text(f"filtre_{name}", lang), valeur=value),
            f"/envois?{asked.query(**{name: ''})}",
        )
        for name, value in told.items()
        if value
    ]


def _day_in_words(value: str, lang: Lang) -> str:
    return day(date.fromisoformat(value), lang) if value else ""


def _date(value: str) -> date | None:
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


@router.get("/envois/flux")
def list_stream(request: Request, visitor: Reader) -> StreamingResponse:
    """Says how many events have happened since the page was drawn; the page redraws when the person asks."""
    live: Live = request.app.state.live
    lang = language(request)

    async def notices() -> AsyncIterator[str]:
        count = 0
        async with live.watch(visitor.principal.scope) as queue:
            while True:
                change = await queue.get()
                if change is None:
                    return
                if change is ANYTHING:
                    continue
                count += 1
                await asyncio.sleep(QUIET_SECONDS)
                while not queue.empty():
                    if queue.get_nowait() is None:
                        return
                    count += 1
                yield message(_notice(count, lang))

    return event_stream(notices())


def _notice(count: int, lang: Lang) -> str:
    text = words().text
    told = text("nouvel_evenement", lang) if count == 1 else text("nouveaux", lang, nombre=count)
    return Markup('{} <a href="">{}</a>').format(told, text("actualiser", lang))
