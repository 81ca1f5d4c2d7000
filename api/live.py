"""Live pages: what the register notifies (`registry.models.CHANNEL`), handed to the browsers that watch.

One connection a process listens; each watcher has a queue and sees only its own body. A page that misses a
notification loses nothing: it is only told to draw itself again from the register.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import psycopg
import structlog
from starlette.responses import StreamingResponse

from registry.door import OneBody, Register, Scope
from registry.models import CHANNEL

RETRY_SECONDS = 5.0
"""Pause before the listener connects again after PostgreSQL went away."""

QUEUE_SIZE = 100
HEARTBEAT_SECONDS = 15.0
STREAM_SECONDS = 600.0
"""A stream ends after that; the page connects again, and who reads is checked again."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Change:
    """Something happened to an envelope."""

    collectivite_id: str
    enveloppe_id: str


ANYTHING = Change("", "")
"""The listener was away: whatever is watched may have changed."""


@dataclass(eq=False, slots=True)
class _Watcher:
    scope: Scope
    queue: asyncio.Queue[Change | None]

    def sees(self, change: Change) -> bool:
        if change is ANYTHING or not isinstance(self.scope, OneBody):
            return True
        return self.scope.collectivite_id == change.collectivite_id


class Live:
    """Hands changes to the watchers of one process."""

    def __init__(self, register: Register) -> None:
        self._url = register.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._watchers: set[_Watcher] = set()
        self._task: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()

    @contextlib.asynccontextmanager
    async def watch(self, scope: Scope) -> AsyncIterator[asyncio.Queue[Change | None]]:
        """A queue of the changes in `scope` while the block lasts; None in it means that Pli stops."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listen(), name="live")
        watcher = _Watcher(scope, asyncio.Queue(QUEUE_SIZE))
        self._watchers.add(watcher)
        # What the caller draws from here on can't be overtaken by a change that nobody listened for.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._listening.wait(), RETRY_SECONDS)
        try:
            yield watcher.queue
        finally:
            self._watchers.discard(watcher)

    async def close(self) -> None:
        """Stop listening and send every watcher home."""
        for watcher in self._watchers:
            _offer(watcher.queue, None)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _listen(self) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    self._listening.set()
                    self._hand_out(ANYTHING)
                    async for notification in connection.notifies():
                        self._hand_out(Change(**json.loads(notification.payload)))
            except psycopg.OperationalError as error:
                self._listening.clear()
                log.warning("live_listener_lost", error=type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)

    def _hand_out(self, change: Change) -> None:
        for watcher in self._watchers:
            if watcher.sees(change):
                _offer(watcher.queue, change)


def _offer(queue: asyncio.Queue[Change | None], item: Change | None) -> None:
    # A watcher too slow to empty its queue will draw the newest state anyway: the oldest notice can go.
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(item)


def message(data: str, *, event: str = "", id_: str = "") -> str:
    """One server-sent event (HTML Living Standard §9.2.5)."""
    head = (f"id: {id_}\n" if id_ else "") + (f"event: {event}\n" if event else "")
    return head + "".join(f"data: {line}\n" for line in data.splitlines() or [""]) + "\n"


def event_stream(messages: AsyncIterator[str]) -> StreamingResponse:
    """An answer that sends `messages` as they come, with a sign of life in between."""
    return StreamingResponse(
        _with_heartbeat(messages),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"},
    )


async def _with_heartbeat(messages: AsyncIterator[str]) -> AsyncIterator[str]:
    outbox: asyncio.Queue[str | None] = asyncio.Queue(1)

    async def pump() -> None:
        async for text in messages:
            await outbox.put(text)
        await outbox.put(None)

    pumping = asyncio.create_task(pump(), name="sse")
    clock = asyncio.get_running_loop().time
    ends = clock() + STREAM_SECONDS
    yield ": bonjour\n\n"
    try:
        while clock() < ends:
            try:
                text = await asyncio.wait_for(outbox.get(), HEARTBEAT_SECONDS)
            except TimeoutError:
                yield ": toujours là\n\n"
                continue
            if text is None:
                return
            yield text
    finally:
        pumping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pumping
