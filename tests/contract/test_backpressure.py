"""A full queue and a producer that waits for room."""

from __future__ import annotations

import pytest

from tests.queue_driver import QueueDriver
from tq_core.errors import QueueFullError
from tq_core.roles import backpressure, operator
from tq_core.roles.producer import Enqueued, new_task


def limit(q: QueueDriver, max_size: int) -> None:
    q.run(operator.configure_queue(q.queue, {"max_size": max_size}, actor="ann"))


def test_what_fits_goes_in_at_once_and_the_rest_when_there_is_room(q: QueueDriver) -> None:
    limit(q, 3)
    tasks = [new_task("work", {"n": n}) for n in range(5)]
    told: list[QueueFullError] = []
    parts: list[list[Enqueued]] = []

    def make_room(full: QueueFullError) -> None:
        told.append(full)
        q.raw.hset(q.key("meta"), "max_size", 10)

    flow = backpressure.enqueue(q.queue, tasks, wait_for_room_s=30, on_wait=make_room, on_done=parts.append)
    outcomes = q.run(flow)

    assert [(full.depth, full.max_size) for full in told] == [(3, 3)]
    assert parts == [outcomes[:3], outcomes[3:]]
    assert [q.view(o.task_id).args for o in outcomes] == [{"n": n} for n in range(5)]


def test_after_its_deadline_the_refusal_says_how_long_it_waited_and_what_was_in_stays(q: QueueDriver) -> None:
    limit(q, 1)
    parts: list[list[Enqueued]] = []
    tasks = [new_task("work", {}) for _ in range(2)]

    with pytest.raises(QueueFullError, match=r"holds 1 of at most 1 .*; waited 0\.\d s for room") as refused:
        q.run(backpressure.enqueue(q.queue, tasks, wait_for_room_s=0.02, on_done=parts.append))

    assert 0.02 <= refused.value.waited_s < 5
    assert [len(part) for part in parts] == [1]
    assert q.depths() == {"pending": 1}


def test_without_a_wait_all_or_none_go_in(q: QueueDriver) -> None:
    limit(q, 1)
    with pytest.raises(QueueFullError) as refused:
        q.run(backpressure.enqueue(q.queue, [new_task("work", {})] * 2))
    assert (refused.value.waited_s, q.depths()) == (0, {})


def test_what_is_there_already_needs_no_room(q: QueueDriver) -> None:
    limit(q, 1)
    task_id = q.put_one(unique_key="k", name="one")

    assert q.put(new_task("work", {}, name="one"), new_task("work", {}, unique_key="k")) == [
        Enqueued(task_id, False, "id"),
        Enqueued(task_id, False, "unique"),
    ]
