"""What a crash left: accepted envelopes whose workflow was not started, objects of unfinished deposits."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select
from temporalio import activity
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from activities import contracts
from activities.common import now
from activities.contracts import Delays, EnvelopeInput, Swept
from archive.store import ObjectStore
from registry import flow
from registry.door import Platform, Register
from registry.models import Enveloppe, UploadIntent
from schemas.states import Etat

NOT_STARTED_AFTER = timedelta(minutes=1)
"""A door starts the workflow right after accepting; later than this it must have died in between."""
UNFINISHED_AFTER = timedelta(hours=6)
"""No upload lasts that long."""
BATCH = 500


class Upkeep:
    """Rounds of tidying."""

    def __init__(self, register: Register, store: ObjectStore, client: Client, delays: Delays) -> None:
        self._register = register
        self._store = store
        self._client = client
        self._delays = delays

    @activity.defn(name=contracts.SWEEP)
    async def sweep(self) -> Swept:
        """One round, of a bounded size; the schedule brings the next."""
        started = 0
        for start in self._accepted_not_started():
            started += await self._start(start)
        return Swept(started=started, removed=self._remove_unfinished())

    def _accepted_not_started(self) -> list[EnvelopeInput]:
        with self._register.session(Platform("sweep")) as session:
            rows = session.execute(
                select(Enveloppe.id, Enveloppe.collectivite_id, Enveloppe.transaction)
                .where(Enveloppe.etat == Etat.DEPOSE, Enveloppe.created_at < now() - NOT_STARTED_AFTER)
                .order_by(Enveloppe.id)
                .limit(BATCH)
            ).all()
        return [EnvelopeInput(*row, delays=self._delays) for row in rows]

    async def _start(self, start: EnvelopeInput) -> int:
        try:
            await self._client.start_workflow(
                "EnvelopeWorkflow",
                start,
                id=start.enveloppe_id,
                task_queue=contracts.TASK_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            )
        except WorkflowAlreadyStartedError:
            return 0
        return 1

    def _remove_unfinished(self) -> int:
        removed = 0
        with self._register.session(Platform("sweep")) as session:
            intents = session.scalars(
                select(UploadIntent).where(UploadIntent.started_at < now() - UNFINISHED_AFTER).limit(BATCH)
            ).all()
            for intent in intents:
                if session.get(Enveloppe, intent.enveloppe_id) is not None:
                    # Accepted, though the door never heard of its commit.
                    flow.end_upload(session, intent.enveloppe_id)
                    continue
                for key in self._store.keys(f"{intent.collectivite_id}/{intent.enveloppe_id}/"):
                    self._store.delete(key)
                    removed += 1
                flow.end_upload(session, intent.enveloppe_id)
        return removed
