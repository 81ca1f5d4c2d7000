"""Temporal's test servers from their wheels."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.testing import WorkflowEnvironment


def program(name: str) -> str:
    """Path of a program that a wheel put beside the interpreter."""
    return str(Path(sys.executable).parent / name)


@asynccontextmanager
async def time_skipping() -> AsyncIterator[WorkflowEnvironment]:
    """A server on which months pass in milliseconds."""
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=program("temporal-test-server")
    ) as env:
        yield env
