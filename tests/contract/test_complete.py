"""Completing: what is recorded, what is refused, and how much is kept."""

from __future__ import annotations

import msgspec
import pytest

from tests.queue_driver import START_MS, QueueDriver
from tq_core.model import TaskState
from tq_core.roles import consumer, operator
from tq_core.roles.consumer import Ack


def test_a_completed_task_keeps_its_result_times_and_worker(q: QueueDriver) -> None:
    task_id = q.put_one()
    q.clock.advance(100)
    task = q.take_one(worker_id="node.4")
    q.clock.advance(50)

    assert q.complete(task, result=b'{"a":"x|y\\n"}', duration_ms=40) == ["K"]

    view = q.view(task_id)
    assert (view.state, view.result, view.attempt, view.worker_id) == (
        TaskState.COMPLETED,
        {"a": "x|y\n"},
        1,
        "node.4",
    )
    assert (view.started_at_ms, view.finished_at_ms, view.duration_ms) == (START_MS + 110, START_MS + 150, 40)
    assert q.events()[-1] == {"e": "completed", "w": "node.4", "i": task_id}
    assert (q.counter("completed"), q.counter("run_ms"), q.counter("stale")) == (1, 40, 0)


def test_a_repeated_acknowledgement_gets_the_same_answer_and_counts_once(q: QueueDriver) -> None:
    q.put_many(3)
    tasks = q.take(3)

    assert q.complete(*tasks) == ["K"] * 3
    assert q.complete(*tasks) == ["K"] * 3
    assert q.complete(tasks[1]) == ["K"]
    assert (q.counter("completed"), q.counter("stale"), q.counter("run_ms")) == (3, 0, 15)
    assert len(q.raw.zrange(q.key("completed"), 0, -1)) == 3


def test_a_task_twice_in_one_call_is_recorded_once(q: QueueDriver) -> None:
    q.put_many(2)
    first, second = q.take(2)

    assert q.complete(first, second, first) == ["K"] * 3
    assert (q.counter("completed"), q.counter("run_ms")) == (2, 10)
    assert q.depths() == {"completed": 2}


def test_two_results_of_one_claim_in_one_call_keep_the_first(q: QueueDriver) -> None:
    q.put_one()
    task = q.take_one()

    words = q.run(consumer.complete(q.queue, [Ack(task, b"1", 1), Ack(task, b"2", 2)]))

    assert words == ["K", "S"]
    assert q.view(task.id).result == 1


def test_the_acknowledgement_of_a_lost_claim_is_refused_and_its_result_never_readable(q: QueueDriver) -> None:
    q.put_one()
    slow = q.take_one(lease_ms=1000)
    q.clock.advance(10_000)
    assert q.reclaim() == [slow.id]
    assert q.complete(slow, result=b'"late"') == ["S"]
    fast = q.take_one(worker_id="node.2")
    assert q.complete(slow, result=b'"late"') == ["S"]
    assert q.complete(fast, result=b'"right"') == ["K"]
    assert q.complete(slow, result=b'"late"') == ["S"]

    assert q.view(slow.id).result == "right"
    assert (q.counter("completed"), q.counter("stale")) == (1, 3)


@pytest.mark.parametrize("ending", ["failed", "cancelled", "retrying", "released"])
def test_a_task_that_its_claim_ended_otherwise_cannot_be_completed_too(q: QueueDriver, ending: str) -> None:
    task_id = q.put_one()
    task = q.take_one()
    if ending == "released":
        q.run(consumer.release([task]))
    else:
        q.fail(task, verdict={"failed": "fatal", "cancelled": "cancel", "retrying": "retry"}[ending])
    before = q.state(task_id)

    assert q.complete(task) == ["S"]
    assert q.state(task_id) is before
    assert q.counter("stale") == 1


def test_the_acknowledgement_of_a_deleted_task_is_answered_gone(q: QueueDriver) -> None:
    task_id = q.put_one()
    task = q.take_one()
    q.complete(task)
    q.run(operator.discard([task_id], actor="ann"))

    assert q.complete(task) == ["G"]


def test_good_acknowledgements_pass_beside_stale_and_gone_ones(q: QueueDriver) -> None:
    q.put_many(4)
    good, stale, gone, again = q.take(4)
    q.run(consumer.release([stale]))
    q.complete(gone, again)
    q.run(operator.discard([gone.id], actor="ann"))

    assert q.complete(stale, gone, good, again) == ["S", "G", "K", "K"]
    assert q.state(good.id) is TaskState.COMPLETED
    assert q.counter("stale") == 2
    assert q.counter("run_ms") == 15


def test_a_task_run_again_by_hand_refuses_the_old_acknowledgement(q: QueueDriver) -> None:
    q.put_one()
    old = q.take_one()
    q.complete(old, result=b"1")
    q.run(operator.requeue([old.id], actor="ann"))
    assert q.complete(old, result=b"1") == ["S"]
    new = q.take_one()
    assert q.complete(new, result=b"2") == ["K"]
    assert q.complete(old, result=b"1") == ["S"]
    assert q.view(old.id).result == 2


def test_acknowledgements_after_everything_was_flushed_are_gone_not_errors(q: QueueDriver) -> None:
    q.put_many(2)
    first, second = q.take(2)
    q.raw.flushall()

    assert q.complete(first, second) == ["G", "G"]
    assert q.fail(first).word == "gone"


def test_completing_frees_the_unique_key(q: QueueDriver) -> None:
    q.put_one(unique_key="k")
    task = q.take_one()
    q.complete(task)

    other = q.put_one(unique_key="k")
    assert q.complete(task) == ["K"]
    assert q.raw.hgetall(q.key("unique")) == {b"k": other.encode()}


def test_a_stale_acknowledgement_frees_no_unique_key(q: QueueDriver) -> None:
    holder = q.put_one(unique_key="k|ü")
    task = q.take_one()
    q.run(consumer.release([task]))

    assert q.complete(task) == ["S"]
    assert list(q.raw.hgetall(q.key("unique")).values()) == [holder.encode()]


def test_only_so_many_completed_tasks_are_kept_the_newest(q: QueueDriver) -> None:
    q.run(operator.configure_queue(q.queue, {"keep_completed": 3}, actor="ann"))
    sent = q.put_many(8)
    for task in q.take(8):
        q.clock.advance(1)
        q.complete(task)

    assert [i.decode() for i in q.raw.zrange(q.key("completed"), 0, -1)] == sent[5:]
    assert q.state(sent[0]) is None
    assert (q.counter("completed"), q.counter("trimmed")) == (8, 5)
    assert q.raw.hlen(q.key("bodies")) == q.raw.hlen(q.key("records")) == 3


def test_a_queue_that_keeps_none_forgets_completed_tasks_at_once(q: QueueDriver) -> None:
    q.run(operator.configure_queue(q.queue, {"keep_completed": 0}, actor="ann"))
    q.put_many(5, max_attempts=3)
    first, *others = q.take(5)
    q.fail(first, delay_ms=1)
    q.complete(*others)
    q.clock.advance(1)
    q.complete(q.take_one())

    assert q.depths() == {}
    for name in ("bodies", "records", "trail", "attempts"):
        assert q.raw.hlen(q.key(name)) == 0, name


def test_a_lowered_limit_is_reached_step_by_step(q: QueueDriver) -> None:
    q.put_many(12)
    tasks = q.take(12)
    q.complete(*tasks[:10])
    q.run(operator.configure_queue(q.queue, {"keep_completed": 2}, actor="ann"))

    q.complete(tasks[10])
    assert q.depths()["completed"] == 9
    q.complete(tasks[11])
    assert q.depths()["completed"] == 8


def test_counts_fall_into_the_minute_and_the_bucket_they_belong_to(q: QueueDriver) -> None:
    minute = START_MS // 60_000
    q.clock.now_ms = minute * 60_000 + 59_999
    q.put_many(3)
    first, second, third = q.take(3)
    q.run(consumer.complete(q.queue, [Ack(first, b"1", 0, 1), Ack(second, b"1", 900, 3)]))
    q.clock.advance(1)
    q.run(consumer.complete(q.queue, [Ack(third, b"1", 10**12, 0)]))

    before, after = q.stats().minutes
    assert (before.start_ms, after.start_ms) == (minute * 60_000, minute * 60_000 + 60_000)
    assert before.counts == {
        "enqueued": 3,
        "completed": 2,
        "run_ms": 900,
        "run0": 1,
        "run10": 1,
        "wait1": 1,
        "wait2": 1,
    }
    assert after.counts == {"completed": 1, "run_ms": 10**12, "run23": 1, "wait0": 1}


def test_a_task_that_was_asked_to_stop_may_still_complete(q: QueueDriver) -> None:
    q.put_one()
    task = q.take_one()
    q.run(operator.cancel([task.id], actor="ann"))

    assert q.complete(task) == ["K"]
    view = q.view(task.id)
    assert (view.state, view.cancel_asked) == (TaskState.COMPLETED, None)


def test_a_retried_task_keeps_its_history_when_it_completes(q: QueueDriver) -> None:
    q.put_one()
    q.fail(q.take_one(), delay_ms=0)
    task = q.take_one()
    assert task.attempt == 2
    q.complete(task)

    view = q.view(task.id)
    assert (view.attempt, view.failures, [a.outcome for a in view.history]) == (2, 1, ["retrying"])


def test_nothing_to_acknowledge_sends_nothing(q: QueueDriver) -> None:
    assert q.run(consumer.complete(q.queue, [])) == []
    assert q.raw.keys("*") == []


@pytest.mark.parametrize("result", [None, 0, "", [], {"a": "|"}, "x|y", "ü\n\u2028", 1.5, False])
def test_results_are_read_as_they_were_given(q: QueueDriver, result: object) -> None:
    task_id = q.put_one()
    q.complete(q.take_one(), result=msgspec.json.encode(result))

    assert q.view(task_id).result == result
