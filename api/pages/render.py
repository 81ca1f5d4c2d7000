"""One way to draw a page: Jinja2 with strict variables, the catalogue's words, and the page headers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal
from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from api.services import Right, Services
from schemas.catalogue import LANGUAGES, Catalogue, Lang, load
from schemas.states import FAMILLE, Etat, Famille

PARIS = ZoneInfo("Europe/Paris")

LANG_COOKIE = "langue"

PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


@cache
def words() -> Catalogue:
    """Texts of the pages."""
    return load("api")


def rich(key: str, lang: Lang, **params: object) -> Markup:
    """A sentence whose values may be markup (a `<time>`); plain values are escaped."""
    return Markup(words().entry(key)[lang]).format(**params)  # noqa: S704 - the sentence is ours


def key_for(key: str, transaction: str) -> str:
    """The key of this transaction's own sentence, where the one of acts would be untrue."""
    if transaction == "1-1":
        return key
    known = set(words())
    own = (f"{key}_{transaction.replace('-', '_')}", f"{key}_demande")
    return next((candidate for candidate in own if candidate in known), key)


def language(request: Request) -> Lang:
    """The reader's language: `?lang=`, then the cookie, then `Accept-Language`; French where none fits."""
    for wanted in (request.query_params.get("lang"), request.cookies.get(LANG_COOKIE)):
        if wanted == "en":
            return "en"
        if wanted == "fr":
            return "fr"
    for part in request.headers.get("accept-language", "").split(","):
        wanted = part.split(";")[0].strip().lower()
        if wanted.startswith("fr"):
            return "fr"
        if wanted.startswith("en"):
            return "en"
    return "fr"


def _locale(lang: Lang) -> str:
    return "fr_FR" if lang == "fr" else "en_GB"


def day(value: date, lang: Lang) -> str:
    """`23/11/2026`."""
    return format_date(value, "dd/MM/yyyy", locale=_locale(lang))


def long_day(value: date, lang: Lang) -> str:
    """`Lundi 23 novembre 2026`."""
    told = format_date(value, "EEEE d MMMM yyyy", locale=_locale(lang))
    return told[0].upper() + told[1:]


def instant(value: datetime, lang: Lang) -> str:
    """`23/11/2026 à 11 h 05`, Europe/Paris."""
    local = value.astimezone(PARIS)
    pattern = "dd/MM/yyyy 'à' HH 'h' mm" if lang == "fr" else "dd/MM/yyyy 'at' HH:mm"
    return format_datetime(local, pattern, locale=_locale(lang)).replace(" h ", "\u00a0h\u00a0")


def time_tag(value: date | datetime | None, lang: Lang) -> Markup:
    """A `<time>` element that people read in Europe/Paris and software reads in ISO 8601."""
    if value is None:
        return Markup("–")
    if isinstance(value, datetime):
        iso, words_ = value.astimezone(UTC).isoformat(timespec="seconds"), instant(value, lang)
    else:
        iso, words_ = value.isoformat(), day(value, lang)
    return Markup('<time datetime="{}">{}</time>').format(iso, words_)


def size(value: int, lang: Lang) -> str:
    """Bytes in words: `512 octets`, `1,4 Mo`."""
    units = ("octets", "Ko", "Mo", "Go") if lang == "fr" else ("bytes", "KB", "MB", "GB")
    amount, unit = float(value), 0
    while amount >= 1024 and unit < len(units) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{format_decimal(amount, '0' if unit == 0 else '0.#', locale=_locale(lang))}\u00a0{units[unit]}"


def number(value: int, lang: Lang) -> str:
    """A count with its thousands."""
    return format_decimal(value, locale=_locale(lang))


_FORMATS = {
    "application/pdf": "PDF",
    "application/xml": "XML",
    "image/jpeg": "JPEG",
    "image/png": "PNG",
}


def kind_of_file(media_type: str, lang: Lang) -> str:
    """A file's format as people say it."""
    if media_type == "message/rfc822":
        return words().text("type_courriel", lang)
    if media_type in {"application/gzip", "application/x-gzip", "application/x-tar"}:
        return words().text("type_archive", lang)
    return _FORMATS.get(media_type, media_type.split("/")[-1].upper())


def family(etat: str) -> str:
    """The family that pages show first."""
    return FAMILLE[Etat(etat)].value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent.parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        family=family, families=[f.value for f in Famille], etats=[e.value for e in Etat], Right=Right
    )
    return environment


def _helpers(lang: Lang) -> dict[str, Callable[..., Any]]:
    return {
        "t": lambda key, **params: words().text(key, lang, **params),
        "when": lambda value: time_tag(value, lang),
        "long_day": lambda value: long_day(value, lang),
        "size": lambda value: size(value, lang),
        "kind": lambda value: kind_of_file(value, lang),
        "number": lambda value: number(value, lang),
    }


def fragment(name: str, lang: Lang, context: Mapping[str, Any]) -> str:
    """A part of a page as HTML, for the live stream."""
    return _environment().get_template(name).render({**context, **_helpers(lang), "lang": lang})


def _here(request: Request, **changes: str) -> str:
    """The address of this page with some query parameters changed; after a form, that of the form."""
    path, query = request.url.path, request.url.query
    if request.method != "GET":
        came_from = urlsplit(request.headers.get("referer", ""))
        same = came_from.netloc == request.headers.get("host") and not came_from.path.startswith("//")
        path, query = (came_from.path or "/", came_from.query) if same else ("/", "")
    kept = {name: value for name, value in parse_qsl(query) if name not in changes}
    return f"{path}?{urlencode({**kept, **changes})}"


def page(
    request: Request, name: str, context: Mapping[str, Any] | None = None, *, status: int = 200
) -> HTMLResponse:
    """The template `name` as an answer with the page headers.

    `request.state.visitor` is who reads it (None before sign-in). A language asked by `?lang=` is kept in a
    cookie so that the next pages keep it.
    """
    lang = language(request)
    services: Services = request.app.state.services
    html = fragment(
        name,
        lang,
        {
            "visitor": getattr(request.state, "visitor", None),
            "path": request.url.path,
            "sandbox": services.settings.sandbox,
            "switch": _here(request, lang="en" if lang == "fr" else "fr"),
            "now": datetime.now(UTC),
            **(context or {}),
        },
    )
    response = HTMLResponse(html, status, headers=PAGE_HEADERS | {"Content-Language": lang})
    if request.query_params.get("lang") in LANGUAGES:
        response.set_cookie(
            LANG_COOKIE,
            lang,
            max_age=365 * 86400,
            httponly=True,
            samesite="lax",
            secure=services.settings.secure_cookies,
        )
    return response
