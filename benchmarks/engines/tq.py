"""tq, for the harness that measures task queues side by side (benchmarks/README.md says how to run it)."""

from __future__ import annotations

from typing import Any

from tq_core import TaskQueue

from ._env import CONC, URL
from ._record import awork

PACKAGES = ["tq-console", "redis", "hiredis"]
ASYNC = True
SAME_RELIABLE = True  # leases, tokens and stored results are what every task gets
BULK = "enqueue_many, 500 a call"
SLOTS = CONC or 100

queue = TaskQueue(URL)


@queue.task
async def job(i: int, payload: str) -> int:
    return await awork(i)


def settings() -> str:
    return f"2 x `tq-worker --processes 1 --slots {SLOTS}`, at-least-once and results always on"


def worker_cmds(procs: int) -> list[list[str]]:
    command = ["tq-worker", "engines.tq:queue", "--url", URL, "--processes", "1", "--slots", str(SLOTS)]
    return [[*command, "--log-level", "warning"] for _ in range(procs)]


async def connect() -> TaskQueue:
    return queue


async def submit(ctx: TaskQueue, i: int, payload: str) -> None:
    await job.enqueue(i=i, payload=payload)


async def bulk(ctx: TaskQueue, ids: range, payload: str) -> None:
    await job.enqueue_many([{"i": i, "payload": payload} for i in ids])


async def close(ctx: Any) -> None:
    await queue.aclose()
