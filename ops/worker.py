"""The worker: runs workflows and activities, and keeps the schedules of what runs by the clock."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any

import structlog
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.checking import Checking
from activities.contracts import TASK_QUEUE
from activities.packaging import Packaging
from activities.returns import Returns
from activities.sealing import Sealing
from activities.transmission import Transmission
from activities.upkeep import Upkeep
from ops import compose, temporal
from ops.settings import Settings
from ops.words import protections
from registry import facts
from registry.door import Register
from workflows.actes import EnvelopeWorkflow
from workflows.upkeep import CollectWorkflow, SweepWorkflow

WORKFLOWS = [EnvelopeWorkflow, CollectWorkflow, SweepWorkflow]
SWEEP_EVERY = timedelta(minutes=5)
PASSED_THROUGH = ("activities", "schemas", "workflows")
"""Our pure modules are not loaded anew for every workflow: it halves the worker's time."""

log = structlog.get_logger()


def build_worker(
    client: Client, settings: Settings, register: Register, threads: ThreadPoolExecutor
) -> Worker:
    """A worker with every workflow and every activity."""
    store = compose.store(settings)
    actes = compose.actes_settings(settings)
    scanner, seal_key = compose.scanner(settings), compose.seal_key(settings)
    checking = Checking(register, store, scanner)
    packaging = Packaging(register, store, actes)
    transmission = Transmission(register, store, compose.ministry(settings), actes)
    sealing = Sealing(register, store, seal_key, timedelta(days=settings.lock_days))
    returns = Returns(register, store, compose.mailbox(settings), client, actes)
    upkeep = Upkeep(register, store, client, compose.delays(settings))
    found = {"object_lock": store.object_lock(), "antivirus": settings.antivirus is not None}
    facts.say(register, **found)
    for sentence in protections(found, "en"):
        log.info(sentence)
    activities: list[Callable[..., Any]] = [
        checking.check,
        packaging.package,
        transmission.transmit,
        transmission.record_silence,
        transmission.record_decision,
        transmission.withdraw,
        sealing.certify,
        sealing.seal,
        returns.collect,
        upkeep.sweep,
    ]
    return Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=WORKFLOWS,
        activities=activities,
        activity_executor=threads,
        max_concurrent_activities=settings.worker_slots,
        workflow_runner=SandboxedWorkflowRunner(
            restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH)
        ),
        graceful_shutdown_timeout=timedelta(seconds=20),
    )


async def keep_schedules(client: Client, settings: Settings) -> None:
    """Create the schedules, or bring them to the settings' intervals."""
    await _keep_schedule(
        client, "collecte", CollectWorkflow.__name__, timedelta(seconds=settings.collect_every)
    )
    await _keep_schedule(client, "rangement", SweepWorkflow.__name__, SWEEP_EVERY)


async def _keep_schedule(client: Client, schedule_id: str, workflow: str, every: timedelta) -> None:
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(workflow, id=schedule_id, task_queue=TASK_QUEUE),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        # A look that is still going on takes what came meanwhile; what was missed is not made up for.
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(seconds=60)),
        state=ScheduleState(),
    )
    try:
        await client.create_schedule(schedule_id, schedule, trigger_immediately=True)
    except ScheduleAlreadyRunningError:

        def renew(_current: ScheduleUpdateInput) -> ScheduleUpdate:
            return ScheduleUpdate(schedule)

        await client.get_schedule_handle(schedule_id).update(renew)


async def run_worker(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; steps under way are finished first."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    register = compose.register(settings, pool_size=settings.worker_slots)
    with ThreadPoolExecutor(settings.worker_slots, thread_name_prefix="step") as threads:
        client = await temporal.connect(settings)
        async with build_worker(client, settings, register, threads):
            await keep_schedules(client, settings)
            log.info("worker_ready")
            await stop.wait()
    register.close()
    # The SDK may abort the interpreter when its last polls are still being given up (Python 3.11).
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0.5)
