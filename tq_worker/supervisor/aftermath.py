"""Cleans up behind a worker that is dead: its tasks go back at once, not when their leases run out."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from tq_core.errors import BrokerError
from tq_core.roles import consumer, inspector, registry
from tq_core.transport.steps import Flow
from tq_worker.board import Noted
from tq_worker.exits import UNKNOWN_EXIT, describe_exit
from tq_worker.lifecycle_log import LifecycleLog

if TYPE_CHECKING:
    from tq_core.transport.runner import AsyncRunner
    from tq_worker.supervisor.node_metrics import NodeMetrics

T = TypeVar("T")

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 2.0
LOOK_AGAIN_S = 1.0
"""A claim that the worker sent with its last breath may reach the broker after its tasks were given back."""


async def give_back(
    runner: AsyncRunner,
    log: LifecycleLog,
    *,
    worker_id: str,
    queues: Sequence[str],
    noted: Sequence[Noted],
    exit_code: int,
    metrics: NodeMetrics | None = None,
) -> None:
    """Returns a dead worker's tasks, however long the broker takes to be reached."""
    died = describe_exit(exit_code)
    started = [task.task_id for task in noted if not task.is_alone]
    detail: dict[str, Any] = {
        "type": "WorkerDied",
        "message": f"its worker {died} while it ran",
        "host": socket.gethostname(),
    }
    if exit_code != UNKNOWN_EXIT:
        detail |= {"signal": -exit_code} if exit_code < 0 else {"exit_code": exit_code}
    reason = "stopped" if exit_code == 0 else "crashed"
    for is_first in (True, False):
        given = await _until_done(
            runner, lambda: consumer.give_back(queues, worker_id, started_ids=started, detail=detail)
        )
        if given.unstarted or given.crashed:
            log.write(
                "warning",
                "REQUEUED",
                text=f"given back: {given.unstarted} that had not started, {len(given.crashed)} that ran",
                worker_id=worker_id,
            )
        for task_id, word in given.crashed:
            if word == "failed":
                log.write("error", "DLQ", task_id=task_id, reason="poison", worker_id=worker_id)
            else:
                log.write("warning", "REQUEUED", task_id=task_id, reason="crash", worker_id=worker_id)
        if metrics is not None and given.crashed:
            await _count(runner, metrics, dict(given.crashed))
        if is_first:
            await _until_done(runner, lambda: registry.depart("worker", [worker_id], reason))
            if exit_code == 0:
                return
            await asyncio.sleep(LOOK_AGAIN_S)


async def _count(runner: AsyncRunner, metrics: NodeMetrics, words: dict[str, str]) -> None:
    """Counts the runs that ended with the worker; what each of them was is asked, as the board knows ids only."""
    from tq_core.metric_names import OTHER

    for view in await _until_done(runner, lambda: inspector.show(list(words), payload_max=0)):
        if view is not None:
            metrics.crashed(view.queue, view.type or OTHER, is_dead_lettered=words[view.id] == "failed")


async def _until_done(runner: AsyncRunner, flow: Callable[[], Flow[T]]) -> T:
    wait_s = FIRST_WAIT_S
    while True:
        try:
            return await runner.run(flow())
        except BrokerError:
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)
