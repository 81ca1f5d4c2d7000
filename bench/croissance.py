"""Growth: the time of an envelope after the first ten thousand, over the time after the first hundred."""

from __future__ import annotations

import asyncio
import os
from statistics import median

from bench.load import Sealed, carry, depositors_of, stack_up, tokens_of_bodies
from bench.table import Bar, Table
from ops.stack import Stack

BODIES = 10
FEW, MANY = 100, int(os.environ.get("BENCH_MANY", "10000"))
MEASURED = 200
CONCURRENCY = 50
AT_A_TIME = 8


def run() -> Table:
    """Fill, measure, fill, measure."""
    with stack_up(PLI_COLLECT_EVERY="1") as stack:
        few, many = asyncio.run(_measure(stack))
    ratio = median(many) / median(few)
    return Table(
        f"Time of an envelope as the register grows ({BODIES} bodies, {MEASURED} envelopes measured)",
        ("after", "median s", "ratio"),
        [(str(FEW), f"{median(few):.2f}", ""), (str(MANY), f"{median(many):.2f}", f"{ratio:.2f}")],
        [Bar("croissance", ratio, 1.1, at_least=False)],
    )


async def _measure(stack: Stack) -> tuple[list[float], list[float]]:
    sealed = Sealed(stack)
    tokens = tokens_of_bodies(stack, BODIES)
    async with depositors_of(stack, tokens) as depositors:
        await carry(depositors, sealed, 0, FEW, CONCURRENCY)
        _, ids = await carry(depositors, sealed, FEW, MEASURED, AT_A_TIME)
        few = sealed.seconds(ids)
        done = FEW + MEASURED
        while done < MANY:
            step = min(500, MANY - done)
            await carry(depositors, sealed, done, step, CONCURRENCY)
            done += step
        _, ids = await carry(depositors, sealed, done, MEASURED, AT_A_TIME)
        return few, sealed.seconds(ids)
