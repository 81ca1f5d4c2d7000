"""What a crash of a door left is found: accepted but not started, stored but not accepted."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select
from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError

from activities.common import now
from activities.contracts import Delays
from activities.upkeep import UNFINISHED_AFTER, Upkeep
from registry import flow
from registry.door import OneBody, Platform
from registry.models import UploadIntent
from tests.activities.world import World


class Engine(Client):
    """Counts what is started."""

    def __init__(self, running: set[str] | None = None) -> None:
        self.running = running or set()
        self.started: list[str] = []

    async def start_workflow(self, workflow: object, *args: object, **how: object) -> None:  # type: ignore[override]
        enveloppe_id = str(how["id"])
        if enveloppe_id in self.running:
            raise WorkflowAlreadyStartedError(enveloppe_id, str(workflow))
        self.started.append(enveloppe_id)


def upkeep(world: World, engine: Engine) -> Upkeep:
    return Upkeep(world.register, world.store, engine, Delays())


async def test_an_accepted_envelope_without_workflow_is_started(world: World) -> None:
    forgotten, running, fresh = world.deposit(), world.deposit(), world.deposit()
    world.set(fresh, created_at=now())
    engine = Engine({running.enveloppe_id})
    swept = await upkeep(world, engine).sweep()
    assert engine.started == [forgotten.enveloppe_id]
    assert swept.started == 1


@pytest.mark.parametrize(
    ("age", "removed"), [(UNFINISHED_AFTER + timedelta(minutes=1), 1), (timedelta(minutes=1), 0)]
)
async def test_objects_of_a_deposit_that_never_ended_are_removed(
    world: World, age: timedelta, removed: int
) -> None:
    world.store.put_bytes(f"{world.body}/acte_gone/fic_1", b"x")
    with world.register.session(OneBody(world.body)) as session:
        flow.begin_upload(session, "acte_gone", world.body, now() - age)
    swept = await upkeep(world, Engine()).sweep()
    assert swept.removed == removed
    assert len(list(world.store.keys(f"{world.body}/acte_gone/"))) == 1 - removed


async def test_what_was_accepted_without_the_door_hearing_of_it_is_kept(world: World) -> None:
    kept = world.deposit()
    with world.register.session(OneBody(world.body)) as session:
        flow.begin_upload(session, kept.enveloppe_id, world.body, now() - 2 * UNFINISHED_AFTER)
    swept = await upkeep(world, Engine()).sweep()
    assert swept.removed == 0
    assert list(world.store.keys(f"{world.body}/{kept.enveloppe_id}/"))
    with world.register.session(Platform("test")) as session:
        assert session.scalar(select(UploadIntent)) is None
