"""Envelopes a second, end to end, beside a bare workflow of eight empty activities on the same server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from statistics import median

from bench.bare import STEPS
from bench.load import Sealed, bare, carry, depositors_of, settings_of, stack_up
from bench.table import Bar, Table
from ops import temporal
from ops.stack import ROOT, Stack

CONCURRENCY = 50
COUNT = int(os.environ.get("BENCH_COUNT", "200"))
PAIRS = int(os.environ.get("BENCH_PAIRS", "3"))


def run() -> Table:
    """Carry and compare, in pairs."""
    with stack_up(PLI_COLLECT_EVERY="1") as stack:
        environment = {**os.environ, **stack.settings(), "PYTHONPATH": str(ROOT)}
        other = subprocess.Popen([sys.executable, "-m", "bench.bare_worker"], env=environment)
        try:
            pairs = asyncio.run(_pairs(stack))
        finally:
            other.terminate()
            other.wait()
    rates = [(COUNT / ours, COUNT / theirs) for ours, theirs in pairs]
    ratio = median(ours / theirs for ours, theirs in rates)
    return Table(
        f"Envelopes a second at concurrency {CONCURRENCY} ({COUNT} a run)",
        ("run", "envelopes/s, end to end", f"bare workflows of {STEPS} steps/s", "ratio"),
        [
            (str(n), f"{ours:.1f}", f"{theirs:.1f}", f"{ours / theirs:.2f}")
            for n, (ours, theirs) in enumerate(rates, 1)
        ],
        [Bar("debit", ratio, 0.5, at_least=True)],
    )


async def _pairs(stack: Stack) -> list[tuple[float, float]]:
    assert stack.samples is not None
    with settings_of(stack) as settings:
        client = await temporal.connect(settings)
    sealed = Sealed(stack)
    pairs = []
    async with depositors_of(stack, [stack.samples.token]) as depositors:
        await carry(depositors, sealed, 0, 20, CONCURRENCY)
        await bare(client, 20, CONCURRENCY)
        for n in range(PAIRS):
            ours, _ = await carry(depositors, sealed, 1000 * (n + 1), COUNT, CONCURRENCY)
            pairs.append((ours, await bare(client, COUNT, CONCURRENCY)))
    return pairs
