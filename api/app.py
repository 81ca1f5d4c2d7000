"""The doors as one ASGI application: REST v1, pages for people, health, the descriptions of problems."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, PlainTextResponse
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import pages, problems
from api.auth import Provided, refuse_browser_writes
from api.deposits import ActeDepose
from api.problems import Problem
from api.services import Services
from api.v1 import actes, others
from registry.door import Platform
from schemas.findings import UnknownMessage

DESCRIPTION = """\
API de Pli : déposer des actes au contrôle de légalité, les suivre, récupérer leurs preuves.

Chaque refus est un problème RFC 9457 : `code` stable pour le logiciel, français (ou anglais, selon
`Accept-Language`) pour les personnes, et dans `erreurs` le pointeur, la règle et le remède de chaque point.
"""

public = APIRouter(tags=["plateforme"])
"""Routes open to anybody; everything else asks who is calling."""


@public.get(
    "/sante",
    operation_id="sante",
    summary="La plateforme répond",
    responses=problems.responses("service_indisponible"),
)
def health(services: Provided) -> dict[str, str]:
    """Vrai si le registre répond ; ne dit rien d’autre."""
    try:
        with services.register.session(Platform("sante")) as session:
            session.execute(select(1))
    except SQLAlchemyError as error:
        raise Problem("service_indisponible") from error
    return {"etat": "ok"}


@public.get(
    "/problemes/{code}",
    operation_id="lire_probleme",
    summary="La description d’un problème",
    response_class=PlainTextResponse,
    responses=problems.responses("introuvable"),
)
def describe_problem(code: str) -> PlainTextResponse:
    """Le titre et le remède, en français puis en anglais."""
    try:
        entry = problems.catalogue().entry(code)
    except UnknownMessage:
        raise Problem("introuvable") from None
    lines = [code, "", entry["fr"], entry["fr_remedy"], "", entry["en"], entry["en_remedy"], ""]
    return PlainTextResponse("\n".join(lines))


class Guard:
    """Bounds the bodies that frameworks keep in memory, before anybody is asked who they are; answers HEAD;
    forbids sniffing."""

    STREAMED = frozenset({"/v1/actes", "/v1/actes/enveloppe", "/actes/nouveau"})
    """Addresses whose bodies go to disk as they come, within a limit of their own (`api/uploads.py`)."""
    MOST = problems.SMALL_BODY

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        room = self.MOST

        async def bounded() -> Message:
            nonlocal room
            message = await receive()
            room -= len(message.get("body", b""))
            if room < 0:
                raise HTTPException(413)
            return message

        head = scope["method"] == "HEAD"
        if head:
            # Answered as GET; the server sends the header alone (RFC 9110 §9.3.2).
            scope = {**scope, "method": "GET"}

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
            if head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app(scope, receive if scope["path"] in self.STREAMED else bounded, guarded)


def create_app(services: Services) -> FastAPI:
    """The application on these services. Serve it with `proxy_headers=False` (see `api/auth.py`)."""
    app = FastAPI(
        title="Pli",
        version="1",
        description=DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    problems.install(app)
    app.add_middleware(Guard)
    v1 = APIRouter(prefix="/v1", dependencies=[Depends(refuse_browser_writes)])
    v1.include_router(actes.router)
    v1.include_router(others.router)
    app.include_router(public)
    app.include_router(v1)

    @app.get("/openapi.json", include_in_schema=False)
    def openapi(request: Request) -> Response:
        return JSONResponse(description(request.app))

    app.include_router(pages.router)
    pages.install(app)
    return app


def description(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the doors for software (the pages are not in it)."""
    document: dict[str, Any] = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    acte = ActeDepose.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= {**acte.pop("$defs"), "ActeDepose": acte, "Probleme": problems.SCHEMA}
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = {
        "jeton": {"type": "http", "scheme": "bearer", "description": "Jeton « pli_… »."},
        "certificat": {"type": "mutualTLS", "description": "Certificat client enregistré."},
    }
    document["security"] = [{"jeton": []}, {"certificat": []}]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if not path.startswith("/v1/"):
                operation["security"] = []
            if problems.MEDIA_TYPE not in operation["responses"].get("422", {}).get("content", {}):
                # The framework declares a 422 of its own; ours are declared by name.
                operation["responses"].pop("422", None)
    return document
