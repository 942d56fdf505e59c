"""Ends a node when nothing is left that it could run now.

What is due later (delays, retries, schedules), waits in a paused queue or for other tasks is left, and counted in the
last lines of the log. What a limit holds back is waited for as long as something goes on at all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tq_core.errors import BrokerError
from tq_core.roles.workload import Workload, workload

if TYPE_CHECKING:
    from tq_core.transport.runner import AsyncRunner
    from tq_worker.supervisor.node import Node

LOOK_EVERY_S = 0.2
AFTER_ERROR_S = 1.0
PATIENCE_S = 10.0
"""How long nothing may go on before what is held back is left."""
TELL_AFTER_S = 2.0
REPORT_TIMEOUT_S = 5.0


async def run_burst(node: Node, runner: AsyncRunner) -> None:
    """Watches the queues and the workers; returns when the node has been told to leave."""
    before: dict[str, int] | None = None
    moved_at, is_told = time.monotonic(), False
    while not node.is_leaving:
        await asyncio.sleep(LOOK_EVERY_S)
        try:
            loads = await runner.run(workload(node.queues))
        except BrokerError:
            before = None
            await asyncio.sleep(AFTER_ERROR_S)
            continue
        taken = await _taken_when_idle(node)
        now = time.monotonic()
        if taken is None or taken != before or node.is_paused:
            # A task that is claimed while we look is in no queue, and its worker may have said before that it is idle.
            before, moved_at, is_told = taken, now, False
            continue
        if not any(load.ready or load.held for load in loads) or now - moved_at >= PATIENCE_S:
            node.leave(f"burst is over, {_left(loads)}", node.settings.drain_timeout_s)
            return
        if not is_told and now - moved_at >= TELL_AFTER_S:
            is_told = True
            text = f"burst: nothing can run now, {_left(loads)}; what is held back is waited for {PATIENCE_S:g} s"
            node.log.write("info", "node", text=text)


async def _taken_when_idle(node: Node) -> dict[str, int] | None:
    """How many tasks each worker has claimed so far; None while one of them has something to do, or none has begun."""
    children = node.working()
    if node.is_cleaning or (node.open_seats() and not children):
        return None
    answers = await asyncio.gather(*(child.order("report", timeout_s=REPORT_TIMEOUT_S) for child in children))
    if not all(answer.ok and answer.data.get("is_idle") for answer in answers):
        return None
    return {child.worker_id: answer.data["taken"] for child, answer in zip(children, answers, strict=True)}


def _left(loads: Sequence[Workload]) -> str:
    """What is still there, for people."""
    counts = {
        "that are ready": sum(load.ready for load in loads),
        "held back by a limit": sum(load.held for load in loads),
        "in paused queues": sum(load.paused for load in loads),
        "in queues that a newer tq wrote": sum(load.newer for load in loads),
        "due later": sum(load.later for load in loads),
        "that wait for others": sum(load.waiting for load in loads),
    }
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return f"left: {said}" if said else "nothing is left"
