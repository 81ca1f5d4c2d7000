"""The procedure of an envelope, on the time-skipping server: months in milliseconds."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities import contracts
from activities.contracts import (
    Checked,
    Decision,
    DecisionTaken,
    Delays,
    Departure,
    EnvelopeInput,
    EnvelopeRef,
    ReturnArrived,
    Silence,
    Transmitted,
    Withdrawal,
)
from tests.temporal import time_skipping
from workflows.actes import EnvelopeWorkflow

PERSON = "Camille Martin"
SEND_AGAIN = Decision("renvoyer", "usr_1", PERSON)
GIVE_UP = Decision("abandonner", "usr_1", PERSON)


@dataclass
class World:
    """Activities that play the world, and what they were asked for."""

    client: Client
    departures: list[Transmitted | None] = field(default_factory=list)
    """What each transmission gives; None: nothing left."""
    answer: str | None = None
    """The ministry's answer, which comes while the last departure is being recorded."""
    accepted: bool = True
    asked: list[str] = field(default_factory=list)
    silences: list[Silence] = field(default_factory=list)
    decisions: list[DecisionTaken] = field(default_factory=list)
    during: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    decision_applies: bool = True

    async def _ask(self, name: str) -> None:
        self.asked.append(name)
        if name in self.during:
            await self.during[name]()

    @activity.defn(name=contracts.CHECK)
    async def check(self, _ref: EnvelopeRef) -> Checked:
        await self._ask("check")
        return Checked(self.accepted)

    @activity.defn(name=contracts.PACKAGE)
    async def package(self, _ref: EnvelopeRef) -> Checked:
        await self._ask("package")
        return Checked(True)

    @activity.defn(name=contracts.TRANSMIT)
    async def transmit(self, _ref: EnvelopeRef) -> Transmitted:
        await self._ask("transmit")
        outcome = self.departures.pop(0)
        if outcome is None:
            raise ApplicationError("refused", type="not_left")
        if self.answer is not None and not self.departures:
            workflow_id = activity.info().workflow_id
            assert workflow_id is not None
            await answer(self.client.get_workflow_handle(workflow_id), self.answer)
        return outcome

    @activity.defn(name=contracts.RECORD_SILENCE)
    async def silence(self, silence: Silence) -> None:
        self.silences.append(silence)
        await self._ask("silence")

    @activity.defn(name=contracts.RECORD_DECISION)
    async def decision(self, taken: DecisionTaken) -> bool:
        self.decisions.append(taken)
        await self._ask("decision")
        return self.decision_applies

    @activity.defn(name=contracts.WITHDRAW)
    async def withdraw(self, _withdrawal: Withdrawal) -> None:
        await self._ask("withdraw")

    @activity.defn(name=contracts.CERTIFY)
    async def certify(self, _ref: EnvelopeRef) -> None:
        await self._ask("certify")

    @activity.defn(name=contracts.SEAL)
    async def seal(self, _ref: EnvelopeRef) -> None:
        await self._ask("seal")

    def activities(self) -> list[Callable[..., object]]:
        return [
            self.check,
            self.package,
            self.transmit,
            self.silence,
            self.decision,
            self.withdraw,
            self.certify,
            self.seal,
        ]


@dataclass
class Stage:
    env: WorkflowEnvironment
    world: World
    queue: str

    async def start(
        self, transaction: str = "1-1", delays: Delays | None = None
    ) -> WorkflowHandle[object, str]:
        envelope_id = f"acte_{uuid.uuid4()}"
        return await self.env.client.start_workflow(
            EnvelopeWorkflow.run,
            EnvelopeInput(envelope_id, "col_1", transaction, delays or Delays()),
            id=envelope_id,
            task_queue=self.queue,
        )


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with time_skipping() as env:
        world, queue = World(env.client), str(uuid.uuid4())
        async with Worker(
            env.client, task_queue=queue, workflows=[EnvelopeWorkflow], activities=world.activities()
        ):
            yield Stage(env, world, queue)


def sent() -> Transmitted:
    return Transmitted(Departure.ANSWERED)


def unsure() -> Transmitted:
    return Transmitted(Departure.UNKNOWN)


async def answer(handle: WorkflowHandle[object, str], transaction: str) -> None:
    await handle.signal(EnvelopeWorkflow.return_arrived, ReturnArrived("ret_1", transaction))


async def test_an_acknowledged_act_is_stamped_and_sealed(stage: Stage) -> None:
    stage.world.departures, stage.world.answer = [sent()], "1-2"
    handle = await stage.start()
    assert await handle.result() == "scelle"
    assert stage.world.asked == ["check", "package", "transmit", "certify", "seal"]


async def test_a_refused_envelope_never_leaves(stage: Stage) -> None:
    stage.world.accepted = False
    handle = await stage.start()
    assert await handle.result() == "refuse"
    assert stage.world.asked == ["check"]


@pytest.mark.parametrize("transaction", ["1-3", "ANO"])
async def test_an_anomaly_is_sealed_without_stamp(stage: Stage, transaction: str) -> None:
    stage.world.departures, stage.world.answer = [sent()], transaction
    handle = await stage.start()
    assert await handle.result() == "anomalie"
    assert "certify" not in stage.world.asked
    assert stage.world.asked[-1] == "seal"


async def test_what_certainly_did_not_leave_is_tried_again(stage: Stage) -> None:
    stage.world.departures, stage.world.answer = [None, None, None, sent()], "1-2"
    handle = await stage.start()
    assert await handle.result() == "scelle"
    assert stage.world.asked.count("transmit") == 4


async def test_what_may_have_left_is_never_sent_again_by_itself(stage: Stage) -> None:
    stage.world.departures = [unsure()]
    handle = await stage.start()
    await stage.env.sleep(timedelta(days=10))
    assert stage.world.asked.count("transmit") == 1
    assert len(stage.world.silences) == 9, "the named person is reminded every day"
    await answer(handle, "1-2")
    assert await handle.result() == "scelle"


async def test_a_person_cannot_decide_before_the_set_date(stage: Stage) -> None:
    stage.world.departures = [unsure()]
    handle = await stage.start()
    await stage.env.sleep(timedelta(hours=1))
    with pytest.raises(WorkflowUpdateFailedError) as refusal:
        await handle.execute_update(EnvelopeWorkflow.decide, SEND_AGAIN)
    assert refusal.value.cause.type == "rien_a_decider"  # type: ignore[union-attr]
    await answer(handle, "1-2")
    assert await handle.result() == "scelle"


async def test_a_person_sends_again_after_silence(stage: Stage) -> None:
    stage.world.departures, stage.world.answer = [unsure(), sent()], "1-2"
    handle = await stage.start()
    await stage.env.sleep(timedelta(days=1, hours=1))
    await handle.execute_update(EnvelopeWorkflow.decide, SEND_AGAIN)
    assert await handle.result() == "scelle"
    assert stage.world.decisions[0].decision == SEND_AGAIN


async def test_a_person_gives_up_after_silence(stage: Stage) -> None:
    stage.world.departures = [sent()]
    handle = await stage.start()
    await stage.env.sleep(timedelta(days=6))
    await handle.execute_update(EnvelopeWorkflow.decide, GIVE_UP)
    assert await handle.result() == "abandonne"


async def test_an_answer_that_crosses_a_decision_wins(stage: Stage) -> None:
    stage.world.departures = [sent()]
    stage.world.decision_applies = False
    handle = await stage.start()
    await stage.env.sleep(timedelta(days=6))
    await handle.execute_update(EnvelopeWorkflow.decide, GIVE_UP)
    await answer(handle, "1-2")
    assert await handle.result() == "scelle"


async def test_an_unknown_decision_is_refused(stage: Stage) -> None:
    stage.world.departures = [sent()]
    handle = await stage.start()
    await stage.env.sleep(timedelta(days=6))
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update(EnvelopeWorkflow.decide, Decision("oublier", "usr_1", PERSON))
    await answer(handle, "1-2")
    assert await handle.result() == "scelle"


async def test_a_server_out_of_reach_for_days_becomes_a_persons_turn(stage: Stage) -> None:
    stage.world.departures = [None] * 200
    handle = await stage.start(delays=Delays(patience=12 * 3600))
    await stage.env.sleep(timedelta(hours=13))
    assert stage.world.silences[0].delivery_failed
    stage.world.departures, stage.world.answer = [sent()], "1-2"
    await handle.execute_update(EnvelopeWorkflow.decide, SEND_AGAIN)
    assert await handle.result() == "scelle"


async def test_a_byte_quota_delays_and_then_sends(stage: Stage) -> None:
    now = await stage.env.get_current_time()
    stage.world.departures = [Transmitted(Departure.LATER, now + timedelta(hours=3)), sent()]
    stage.world.answer = "1-2"
    handle = await stage.start()
    await stage.env.sleep(timedelta(hours=1))
    assert stage.world.asked.count("transmit") == 1
    await stage.env.sleep(timedelta(hours=3))
    assert await handle.result() == "scelle"
    assert stage.world.asked.count("transmit") == 2


async def test_an_envelope_is_withdrawn_before_it_leaves(stage: Stage) -> None:
    handle = await stage.start()

    async def take_back() -> None:
        await handle.execute_update(
            EnvelopeWorkflow.withdraw, Withdrawal(handle.id, "col_1", "usr_1", PERSON)
        )

    stage.world.during["check"] = take_back
    assert await handle.result() == "retire"
    assert "transmit" not in stage.world.asked


async def test_withdrawing_is_refused_once_sending_began(stage: Stage) -> None:
    stage.world.departures = [sent()]
    handle = await stage.start()
    await stage.env.sleep(timedelta(minutes=1))
    with pytest.raises(WorkflowUpdateFailedError) as refusal:
        await handle.execute_update(
            EnvelopeWorkflow.withdraw, Withdrawal(handle.id, "col_1", "usr_1", PERSON)
        )
    assert refusal.value.cause.type == "deja_parti"  # type: ignore[union-attr]
    await answer(handle, "1-2")
    assert await handle.result() == "scelle"
