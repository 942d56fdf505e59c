"""The tasks of the experiments; `tq-worker` loads this file."""

from __future__ import annotations

import asyncio
import time

from tq_core import RetryPolicy, TaskQueue

tq = TaskQueue()
_steady = RetryPolicy(max_attempts=4, initial_delay_s=0.2)


@tq.task(retry=_steady)
async def nothing(n: int) -> int:
    """As little as a task can do."""
    return n


@tq.task(retry=_steady)
async def wait(ms: float) -> float:
    """Waits as for a network: many at once cost no CPU."""
    await asyncio.sleep(ms / 1000)
    return ms


@tq.task(retry=_steady)
def compute(ms: float) -> int:
    """Uses so much CPU time."""
    turns, until = 0, time.thread_time() + ms / 1000
    while time.thread_time() < until:
        turns += 1
    return turns
