"""Routes of pages: what goes wrong becomes a page that says what to do, in the reader's language."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from sqlalchemy.exc import DBAPIError

from api import problems
from api.pages.render import language, page
from api.problems import Problem
from api.sign_in import ForgedForm, NoBodyChosen, NotAllowed, NotSignedIn
from archive.store import StoreError
from registry.door import NotFound

log = structlog.get_logger("api.pages")


def redirect(path: str) -> RedirectResponse:
    """See another page (303: the browser asks for it by GET, and never sends the form again)."""
    return RedirectResponse(path, 303, headers={"Cache-Control": "no-store"})


def error_page(request: Request, key: str, status: int) -> Response:
    """A page of the catalogue's `<key>_titre` and `<key>_texte`."""
    return page(request, "erreur.html", {"key": key}, status=status)


def problem_page(request: Request, problem: Problem) -> Response:
    """A refusal of the doors as a page: its title, and what to do."""
    lang, book = language(request), problems.catalogue()
    context = {
        "title": book.text(problem.code, lang, **problem.params),
        "text": book.remedy(problem.code, lang, **problem.params),
        "findings": problems.describe_findings(problem.findings, lang) if not _same(problem) else [],
        "choose_body": problem.code == "collectivite_a_choisir",
    }
    return page(request, "probleme.html", context, status=problem.status)


def _same(problem: Problem) -> bool:
    """Whether the only finding says what the problem's title says."""
    return [finding.code for finding in problem.findings] == [problem.code]


class PageRoute(APIRoute):
    """A route whose errors are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, wrapped."""
        handle = super().get_route_handler()

        async def wrapped(request: Request) -> Response:
            # PostgreSQL has no NUL in its texts: an address with one names nothing.
            given = (
                request.url.path,
                *(text for pair in request.query_params.multi_items() for text in pair),
            )
            if any("\0" in text for text in given):
                return error_page(request, "introuvable", 404)
            try:
                return await handle(request)
            except NotSignedIn:
                return redirect(f"/connexion?suite={quote(_came_for(request))}")
            except NoBodyChosen:
                return redirect(f"/organisme?suite={quote(_came_for(request))}")
            except NotAllowed:
                return error_page(request, "interdit", 403)
            except ForgedForm:
                return error_page(request, "perime", 403)
            except (NotFound, RequestValidationError):
                return error_page(request, "introuvable", 404)
            except Problem as problem:
                return problem_page(request, problem)
            except StoreError as error:
                log.warning("store unavailable", path=request.url.path, error=type(error).__name__)
                return error_page(request, "panne", 503)
            except DBAPIError as error:
                if not problems.is_outage(error):
                    raise
                log.warning("register unavailable", path=request.url.path)
                return error_page(request, "panne", 503)

        return wrapped


def _came_for(request: Request) -> str:
    if request.method != "GET":
        return "/"
    query = f"?{request.url.query}" if request.url.query else ""
    return request.url.path + query


def pages() -> APIRouter:
    """A router for pages."""
    return APIRouter(route_class=PageRoute, include_in_schema=False)
