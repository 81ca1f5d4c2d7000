"""A bare workflow of activities that do nothing, and its worker: what the engine itself costs."""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity, workflow

BARE_QUEUE = "bare"
STEPS = 8


@activity.defn
def nothing() -> None:
    """An activity that does nothing."""


@workflow.defn(name="Bare")
class Bare:
    """A workflow of as many empty activities as the comparison asks for."""

    @workflow.run
    async def run(self) -> None:
        """Ask for nothing, several times."""
        for _ in range(STEPS):
            await workflow.execute_activity(nothing, start_to_close_timeout=timedelta(minutes=1))
