"""Interrupting plain functions: the exception meets the task that it is meant for, or nobody."""

from __future__ import annotations

import asyncio
import random
import threading

from tests.waiting import wait_until_async
from tq_core.errors import TaskInterruptedError
from tq_core.keyspace.wire import NO_TRAIL
from tq_core.roles.consumer import ClaimedTask
from tq_core.tasks.context import TaskContext
from tq_core.tasks.task_queue import TaskQueue
from tq_worker.worker.run import Outcome, Run
from tq_worker.worker.threads import ThreadPool

tq = TaskQueue("memory://threads")
release = threading.Event()


@tq.task
def quick(n: int) -> int:
    return sum(range(n))


@tq.task
def wait_for_release() -> str:
    while not release.is_set():
        pass
    return "released"


def run_of(number: int, name: str) -> Run:
    run = Run(ClaimedTask("q", f"t{number}", b"1-a~1~w.1|", None, b"{}", NO_TRAIL, 0), 0.0)
    run.definition = tq.tasks[name]
    run.context = TaskContext(task_id=f"t{number}", task_type=name, queue="q")
    return run


async def test_an_interruption_never_reaches_another_task() -> None:
    """Thousands of quick handlers, each interrupted at about the moment it ends."""
    ends: dict[str, Outcome] = {}
    pool = ThreadPool(lambda run, outcome: ends.__setitem__(run.task.id, outcome))
    chance = random.Random(7)
    interrupted = set()
    total = 3000
    for number in range(total):
        execution = pool.start(run_of(number, "quick"), {"n": chance.randrange(200)})
        if number % 3 == 0:
            for _ in range(chance.randrange(40)):
                await asyncio.sleep(0)
            interrupted.add(f"t{number}")
            execution.interrupt("the test")
    await wait_until_async(lambda: len(ends) == total, 30, "all to end")

    broken = {i for i, outcome in ends.items() if outcome.error is not None}
    assert broken <= interrupted
    assert all(isinstance(ends[i].error, TaskInterruptedError) for i in broken)


async def test_an_interrupted_thread_is_given_no_other_task() -> None:
    release.clear()
    ends: list[Outcome] = []
    pool = ThreadPool(lambda _, outcome: ends.append(outcome))
    execution = pool.start(run_of(1, "wait_for_release"), {})
    await wait_until_async(lambda: execution.worker, 5, "it to start")
    thread = execution.worker
    assert thread is not None

    execution.interrupt("the test")
    await wait_until_async(lambda: ends, 5, "it to end")
    await wait_until_async(lambda: not thread.is_alive(), 5, "its thread to go")

    again = pool.start(run_of(2, "quick"), {"n": 3})
    await wait_until_async(lambda: len(ends) == 2, 5, "the next one to end")
    assert isinstance(ends[0].error, TaskInterruptedError)
    assert ends[1].result == b"3"
    assert again.worker is not thread
