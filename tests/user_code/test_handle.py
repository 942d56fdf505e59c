"""Waiting for a task's result, and what its waiter is told when there is none."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from typing import Any, assert_type

import pytest

from tests.waiting import wait_until_async
from tq_core import (
    FatalError,
    RetryPolicy,
    TaskCancelledError,
    TaskFailedError,
    TaskHandle,
    TaskQueue,
    TaskState,
    WaitTimeoutError,
)
from tq_core.errors import BrokerUnreachableError, InvalidInputError, NotFoundError
from tq_core.keyspace import keys
from tq_core.roles.operator import cancel, discard, requeue
from tq_core.transport.steps import Command, Flow
from tq_worker import InlineWorker

NO_TASK = "01jd7q0v3k0a19c8x7v6b5n4m2"


@dataclasses.dataclass
class Receipt:
    number: int
    to: str


async def test_a_result_has_the_type_that_the_handler_returns(tq: TaskQueue) -> None:
    @tq.task()
    def pay(to: str) -> Receipt:
        return Receipt(7, to)

    handle = await pay.enqueue(to="a")
    await InlineWorker(tq).arun_until_empty()

    assert_type(handle, TaskHandle[Receipt])
    assert await handle.result() == Receipt(7, "a")
    assert (await handle.status()).result == {"number": 7, "to": "a"}


def test_a_result_that_does_not_fit_its_hint_is_plain_json(tq: TaskQueue) -> None:
    @tq.task()
    def pay() -> Receipt:
        return {"number": "seven"}  # type: ignore[return-value]

    handle = pay.enqueue_sync()
    InlineWorker(tq).run_until_empty()

    result: object = handle.result_sync()
    assert result == {"number": "seven"}


def test_the_waiter_sees_a_result_that_comes_while_it_waits(tq: TaskQueue) -> None:
    @tq.task()
    def work() -> str:
        return "done"

    handle = work.enqueue_sync()
    worker = threading.Thread(target=InlineWorker(tq).run_until_empty)
    worker.start()

    assert handle.result_sync(timeout_s=10) == "done"
    worker.join()


async def test_a_failed_task_raises_with_its_reason_and_error(tq: TaskQueue) -> None:
    @tq.task()
    def work() -> None:
        raise FatalError("no such account")

    handle = await work.enqueue()
    await InlineWorker(tq).arun_until_empty()

    with pytest.raises(
        TaskFailedError, match=r"failed, reason fatal, after attempt 1 of 4: .*FatalError: no such account"
    ) as e:
        await handle.result()
    assert e.value.reason == "fatal"
    assert e.value.error["message"] == "no such account"
    assert "in work" in str(e.value.error["traceback"])


async def test_a_task_that_is_tried_again_is_still_waited_for(tq: TaskQueue) -> None:
    @tq.task(retry=RetryPolicy(max_attempts=2, initial_delay_s=60))
    def work() -> None:
        raise ValueError("not now")

    handle = await work.enqueue()
    await InlineWorker(tq).arun_until_empty()

    with pytest.raises(WaitTimeoutError, match=r"still retrying after 0\.02 s"):
        await handle.result(timeout_s=0.02)


async def test_a_cancelled_task_raises_who_and_why(tq: TaskQueue) -> None:
    @tq.task()
    def work() -> None: ...

    handle = await work.enqueue()

    assert await handle.cancel(why="changed my mind", actor="ann")
    with pytest.raises(TaskCancelledError, match="was cancelled by ann: changed my mind") as cancelled:
        await handle.result()
    assert cancelled.value.reason == "cancelled"
    assert not await handle.cancel()
    assert not handle.cancel_sync()


def test_cancelling_says_who_we_are(tq: TaskQueue) -> None:
    @tq.task()
    def work() -> None: ...

    handle = work.enqueue_sync()
    assert handle.cancel_sync()

    error = handle.status_sync().error
    assert error is not None
    assert "@" in error["by"]


async def test_a_task_that_is_not_there_is_not_found(tq: TaskQueue) -> None:
    handle = tq.handle(NO_TASK)

    with pytest.raises(NotFoundError, match=NO_TASK):
        await handle.result()
    with pytest.raises(NotFoundError):
        await handle.status()
    with pytest.raises(NotFoundError):
        await handle.cancel()


async def test_a_task_that_is_deleted_while_waited_for_is_not_found(tq: TaskQueue) -> None:
    @tq.task()
    def work() -> None: ...

    handle = await work.enqueue()
    await tq.run(cancel([handle.id], actor="test"))
    await tq.run(discard([handle.id], actor="test"))

    with pytest.raises(NotFoundError):
        await handle.result(timeout_s=5)


def test_what_is_no_id_is_refused(memory_tq: TaskQueue) -> None:
    with pytest.raises(InvalidInputError, match="'nonsense' is no task id"):
        memory_tq.handle("nonsense")


def test_waiting_ends_at_its_deadline(tq: TaskQueue) -> None:
    @tq.task()
    def work() -> None: ...

    handle = work.enqueue_sync()
    begun = time.monotonic()

    with pytest.raises(WaitTimeoutError, match="still pending"):
        handle.result_sync(timeout_s=0.1)
    assert 0.1 <= time.monotonic() - begun < 5


async def test_a_task_that_runs_again_gives_its_new_result(tq: TaskQueue) -> None:
    answers = iter([1, 2])

    @tq.task()
    def work() -> int:
        return next(answers)

    handle = await work.enqueue()
    await InlineWorker(tq).arun_until_empty()
    assert await handle.result() == 1
    await tq.run(requeue([handle.id], actor="test"))
    await InlineWorker(tq).arun_until_empty()

    assert await handle.result() == 2
    assert (await handle.status()).state is TaskState.COMPLETED


def test_handles_of_one_task_are_equal(memory_tq: TaskQueue) -> None:
    assert memory_tq.handle(NO_TASK) == memory_tq.handle(NO_TASK)
    assert len({memory_tq.handle(NO_TASK), memory_tq.handle(NO_TASK)}) == 1
    assert memory_tq.handle(NO_TASK) != NO_TASK


@pytest.mark.server
async def test_many_results_are_awaited_over_few_connections(redis_url: str) -> None:
    async with TaskQueue(redis_url) as tq:

        @tq.task()
        def work(n: int) -> int:
            return n * 2

        handles = await work.enqueue_many([{"n": n} for n in range(100)])
        waits = [asyncio.ensure_future(handle.result(timeout_s=20)) for handle in handles]
        key = keys.queue_prefix("default") + "waiters"

        async def registered() -> int:
            return await tq.run(_ask(Command(("HLEN", key))))

        async def all_wait() -> bool:
            return await registered() == len(handles)

        await wait_until_async(all_wait, 10, "all to be registered")
        clients = await tq.run(_ask(Command(("CLIENT", "LIST"))))
        worker = threading.Thread(target=InlineWorker(tq).run_until_empty)
        worker.start()

        assert await asyncio.gather(*waits) == [n * 2 for n in range(100)]
        assert clients.count(b"\n") <= 8
        worker.join()
        assert await registered() == 0


def _ask(step: Command) -> Flow[Any]:
    return (yield step)


async def test_word_of_an_earlier_end_does_not_end_a_wait(tq: TaskQueue) -> None:
    task = await tq.enqueue("anything", {}, queue="default")
    with pytest.raises(WaitTimeoutError):
        await task.result(timeout_s=0.01)
    # Told while nobody read, and run again since.
    (watch,) = tq._end_watches.values()
    answers = keys.answers("default", watch._client)
    await wait_until_async(lambda: not watch._readers, 5, "somebody reads still")
    await tq.run(tell(answers, task.id))

    wait = asyncio.ensure_future(task.result())
    await wait_until_async(lambda: tq.run_sync(length(answers)) == 0, 5, "nobody read it")
    await task.cancel(why="enough")

    with pytest.raises(TaskCancelledError, match="enough"):
        await asyncio.wait_for(wait, 10)


async def test_a_wait_ends_when_its_queue_is_closed(tq: TaskQueue) -> None:
    task = await tq.enqueue("anything", {}, queue="default")
    wait = asyncio.ensure_future(task.result())
    await wait_until_async(lambda: bool(tq.run_sync(waiters("default"))), 5, "it is not waited for")

    await tq.aclose()

    with pytest.raises(BrokerUnreachableError):
        await asyncio.wait_for(wait, 10)


def tell(key: str, task_id: str) -> Flow[object]:
    return (yield Command(("RPUSH", key, task_id)))


def length(key: str) -> Flow[object]:
    return (yield Command(("LLEN", key)))


def waiters(queue: str) -> Flow[object]:
    return (yield Command(("HGETALL", keys.queue_prefix(queue) + "waiters")))
