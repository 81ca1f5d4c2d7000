"""A worker for the bare workflow, with the settings of ours."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from bench.bare import BARE_QUEUE, Bare, nothing
from ops import temporal
from ops.settings import Settings, load_settings
from ops.worker import PASSED_THROUGH


async def serve(settings: Settings) -> None:
    """Until it is ended."""
    with ThreadPoolExecutor(settings.worker_slots) as threads:
        worker = Worker(
            await temporal.connect(settings),
            task_queue=BARE_QUEUE,
            workflows=[Bare],
            activities=[nothing],
            activity_executor=threads,
            max_concurrent_activities=settings.worker_slots,
            workflow_runner=SandboxedWorkflowRunner(
                restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH, "bench")
            ),
        )
        await worker.run()


if __name__ == "__main__":
    asyncio.run(serve(load_settings()))
