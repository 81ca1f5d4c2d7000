"""What runs by the clock: collecting the ministry's returns, and sweeping what a crash left.

(schedule) ──► collect ──► matched: the envelope's workflow is signalled │ else: quarantine
(schedule) ──► sweep ──► accepted but not started: start │ objects of unfinished deposits: remove
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from activities import contracts
    from activities.contracts import Collected, Swept

ONCE = RetryPolicy(maximum_attempts=1)
"""The next run of the schedule is the next attempt."""


@workflow.defn
class CollectWorkflow:
    """One look into the mailbox."""

    @workflow.run
    async def run(self) -> Collected:
        """Collect what lies there."""
        collected: Collected = await workflow.execute_activity(
            contracts.COLLECT_RETURNS,
            result_type=Collected,
            start_to_close_timeout=timedelta(minutes=30),
            heartbeat_timeout=timedelta(seconds=20),
            retry_policy=ONCE,
        )
        return collected


@workflow.defn
class SweepWorkflow:
    """One round of tidying."""

    @workflow.run
    async def run(self) -> Swept:
        """Start what was accepted but not started; remove what no envelope names."""
        swept: Swept = await workflow.execute_activity(
            contracts.SWEEP,
            result_type=Swept,
            start_to_close_timeout=timedelta(minutes=10),
            heartbeat_timeout=timedelta(seconds=20),
            retry_policy=ONCE,
        )
        return swept
