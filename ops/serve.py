"""`pli api`: the doors, served by uvicorn."""

from __future__ import annotations

import uvicorn

from api.app import create_app
from ops import compose
from ops.settings import Settings

SHUTDOWN = 5
"""Seconds given to requests under way; live pages would otherwise hold the process for ever."""


async def run_api(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    services = await compose.services(settings)
    config = uvicorn.Config(
        create_app(services),
        host=settings.listen_host,
        port=settings.listen_port,
        log_config=None,
        access_log=False,
        server_header=False,
        # `api/auth.py` believes proxies by its own list.
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN,
    )
    await uvicorn.Server(config).serve()
    services.register.close()
