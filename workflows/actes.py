"""The procedure of an envelope to the control of legality: an act (1-1), a cancellation (6-1) or a request
for the classification (7-1).

    check ──► package ──► transmit ──► wait for the ministry ──► certify ──► seal
      │          │           │               │
      ▼          ▼           │               ├─ anomaly ───────────────────► seal (anomalie)
    refuse     refuse        │               └─ silence ──► a named person ─┬─ renvoyer ──► transmit
                             │                                              └─ abandonner
                             └─ never left for days ──────► the same named person

What may have left is never sent again by itself: only the person's « renvoyer » leads back to `transmit`.
The states that people see are those of `schemas/states.py`; activities write them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities import contracts
    from activities.contracts import (
        POSITIVE,
        Checked,
        Decision,
        DecisionTaken,
        Departure,
        EnvelopeInput,
        EnvelopeRef,
        ReturnArrived,
        Silence,
        Transmitted,
        Withdrawal,
    )

OURS = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(minutes=5)
)
"""Our own servers are expected back within minutes, and are tried for as long as it takes."""

WIRE = RetryPolicy(
    initial_interval=timedelta(seconds=2), backoff_coefficient=2, maximum_interval=timedelta(minutes=10)
)
"""The ministry's server; the workflow's patience bounds the whole."""

HEARTBEAT = timedelta(seconds=20)
"""After so long without sign of life a worker counts as dead and the step is given to another."""


@dataclass
class Progress:
    """All state of the workflow."""

    returns: deque[ReturnArrived] = field(default_factory=deque)
    decisions: deque[Decision] = field(default_factory=deque)
    withdrawal: Withdrawal | None = None
    in_transmission: bool = False
    """From the first transmission on it is too late to withdraw."""
    decidable: bool = False
    """The set date has passed without answer: a named person may decide."""
    answered: bool = False


@workflow.defn
class EnvelopeWorkflow:
    """One envelope, from acceptance to the sealed record; its id is the envelope's id."""

    @workflow.init
    def __init__(self, start: EnvelopeInput) -> None:
        self._start = start
        self._ref = EnvelopeRef(start.enveloppe_id, start.collectivite_id)
        self._progress = Progress()

    @workflow.run
    async def run(self, _start: EnvelopeInput) -> str:
        """Carry the envelope through; gives the word of its last state."""
        outcome = await self._carry()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return outcome

    async def _carry(self) -> str:
        for step in (contracts.CHECK, contracts.PACKAGE):
            if self._progress.withdrawal is not None:
                return await self._withdraw()
            checked: Checked = await self._ask(step, self._ref, Checked)
            if not checked.accepted:
                return "refuse"
        if self._progress.withdrawal is not None:
            return await self._withdraw()
        self._progress.in_transmission = True
        answer = await self._obtain_answer()
        if answer is None:
            return "abandonne"
        if answer.transaction in POSITIVE:
            await self._ask(contracts.CERTIFY, self._ref, None)
        await self._ask(contracts.SEAL, self._ref, None)
        return "scelle" if answer.transaction in POSITIVE else "anomalie"

    async def _obtain_answer(self) -> ReturnArrived | None:
        """Transmit and wait; after silence, do what the named person says. None: given up."""
        while True:
            departure = await self._transmit()
            answer, decision = await self._wait_for_answer(departure)
            if answer is not None:
                self._progress.answered = True
                return answer
            assert decision is not None
            self._progress.decidable = False
            recorded: bool = await self._ask(
                contracts.RECORD_DECISION,
                DecisionTaken(self._start.enveloppe_id, self._start.collectivite_id, decision),
                bool,
            )
            if recorded and decision.choice == "abandonner":
                return None
            if not recorded:
                # The ministry's answer was written in the register just before the decision.
                await workflow.wait_condition(lambda: bool(self._progress.returns))

    async def _transmit(self) -> Departure | None:
        """Send once, for sure or perhaps; None where nothing could leave for the whole patience."""
        deadline = workflow.now() + timedelta(seconds=self._start.delays.patience)
        while not self._progress.returns:
            left = deadline - workflow.now()
            try:
                sent: Transmitted = await workflow.execute_activity(
                    contracts.TRANSMIT,
                    self._ref,
                    result_type=Transmitted,
                    schedule_to_close_timeout=max(left, timedelta(seconds=1)),
                    start_to_close_timeout=timedelta(minutes=30),
                    heartbeat_timeout=HEARTBEAT,
                    retry_policy=WIRE,
                )
            except ActivityError:
                return None
            if sent.departure is not Departure.LATER:
                return sent.departure
            assert sent.not_before is not None
            # A byte quota holds it back: that is not the server's absence, so patience starts anew.
            await self._sleep_until_return(sent.not_before - workflow.now())
            deadline = workflow.now() + timedelta(seconds=self._start.delays.patience)
        return Departure.ANSWERED

    async def _sleep_until_return(self, duration: timedelta) -> None:
        await self._wait(lambda: bool(self._progress.returns), max(duration, timedelta(seconds=1)))

    async def _wait_for_answer(
        self, departure: Departure | None
    ) -> tuple[ReturnArrived | None, Decision | None]:
        """The ministry's answer, or a person's decision once there was none by the set date."""
        delays = self._start.delays
        patience = {None: 0.0, Departure.UNKNOWN: delays.uncertain}.get(departure, delays.answer)
        while True:
            arrived = await self._wait(
                lambda: bool(self._progress.returns or self._progress.decisions), timedelta(seconds=patience)
            )
            if self._progress.returns:
                return self._progress.returns.popleft(), None
            if self._progress.decisions:
                return None, self._progress.decisions.popleft()
            assert not arrived
            reminder = workflow.now() + timedelta(seconds=delays.reminder)
            await self._ask(
                contracts.RECORD_SILENCE,
                Silence(
                    self._start.enveloppe_id,
                    self._start.collectivite_id,
                    next_reminder=reminder,
                    delivery_failed=departure is None,
                ),
                None,
            )
            self._progress.decidable = True
            patience = delays.reminder

    async def _withdraw(self) -> str:
        assert self._progress.withdrawal is not None
        await self._ask(contracts.WITHDRAW, self._progress.withdrawal, None)
        return "retire"

    async def _wait(self, condition: Callable[[], bool], timeout: timedelta) -> bool:
        if condition() or timeout <= timedelta(0):
            return condition()
        try:
            await workflow.wait_condition(condition, timeout=timeout)
        except TimeoutError:
            return False
        return True

    async def _ask(self, name: str, arg: object, result: type[Any] | None) -> Any:
        return await workflow.execute_activity(
            name,
            arg,
            result_type=result,
            start_to_close_timeout=timedelta(minutes=30),
            heartbeat_timeout=HEARTBEAT,
            retry_policy=OURS,
        )

    @workflow.signal
    def return_arrived(self, arrived: ReturnArrived) -> None:
        """The collector applied a return to this envelope."""
        self._progress.returns.append(arrived)

    @workflow.update
    def decide(self, decision: Decision) -> None:
        """A named person sends again or gives up."""
        self._progress.decisions.append(decision)

    @decide.validator
    def _check_decision(self, decision: Decision) -> None:
        if decision.choice not in ("renvoyer", "abandonner"):
            raise ApplicationError("decision_inconnue", type="decision_inconnue", non_retryable=True)
        if not self._progress.decidable or self._progress.answered or self._progress.decisions:
            raise ApplicationError("rien_a_decider", type="rien_a_decider", non_retryable=True)

    @workflow.update
    def withdraw(self, withdrawal: Withdrawal) -> None:
        """The depositor takes the envelope back before it leaves."""
        self._progress.withdrawal = withdrawal

    @withdraw.validator
    def _check_withdrawal(self, withdrawal: Withdrawal) -> None:  # noqa: ARG002 - the handler's signature
        if self._progress.in_transmission:
            raise ApplicationError("deja_parti", type="deja_parti", non_retryable=True)
