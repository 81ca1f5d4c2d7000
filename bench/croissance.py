"""Growth: the time of an envelope after the first ten thousand, over the time after the first hundred."""

from __future__ import annotations

import asyncio
import os
import sys
from statistics import median

from bench.load import Sealed, carry, depositors_of, stack_up, tokens_of_bodies
from bench.table import Bar, Table
from ops.stack import Stack

BODIES = 10
MANY = int(os.environ.get("BENCH_MANY", "10000"))
CHECKPOINTS = (*(n for n in (100, 1_000, 3_000) if n < MANY), MANY)
MEASURED = 200
CONCURRENCY = 50
AT_A_TIME = 8


def run() -> Table:
    """Fill and measure, several times."""
    with stack_up(PLI_COLLECT_EVERY="1") as stack:
        medians = asyncio.run(_measure(stack))
    first, last = medians[0], medians[-1]
    return Table(
        f"Time of an envelope as the register grows ({BODIES} bodies, {MEASURED} envelopes measured)",
        ("after", "median s from deposit to seal", "ratio"),
        [(str(n), f"{m:.2f}", f"{m / first:.2f}") for n, m in zip(CHECKPOINTS, medians, strict=True)],
        [Bar("croissance", last / first, 1.1, at_least=False)],
    )


async def _measure(stack: Stack) -> list[float]:
    sealed, done, medians = Sealed(stack), 0, []
    async with depositors_of(stack, tokens_of_bodies(stack, BODIES)) as depositors:
        for checkpoint in CHECKPOINTS:
            while done < checkpoint:
                step = min(500, checkpoint - done)
                seconds, _ = await carry(depositors, sealed, done, step, CONCURRENCY)
                done += step
                print(f"{done} carried, {step / seconds:.1f}/s", file=sys.stderr, flush=True)
            _, ids = await carry(depositors, sealed, done, MEASURED, AT_A_TIME)
            done += MEASURED
            medians.append(median(sealed.seconds(ids)))
            print(f"after {checkpoint}: {medians[-1]:.2f} s", file=sys.stderr, flush=True)
    return medians
