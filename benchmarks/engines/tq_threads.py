"""tq with a plain handler, which runs in threads, for the harness that measures task queues side by side."""

from __future__ import annotations

from typing import Any

from tq_core import TaskQueue

from ._env import CONC, URL
from ._record import work

PACKAGES = ["tq-console", "redis", "hiredis"]
ASYNC = True
SAME_RELIABLE = True  # leases, tokens and stored results are what every task gets
BULK = "enqueue_many, 500 a call"
SLOTS = CONC or 10

queue = TaskQueue(URL)


@queue.task
def job(i: int, payload: str) -> int:
    return work(i)


def settings() -> str:
    return f"2 x `tq-worker --processes 1 --slots {SLOTS}`, {SLOTS} threads each, at-least-once and results always on"


def worker_cmds(procs: int) -> list[list[str]]:
    command = ["tq-worker", "engines.tq_threads:queue", "--url", URL, "--processes", "1", "--slots", str(SLOTS)]
    return [[*command, "--log-level", "warning"] for _ in range(procs)]


async def connect() -> TaskQueue:
    return queue


async def submit(ctx: TaskQueue, i: int, payload: str) -> None:
    await job.enqueue(i=i, payload=payload)


async def bulk(ctx: TaskQueue, ids: range, payload: str) -> None:
    await job.enqueue_many([{"i": i, "payload": payload} for i in ids])


async def close(ctx: Any) -> None:
    await queue.aclose()
