"""Recorded histories are replayed: a change that envelopes in flight could not follow fails here."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from activities import contracts
from activities.contracts import EnvelopeInput
from tests.workflows.record import HISTORIES, SCENES
from workflows.actes import EnvelopeWorkflow


def history(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(path.stem, path.read_text(encoding="utf-8"))


def test_every_scene_is_recorded() -> None:
    assert {path.stem for path in HISTORIES.glob("*.json")} == {scene.__name__ for scene in SCENES}


@pytest.mark.parametrize("path", sorted(HISTORIES.glob("*.json")), ids=lambda path: path.stem)
async def test_a_recorded_envelope_follows_the_procedure_of_today(path: Path) -> None:
    await Replayer(workflows=[EnvelopeWorkflow]).replay_workflow(history(path))


@workflow.defn(name="EnvelopeWorkflow")
class SealsFirst:
    """A procedure that envelopes in flight could not follow."""

    @workflow.run
    async def run(self, _start: EnvelopeInput) -> None:
        await workflow.execute_activity(contracts.SEAL, start_to_close_timeout=timedelta(minutes=1))


async def test_an_incompatible_procedure_is_found() -> None:
    with pytest.raises(NondeterminismError):
        await Replayer(workflows=[SealsFirst]).replay_workflow(history(HISTORIES / "acknowledged.json"))
