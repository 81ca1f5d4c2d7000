"""What lies in the engine and what survives a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict
from temporalio.client import Client

from tests.clamd import EICAR, start_clamd, why_no_clamd
from tests.e2e.conftest import SHORT
from tests.e2e.platform import Platform, codes, platform_up
from tests.samples.actes import pdf

pytestmark = pytest.mark.stack

LARGEST_PAYLOAD = 64 * 1024


async def history(platform: Platform, enveloppe_id: str) -> list[bytes]:
    """Every payload of an envelope's history, as the engine stores it."""
    client = await Client.connect(f"127.0.0.1:{platform.stack.ports.temporal}")
    events = (await client.get_workflow_handle(enveloppe_id).fetch_history()).events
    return [payload for event in events for payload in _payloads(MessageToDict(event))]


def _payloads(node: object) -> list[bytes]:
    if isinstance(node, list):
        return [found for item in node for found in _payloads(item)]
    if not isinstance(node, dict):
        return []
    if isinstance(node.get("data"), str) and isinstance(node.get("metadata"), dict):
        return [node["data"].encode()]
    return [found for item in node.values() for found in _payloads(item)]


def test_the_engine_holds_small_encrypted_payloads_only(platform: Platform) -> None:
    one = platform.software.deposit(objet="CANARI dans l’objet")
    platform.software.wait_for(one, "scelle")
    stored = asyncio.run(history(platform, one))
    assert len(stored) > 5
    assert max(map(len, stored)) < LARGEST_PAYLOAD
    files = [path.read_bytes() for path in platform.stack.folder.glob("temporal.db*")]
    assert not any(b"CANARI" in data or b"commune" in data for data in files)


def test_a_second_start_finds_everything(tmp_path: Path) -> None:
    with platform_up(tmp_path, **SHORT) as platform:
        one = platform.software.deposit()
        platform.software.wait_for(one, "scelle")
        proof = platform.software.proof(one)
    with platform_up(tmp_path, **SHORT) as platform:
        assert platform.software.etat(one) == "scelle"
        assert platform.software.proof(one) == proof
        platform.software.wait_for(platform.software.deposit(), "scelle")


@pytest.mark.debian
@pytest.mark.skipif(bool(why_no_clamd()), reason=why_no_clamd() or "")
def test_a_real_antivirus_refuses_a_virus_and_lets_the_rest_pass(tmp_path: Path) -> None:
    with (
        start_clamd(tmp_path / "clamd") as address,
        platform_up(tmp_path / "stack", PLI_ANTIVIRUS=address, **SHORT) as platform,
    ):
        infected = platform.software.deposit(
            document=pdf().replace(b"startxref", b"%" + EICAR + b"\nstartxref")
        )
        refused = platform.software.wait_for(infected, "refuse")
        assert refused["refus"][0]["code"] == "virus_trouve"
        clean = platform.software.wait_for(platform.software.deposit(), "scelle")
        assert "controle" in codes(clean)
