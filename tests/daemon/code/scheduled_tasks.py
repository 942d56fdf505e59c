"""A schedule that fires every second, for tests of nodes that fire it."""

from __future__ import annotations

from tq_core import TaskQueue

tq = TaskQueue()


@tq.task(every_s=1)
async def beat() -> None:
    """Does nothing: that it was enqueued is what counts."""
