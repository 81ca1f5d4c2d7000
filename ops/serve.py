"""`pli api`: the doors, served by uvicorn."""

from __future__ import annotations

import asyncio

import structlog
import uvicorn

from api.app import create_app
from ops import compose
from ops.settings import Settings
from ops.words import protections
from registry import facts

log = structlog.get_logger()

SHUTDOWN = 5
"""Seconds given to requests under way; live pages would otherwise hold the process for ever."""


async def run_api(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    services = await compose.services(settings)
    # As the worker found them: only it tries the vault's lock.
    for sentence in protections(await asyncio.to_thread(facts.known, services.register), "en"):
        log.info(sentence)
    config = uvicorn.Config(
        create_app(services),
        host=settings.listen_host,
        port=settings.listen_port,
        log_config=None,
        access_log=False,
        server_header=False,
        # `api/auth.py` believes proxies by its own list.
        proxy_headers=False,
        # The faster parser bounds no header; this one stops at 64 KiB.
        http="h11",
        timeout_graceful_shutdown=SHUTDOWN,
    )
    await uvicorn.Server(config).serve()
    services.register.close()
