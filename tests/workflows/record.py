"""Records the histories that `test_replay.py` replays: `python -m tests.workflows.record`.

Run it when the procedure changes on purpose, after the old histories have been replayed or the change has
been put behind `workflow.patched`: envelopes in flight follow the old histories.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from temporalio.client import WorkflowHandle
from temporalio.worker import Worker

from tests.temporal import time_skipping
from tests.workflows.test_actes import GIVE_UP, SEND_AGAIN, Stage, World, answer, sent, unsure
from workflows.actes import EnvelopeWorkflow

HISTORIES = Path(__file__).with_name("histories")
Handle = WorkflowHandle[object, str]


async def acknowledged(stage: Stage) -> Handle:
    """The plain way."""
    stage.world.departures, stage.world.answer = [None, sent()], "1-2"
    return await stage.start()


async def refused_by_us(stage: Stage) -> Handle:
    """Nothing leaves."""
    stage.world.accepted = False
    return await stage.start()


async def refused_by_the_ministry(stage: Stage) -> Handle:
    """An anomaly."""
    stage.world.departures, stage.world.answer = [sent()], "1-3"
    return await stage.start()


async def sent_again_by_a_person(stage: Stage) -> Handle:
    """Uncertain, silence, reminders, a decision, a second sending."""
    stage.world.departures, stage.world.answer = [unsure(), sent()], "1-2"
    handle = await stage.start()
    await stage.env.sleep(timedelta(days=3))
    await handle.execute_update(EnvelopeWorkflow.decide, SEND_AGAIN)
    return handle


async def given_up_by_a_person(stage: Stage) -> Handle:
    """Silence, and the end."""
    stage.world.departures = [sent()]
    handle = await stage.start()
    await stage.env.sleep(timedelta(days=6))
    await handle.execute_update(EnvelopeWorkflow.decide, GIVE_UP)
    return handle


async def waiting(stage: Stage) -> Handle:
    """Still in flight: the history of an envelope that a new release finds."""
    stage.world.departures = [sent()]
    handle = await stage.start()
    await stage.env.sleep(timedelta(days=1))
    return handle


SCENES: tuple[Callable[[Stage], Awaitable[Handle]], ...] = (
    acknowledged,
    refused_by_us,
    refused_by_the_ministry,
    sent_again_by_a_person,
    given_up_by_a_person,
    waiting,
)


async def record() -> None:
    """Play every scene once and keep its history."""
    HISTORIES.mkdir(exist_ok=True)
    for scene in SCENES:
        async with time_skipping() as env:
            world = World(env.client)
            async with Worker(
                env.client, task_queue="q", workflows=[EnvelopeWorkflow], activities=world.activities()
            ):
                handle = await scene(Stage(env, world, "q"))
                if scene is not waiting:
                    await handle.result()
                history = await handle.fetch_history()
                (HISTORIES / f"{scene.__name__}.json").write_text(history.to_json(), encoding="utf-8")
                if scene is waiting:
                    await answer(handle, "1-2")
                    await handle.result()
    # The SDK may abort the interpreter while its last polls are being given up (Python 3.11).
    await asyncio.sleep(0.5)


if __name__ == "__main__":
    asyncio.run(record())
