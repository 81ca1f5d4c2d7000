"""Problems of the doors (RFC 9457): one shape for every refusal, stable codes, French or English.

    Problem            a refusal that a caller can read; `code` is a key of `api/problems.toml`

Errors of other rooms become problems here too, and what nobody foresaw becomes a 500 that says nothing but
a correlation number, which the log has.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import compile_path

from archive.record import RecordError
from archive.store import ObjectAltered, StoreError
from registry.door import Conflict, NotFound
from schemas.catalogue import Catalogue, Lang, load, told
from schemas.findings import Finding, Refused

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 5
"""Seconds that a caller is asked to wait when a service does not answer."""

SMALL_BODY = 1024 * 1024
"""Bytes of a body that is kept in memory (JSON, forms without files)."""

log = structlog.get_logger("api")


class Problem(Exception):
    """A refusal, with every finding behind it."""

    def __init__(
        self,
        code: str,
        *,
        findings: Sequence[Finding] = (),
        headers: Mapping[str, str] | None = None,
        **params: str,
    ) -> None:
        self.code = code
        self.findings = tuple(findings)
        self.headers = dict(headers or {})
        self.params = params
        super().__init__(code)

    @property
    def status(self) -> int:
        """HTTP status, as the catalogue has it."""
        return status_of(self.code)


@cache
def catalogue() -> Catalogue:
    """Titles and remedies of the problems."""
    return load("api", "problems.toml")


@cache
def _reasons() -> Catalogue:
    """Why a field's value was not understood."""
    return load("api", "motifs.toml")


@cache
def findings_catalogue() -> Catalogue:
    """Why something was refused: the norm's rules, and what the flow adds to them."""
    return load("schemas").merged(load("registry", "refusals.toml"))


def status_of(code: str) -> int:
    """The HTTP status of a problem."""
    return int(catalogue().entry(code)["status"])


def language(request: Request) -> Lang:
    """French, unless the caller's first choice is English (`Accept-Language`)."""
    first = request.headers.get("accept-language", "").split(",")[0].strip().lower()
    return "en" if first.startswith("en") else "fr"


def describe_findings(findings: Iterable[Finding], lang: Lang) -> list[dict[str, str]]:
    """Findings as software and people read them: pointer, code, sentence, remedy, norm."""
    return [_describe(finding, lang) for finding in findings]


def _describe(finding: Finding, lang: Lang) -> dict[str, str]:
    ours = catalogue()
    book = ours if finding.code in set(ours) else findings_catalogue()
    params = told(finding, lang)
    if finding.code == "champ_invalide":
        params["motif"] = _reasons().text(finding.params["motif"], lang, **params)
    described = {
        "pointeur": finding.place,
        "code": finding.code,
        "message": book.text(finding.code, lang, **params),
        "remede": book.remedy(finding.code, lang, **params),
        "norme": book.norm(finding.code),
    }
    return {key: value for key, value in described.items() if value or key == "pointeur"}


def body_of(
    problem: Problem, *, lang: Lang, public_url: str, instance: str, correlation: str
) -> dict[str, Any]:
    """The problem as RFC 9457 JSON."""
    body: dict[str, Any] = {
        "type": f"{public_url.rstrip('/')}/problemes/{problem.code}",
        "title": catalogue().text(problem.code, lang, **problem.params),
        "status": problem.status,
        "detail": catalogue().remedy(problem.code, lang, **problem.params),
        "instance": instance,
        "code": problem.code,
        "correlation": correlation,
    }
    if problem.findings:
        body["erreurs"] = describe_findings(problem.findings, lang)
    return body


def answer(request: Request, problem: Problem) -> Response:
    """The response that carries a problem."""
    lang = language(request)
    correlation = secrets.token_hex(8)
    body = body_of(
        problem,
        lang=lang,
        public_url=request.app.state.services.settings.public_url,
        instance=request.url.path,
        correlation=correlation,
    )
    log.info(
        "refused", code=problem.code, status=problem.status, path=request.url.path, correlation=correlation
    )
    headers = {"Content-Language": lang, "Cache-Control": "no-store", **problem.headers}
    if request.method == "POST":
        # The body may not have been read to its end; what is left of it must not become the next request.
        headers["Connection"] = "close"
    if problem.status == 401:
        headers.setdefault("WWW-Authenticate", 'Bearer realm="pli"')
    if problem.status == 503:
        headers.setdefault("Retry-After", str(RETRY_AFTER))
    return JSONResponse(body, problem.status, headers, MEDIA_TYPE)


def refused(error: Refused) -> Problem:
    """The problem for findings of the norm's or the readers' rules."""
    return Problem("depot_refuse", findings=error.findings)


def conflict(error: Conflict) -> Problem:
    """The problem for a rule of the database."""
    place = _CONFLICT_PLACES.get(error.code)
    findings = () if place is None else (Finding(error.code, place, dict(error.params)),)
    return Problem(error.code, findings=findings, headers=None, **error.params)


_CONFLICT_PLACES = {"numero_deja_utilise": "/numero", "precedente_invalide": "/precedente"}
"""Fields that a rule of the database is about."""


def _invalid(error: RequestValidationError) -> Problem:
    return Problem("parametre_invalide", findings=[finding_of(item) for item in error.errors()])


_PYDANTIC_CODES = {
    "extra_forbidden": "champ_inconnu",
    "missing": "champ_manquant",
    "json_invalid": "json_illisible",
}


def finding_of(
    item: Mapping[str, Any], skip: tuple[str, ...] = ("body", "query", "path", "header")
) -> Finding:
    """A pydantic error as a finding: pointer, our code, a reason of `motifs.toml`; never the value."""
    place = [str(step) for step in item["loc"]]
    if place and place[0] in skip:
        place = place[1:]
    code = _PYDANTIC_CODES.get(item["type"], "champ_invalide")
    pointer = "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in place)
    return Finding(code, pointer, _reason(item) if code == "champ_invalide" else {})


_REASONS = (
    ("date_", "date"),
    ("datetime_", "date"),
    ("int_", "entier"),
    ("bool_", "booleen"),
    ("string_too_long", "trop_long"),
    ("too_long", "trop_nombreux"),
    ("string_pattern_mismatch", "forme"),
    ("string_", "texte"),
    ("tuple_type", "liste"),
    ("list_type", "liste"),
    ("model_", "objet"),
    ("dict_type", "objet"),
    ("literal_error", "choix"),
    ("enum", "choix"),
    ("greater_than_equal", "au_moins"),
    ("less_than_equal", "au_plus"),
)
"""Beginnings of pydantic's error types, each with our reason; the first that fits is told."""


def _reason(item: Mapping[str, Any]) -> dict[str, str]:
    motif = next((ours for theirs, ours in _REASONS if str(item["type"]).startswith(theirs)), "autre")
    limits = {name: str(value) for name, value in (item.get("ctx") or {}).items() if name in _LIMITS}
    return {**limits, "motif": motif}


_LIMITS = frozenset({"max_length", "pattern", "expected", "ge", "le"})
"""What pydantic tells of a rule, beside the value."""


_HTTP_CODES = {404: "introuvable", 405: "methode_non_admise", 401: "authentification_requise"}


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem."""

    def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return answer(request, error)

    def on_refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return answer(request, refused(error))

    def on_conflict(request: Request, error: Exception) -> Response:
        assert isinstance(error, Conflict)
        return answer(request, conflict(error))

    def on_not_found(request: Request, _: Exception) -> Response:
        return answer(request, Problem("introuvable"))

    def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return answer(request, _invalid(error))

    def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 413:
            return answer(request, Problem("taille_depassee", limite=str(SMALL_BODY)))
        code = _HTTP_CODES.get(error.status_code, "requete_refusee")
        headers = {"Allow": _allowed(app, request.url.path)} if error.status_code == 405 else error.headers
        return answer(request, Problem(code, headers=headers))

    def on_gone(request: Request, _: Exception) -> Response:
        return answer(request, Problem("multipart_inacheve"))

    def on_altered(request: Request, error: Exception) -> Response:
        log.error("object altered", path=request.url.path, error=str(error))
        return answer(request, Problem("fichier_altere"))

    def on_unavailable(request: Request, error: Exception) -> Response:
        # A database error's own text holds the statement's values: only the server's sentence is logged.
        said = getattr(error, "orig", None) or error
        log.warning("service unavailable", path=request.url.path, kind=type(error).__name__, error=str(said))
        return answer(request, Problem("service_indisponible"))

    def on_database(request: Request, error: Exception) -> Response:
        assert isinstance(error, DBAPIError)
        if is_outage(error):
            return on_unavailable(request, error)
        return on_anything(request, error)

    def on_anything(request: Request, error: Exception) -> Response:
        log.error("unforeseen", path=request.url.path, exc_info=error)
        return answer(request, Problem("erreur_interne"))

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(Refused, on_refused)
    app.add_exception_handler(Conflict, on_conflict)
    app.add_exception_handler(NotFound, on_not_found)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(ClientDisconnect, on_gone)
    app.add_exception_handler(ObjectAltered, on_altered)
    app.add_exception_handler(RecordError, on_altered)
    app.add_exception_handler(StoreError, on_unavailable)
    app.add_exception_handler(PoolTimeout, on_unavailable)
    app.add_exception_handler(DisconnectionError, on_unavailable)
    app.add_exception_handler(DBAPIError, on_database)
    app.add_exception_handler(Exception, on_anything)


def _allowed(app: FastAPI, path: str) -> str:
    """Every method of this address: the framework names those of the first route only."""
    found = {
        method
        for route in iter_route_contexts(app.routes)
        if route.path is not None and compile_path(route.path)[0].match(path)
        for method in route.methods or ()
    }
    return ", ".join(sorted(found))


def is_outage(error: DBAPIError) -> bool:
    """Whether the database was out of reach or going down, rather than wrongly asked."""
    sqlstate = getattr(error.orig, "sqlstate", None)
    if error.connection_invalidated or isinstance(error, InterfaceError):
        return True
    if sqlstate is None:
        return isinstance(error, OperationalError)
    # 08: connection, 53: resources, 57P: shutdown, 40: deadlock or serialisation, 55P03: lock not available.
    return str(sqlstate).startswith(("08", "53", "57P", "40", "55P03"))


def responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The problems of an operation for OpenAPI, one example each."""
    declared: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        entry = declared.setdefault(
            status_of(code),
            {"description": "", "content": {MEDIA_TYPE: {"schema": SCHEMA_REF, "examples": {}}}},
        )
        example = _example(code)
        entry["content"][MEDIA_TYPE]["examples"][code] = {"summary": example["title"], "value": example}
        entry["description"] = " · ".join(filter(None, (entry["description"], example["title"])))
    return declared


SCHEMA_REF = {"$ref": "#/components/schemas/Probleme"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "Refus lisible par un logiciel et par une personne (RFC 9457).",
    "required": ["type", "title", "status", "detail", "instance", "code", "correlation"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"type": "string", "description": "Code stable, à traiter par les logiciels."},
        "correlation": {"type": "string", "description": "À donner à l’exploitant en cas de question."},
        "erreurs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointeur", "code", "message"],
                "properties": {
                    "pointeur": {
                        "type": "string",
                        "description": "Pointeur JSON, ou nom de fichier et élément.",
                    },
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                    "remede": {"type": "string"},
                    "norme": {"type": "string"},
                },
            },
        },
    },
}


class _Shown(dict[str, str]):
    """Placeholders of an example show their own name."""

    def __missing__(self, key: str) -> str:
        return f"<{key}>"


def _example(code: str) -> dict[str, Any]:
    entry = catalogue().entry(code)
    return {
        "type": f"https://pli.exemple.fr/problemes/{code}",
        "title": entry["fr"].format_map(_Shown()),
        "status": status_of(code),
        "detail": entry["fr_remedy"].format_map(_Shown()),
        "instance": "/v1/actes",
        "code": code,
        "correlation": "5f0c1d2e3a4b5c6d",
    }
