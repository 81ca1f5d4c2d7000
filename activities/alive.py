"""Signs of life: a step that lasts tells the engine that its worker is still there."""

from __future__ import annotations

import contextvars
import functools
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from temporalio import activity

P = ParamSpec("P")
R = TypeVar("R")

BEAT_SECONDS = 5.0
"""Well under the heartbeat timeout of the workflows."""


def kept_alive(step: Callable[P, R]) -> Callable[P, R]:
    """Send a heartbeat every few seconds while `step` runs in its thread; a step that ends before the first
    beat costs a timer and nothing else."""

    @functools.wraps(step)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(BEAT_SECONDS):
                activity.heartbeat()

        context = contextvars.copy_context()
        beating = threading.Thread(target=context.run, args=(beat,), daemon=True)
        beating.start()
        try:
            return step(*args, **kwargs)
        finally:
            ended.set()

    return run
