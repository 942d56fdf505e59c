"""What programs may say of a task's time and key: expiry, unique modes, debounce, and waiting for room."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from tq_core import TaskExpiredError, TaskQueue, TaskState
from tq_core.errors import DuplicateTaskError, InvalidInputError, QueueFullError, TaskCancelledError
from tq_core.roles import maintenance
from tq_core.roles.operator import configure_queue
from tq_worker import InlineWorker


def define_work(tq: TaskQueue, **settings: Any) -> Any:
    @tq.task(queue="mail", **settings)
    def work(n: int = 0) -> int:
        return n

    return work


async def test_waiting_for_an_expired_task_raises_that_it_expired(tq: TaskQueue) -> None:
    handle = await define_work(tq, expires_in_s=0.001).enqueue()

    await wait_until_expired(tq)

    with pytest.raises(TaskExpiredError, match=r"the task .* expired: its time was over") as expired:
        await handle.result(timeout_s=5)
    assert (expired.value.reason, isinstance(expired.value, TaskCancelledError)) == ("expired", True)


async def wait_until_expired(tq: TaskQueue) -> None:
    deadline = time.monotonic() + 5
    while not await tq.run(maintenance.promote(["mail"])):
        assert time.monotonic() < deadline, "nothing expired"


async def test_a_task_beats_the_expiry_of_its_type(memory_tq: TaskQueue) -> None:
    work = define_work(memory_tq, expires_in_s=60)

    assert (await (await work.enqueue()).status()).options.expires_in_s == 60
    assert (await (await work.options(expires_in_s=None).enqueue()).status()).expires_at_ms is None
    by_name = await memory_tq.enqueue("work", {"n": 1}, expires_in_s=5)
    assert (await by_name.status()).options.expires_in_s == 5
    with pytest.raises(InvalidInputError, match="expires_in_s 0"):
        define_work(TaskQueue("memory://"), expires_in_s=0)


def test_a_type_that_is_unique_can_free_its_arguments_at_the_start_or_after_a_time(memory_tq: TaskQueue) -> None:
    work = define_work(memory_tq, unique=True)
    work.options(unique_for_s=60).enqueue_sync(n=1)
    work.options(unique_until="started").enqueue_sync(n=2)
    with pytest.raises(DuplicateTaskError):
        work.options(unique_until="started").enqueue_sync(n=2)

    InlineWorker(memory_tq).run_until_empty()

    assert work.enqueue_sync(n=2).is_new
    with pytest.raises(DuplicateTaskError):
        work.enqueue_sync(n=1)


def test_what_is_not_debounced_after_all_is_unique_by_its_arguments(memory_tq: TaskQueue) -> None:
    work = define_work(memory_tq, unique=True)
    first, second = (work.options(debounce_s=None).enqueue_sync(n=n) for n in (1, 2))
    assert first.id != second.id


def test_a_debounced_type_runs_once_with_the_last_arguments(memory_tq: TaskQueue) -> None:
    debounced = define_work(memory_tq, unique=True).options(debounce_s=0.05, debounce_max_s=60)
    handles = [debounced.enqueue_sync(n=n) for n in range(3)]

    assert [handle.is_new for handle in handles] == [True, False, False]
    assert len({handle.id for handle in handles}) == 1
    InlineWorker(memory_tq).run_until_empty(skip_delays=True)
    assert handles[0].result_sync(timeout_s=5) == 2


def test_a_full_queue_is_waited_for(tq: TaskQueue) -> None:
    work = define_work(tq)
    first = work.enqueue_sync()
    tq.run_sync(configure_queue("mail", {"max_size": 1}, actor="test"))
    with pytest.raises(QueueFullError, match="waited 0"):
        work.options(wait_for_room_s=0.01).enqueue_sync()
    found: list[Any] = []
    waiting = threading.Thread(target=lambda: found.append(work.options(wait_for_room_s=30).enqueue_sync(n=7)))
    waiting.start()

    first.cancel_sync()
    waiting.join(30)

    assert found[0].status_sync().state is TaskState.PENDING


async def test_many_that_wait_for_room_say_how_many_are_in(tq: TaskQueue) -> None:
    work = define_work(tq)
    await work.enqueue()
    await tq.run(configure_queue("mail", {"max_size": 3}, actor="test"))

    with pytest.raises(QueueFullError) as refused:
        await work.options(wait_for_room_s=0.01).enqueue_many([{"n": n} for n in range(5)])

    assert refused.value.__notes__ == ["2 of the 5 tasks had been enqueued before"]
    with pytest.raises(InvalidInputError, match="wait_for_room_s -1"):
        work.options(wait_for_room_s=-1)
