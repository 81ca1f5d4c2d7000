"""The pages for people: every route, and what the application needs to serve them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.staticfiles import StaticFiles

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


__all__ = ["install", "router"]
