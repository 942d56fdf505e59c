"""Whoever waits for a task is told by the script that ends it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.queue_driver import QueueDriver
from tq_core.errors import WaitTimeoutError
from tq_core.model import TaskOptions, TaskState
from tq_core.roles import consumer, ends, operator

ACTOR = "tests"
BRIEFLY_S = 0.05


def told(q: QueueDriver, client: str) -> str | None:
    return q.run(ends.next_ended(q.queue, client, timeout_s=BRIEFLY_S))


def completed(q: QueueDriver, _task_id: str) -> None:
    assert q.complete(q.take_one()) == ["K"]


def failed(q: QueueDriver, _task_id: str) -> None:
    assert q.fail(q.take_one(), verdict="fatal").word == "failed"


def cancelled(q: QueueDriver, task_id: str) -> None:
    q.run(operator.cancel([task_id], actor=ACTOR))


def discarded(q: QueueDriver, task_id: str) -> None:
    q.run(operator.discard([task_id], actor=ACTOR))


def of_an_unknown_type(q: QueueDriver, _task_id: str) -> None:
    assert q.run(consumer.release_unknown([q.take_one()], limit=1)) == ["failed"]


@pytest.mark.parametrize("end", [completed, failed, cancelled, discarded, of_an_unknown_type])
def test_every_client_that_waits_is_told_once_however_the_task_ends(
    q: QueueDriver, end: Callable[[QueueDriver, str], None]
) -> None:
    task_id, other = q.put_one(), q.put_one(priority="low")
    clients = [ends.new_client(), ends.new_client()]
    for client in (*clients, clients[0]):
        assert q.run(ends.watch(q.queue, client, [task_id])) == []

    end(q, task_id)

    assert [told(q, client) for client in clients] == [task_id, task_id]
    assert told(q, clients[0]) is None
    assert q.raw.hgetall(q.key("waiters")) == {}
    assert q.state(other) is TaskState.PENDING


def test_a_task_that_is_tried_again_has_not_ended(q: QueueDriver) -> None:
    task_id, client = q.put_one(), ends.new_client()
    assert q.run(ends.watch(q.queue, client, [task_id])) == []

    assert q.fail(q.take_one()).word == "retrying"

    assert told(q, client) is None


def test_what_has_ended_or_is_gone_need_not_be_waited_for(q: QueueDriver) -> None:
    gone, ended, live = q.put_one(), q.put_one(), q.put_one()
    discarded(q, gone)
    q.complete(q.take_one())

    assert q.run(ends.watch(q.queue, "c", [gone, ended, live])) == [gone, ended]


def test_those_that_fail_with_their_parent_are_told_of_too(q: QueueDriver) -> None:
    parent = q.put_one()
    child = q.put_one(options=TaskOptions(depends_on=(parent,)))
    assert q.run(ends.watch(q.queue, "c", [child])) == []

    failed(q, parent)

    assert told(q, "c") == child


def test_an_answer_that_nobody_fetches_goes_by_itself(q: QueueDriver) -> None:
    task_id = q.put_one()
    q.run(ends.watch(q.queue, "c", [task_id]))
    completed(q, task_id)

    assert 0 < q.raw.pttl(q.key("answers:c")) <= 60_000


def test_waiting_is_over_at_the_deadline_and_leaves_the_task_alone(q: QueueDriver) -> None:
    task_id = q.put_one()

    with pytest.raises(WaitTimeoutError, match="still pending after"):
        q.run(ends.wait(task_id, timeout_s=0.05))
    completed(q, task_id)
    assert q.run(ends.wait(task_id, timeout_s=0.05)).state is TaskState.COMPLETED
