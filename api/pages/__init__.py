"""The pages for people: every route, and what the application needs to serve them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from api.live import Live
from api.pages import (
    administration,
    archives,
    deposit,
    door,
    envelope,
    home,
    lists,
    quarantine,
    reference,
    texts,
)
from api.pages.routing import error_page
from api.services import Services


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await app.state.live.close()


router = APIRouter(include_in_schema=False, lifespan=_lifespan)
for part in (door, home, lists, deposit, envelope, archives, quarantine, reference, administration, texts):
    router.include_router(part.router)


def install(app: FastAPI) -> None:
    """Serve stylesheet, scripts and fonts, and hand out live changes; needs `app.state.services`."""
    services: Services = app.state.services
    app.state.live = Live(services.register)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent.parent / "static"), name="static")
    _tell_people_of_unknown_addresses(app)


def _tell_people_of_unknown_addresses(app: FastAPI) -> None:
    for_software = app.exception_handlers[HTTPException]

    def on_http(request: Request, error: HTTPException) -> Any:
        by_a_person = "text/html" in request.headers.get("accept", "")
        if error.status_code == 404 and by_a_person and not request.url.path.startswith("/v1"):
            return error_page(request, "introuvable", 404)
        return for_software(request, error)

    app.add_exception_handler(HTTPException, on_http)  # type: ignore[arg-type]


__all__ = ["install", "router"]
