"""Runs that end without a result: retried, failed, cancelled; the same answer for the same claim."""

from __future__ import annotations

import pytest

from tests.queue_driver import START_MS, QueueDriver
from tq_core.keyspace import wire
from tq_core.model import TaskState
from tq_core.roles import consumer, operator
from tq_core.roles.consumer import Outcome


def test_a_failing_task_waits_and_is_tried_again(q: QueueDriver) -> None:
    task_id = q.put_one(max_attempts=3)

    outcome = q.fail(q.take_one(worker_id="node.2"), delay_ms=1500, detail={"type": "E", "message": "a|b\nc"})

    assert outcome == Outcome("retrying", 1, START_MS + 1500)
    view = q.view(task_id)
    assert (view.state, view.attempt, view.failures, view.due_at_ms) == (TaskState.RETRYING, 1, 1, START_MS + 1500)
    (attempt,) = view.history
    assert (attempt.outcome, attempt.attempt, attempt.worker_id, attempt.at_ms) == ("retrying", 1, "node.2", START_MS)
    assert (attempt.claimed_at_ms, attempt.duration_ms) == (START_MS, 7)
    assert attempt.detail == {"type": "E", "message": "a|b\nc"}
    assert q.events()[-1] == {"e": "retrying", "w": "node.2", "i": task_id, "r": "error", "a": "1"}
    assert (q.counter("failures"), q.counter("retrying"), q.counter("failed")) == (1, 1, 0)

    q.clock.advance(1500)
    assert q.take_one().attempt == 2


@pytest.mark.parametrize("max_attempts", [1, 2, 5])
def test_a_task_fails_for_good_when_no_attempts_are_left(q: QueueDriver, max_attempts: int) -> None:
    task_id = q.put_one(max_attempts=max_attempts)
    words = []
    for n in range(max_attempts):
        task = q.take_one()
        assert task.attempt == n + 1
        words.append(q.fail(task, delay_ms=0).word)

    assert words == ["retrying"] * (max_attempts - 1) + ["failed"]
    assert q.take() == []
    view = q.view(task_id)
    assert (view.state, view.attempt, view.failures) == (TaskState.FAILED, max_attempts, max_attempts)
    assert view.error == {"reason": "error", "type": "ValueError", "message": "boom"}
    assert (view.finished_at_ms, view.duration_ms) == (START_MS, 7)
    assert (q.counter("failures"), q.counter("failed")) == (max_attempts, 1)


def test_a_fatal_failure_is_never_retried(q: QueueDriver) -> None:
    q.put_one(max_attempts=9)
    task = q.take_one()

    assert q.fail(task, verdict="fatal", reason="bad_arguments") == Outcome("failed", 1)
    view = q.view(task.id)
    assert view.error is not None
    assert (view.error["reason"], view.failures) == ("bad_arguments", 1)


def test_a_run_that_was_cancelled_ends_cancelled_and_counts_no_failure(q: QueueDriver) -> None:
    q.put_one()
    task = q.take_one()

    assert q.fail(task, verdict="cancel", reason="killed", detail={"by": "ann", "why": "no"}) == Outcome("cancelled", 1)
    view = q.view(task.id)
    assert (view.state, view.failures) == (TaskState.CANCELLED, 0)
    assert view.error == {"reason": "killed", "by": "ann", "why": "no"}
    assert (q.counter("cancelled"), q.counter("failures")) == (1, 0)


def test_a_task_that_was_asked_to_stop_is_cancelled_instead_of_retried_and_says_who(q: QueueDriver) -> None:
    q.put_one(max_attempts=9)
    task = q.take_one()
    q.run(operator.cancel([task.id], actor="ann", why="wrong"))

    assert q.fail(task).word == "cancelled"
    view = q.view(task.id)
    assert view.error == {"reason": "cancelled", "by": "ann", "why": "wrong", "mode": "cancel"}
    assert view.cancel_asked is None


def test_a_fatal_failure_counts_although_the_task_was_asked_to_stop(q: QueueDriver) -> None:
    q.put_one()
    task = q.take_one()
    q.run(operator.cancel([task.id], actor="ann"))

    assert q.fail(task, verdict="fatal").word == "failed"
    assert q.view(task.id).cancel_asked is None


@pytest.mark.parametrize(("verdict", "word"), [("retry", "retrying"), ("fatal", "failed"), ("cancel", "cancelled")])
def test_a_repeated_failure_gets_the_same_answer_and_counts_once(q: QueueDriver, verdict: str, word: str) -> None:
    q.put_one()
    task = q.take_one()
    first = q.fail(task, verdict=verdict)
    counters = q.stats().counters

    assert first.word == word
    assert q.fail(task, verdict=verdict) == first
    assert q.stats().counters == counters


def test_a_repeated_failure_gets_the_same_answer_after_the_next_attempt_began(q: QueueDriver) -> None:
    q.put_one()
    first = q.take_one()
    q.fail(first, delay_ms=0)
    second = q.take_one(worker_id="node.2")

    assert (q.fail(first).word, q.fail(first).attempt) == ("retrying", 1)
    q.fail(second, delay_ms=0)
    assert (q.fail(first).word, q.fail(first).attempt) == ("retrying", 1)
    assert (q.fail(second).word, q.fail(second).attempt) == ("retrying", 2)
    assert (q.counter("failures"), q.counter("stale")) == (2, 0)


def test_the_failure_of_a_lost_claim_is_refused_and_counted(q: QueueDriver) -> None:
    q.put_one()
    slow = q.take_one(lease_ms=1000)
    q.clock.advance(5000)
    q.reclaim()

    assert q.fail(slow) == Outcome("stale")
    fast = q.take_one(worker_id="node.2")
    assert q.fail(slow, verdict="fatal") == Outcome("stale")
    assert q.complete(fast) == ["K"]
    assert q.fail(slow) == Outcome("stale")
    assert (q.counter("stale"), q.counter("failures")) == (3, 0)
    assert [a.outcome for a in q.view(slow.id).history] == ["lost"]


def test_a_task_that_was_given_back_cannot_be_failed(q: QueueDriver) -> None:
    q.put_one()
    task = q.take_one()
    q.run(consumer.release([task]))

    assert q.fail(task) == Outcome("stale")
    assert q.state(task.id) is TaskState.PENDING


def test_a_crashed_run_cannot_be_failed_too(q: QueueDriver) -> None:
    q.put_one()
    task = q.take_one()
    q.run(consumer.crash(task, detail={}))

    assert q.fail(task) == Outcome("stale")
    assert q.view(task.id).failures == 0


def test_the_failure_of_a_deleted_task_is_answered_gone(q: QueueDriver) -> None:
    q.put_one()
    task = q.take_one()
    q.fail(task, verdict="fatal")
    q.run(operator.discard([task.id], actor="ann"))

    assert q.fail(task) == Outcome("gone")


def test_a_retried_task_keeps_its_place_before_later_ones(q: QueueDriver) -> None:
    first, second, third = q.put_many(3)
    task = q.take_one()
    q.fail(task, delay_ms=0)

    assert [t.id for t in q.take(3)] == [first, second, third]


@pytest.mark.parametrize("verdict", ["fatal", "cancel"])
def test_a_final_failure_frees_the_unique_key(q: QueueDriver, verdict: str) -> None:
    q.put_one(unique_key="k|")
    q.fail(q.take_one(), verdict=verdict)

    q.put_one(unique_key="k|")


def test_a_retry_keeps_the_unique_key(q: QueueDriver) -> None:
    holder = q.put_one(unique_key="k")
    q.fail(q.take_one())

    assert list(q.raw.hgetall(q.key("unique")).values()) == [holder.encode()]


def test_the_last_ten_attempts_are_remembered(q: QueueDriver) -> None:
    task_id = q.put_one(max_attempts=20)
    for n in range(13):
        q.clock.advance(1)
        q.fail(q.take_one(), delay_ms=0, detail={"n": n, "text": "x\ny|z"})

    history = q.view(task_id).history
    assert [a.detail["n"] for a in history] == list(range(3, 13))
    assert [a.attempt for a in history] == list(range(4, 14))


def test_only_so_many_failed_tasks_are_kept_and_the_oldest_go_with_an_event(q: QueueDriver) -> None:
    q.run(operator.configure_queue(q.queue, {"keep_failed": 2}, actor="ann"))
    sent = q.put_many(4)
    for task in q.take(4):
        q.clock.advance(1)
        q.fail(task, verdict="fatal")

    assert [i.decode() for i in q.raw.zrange(q.key("failed"), 0, -1)] == sent[2:]
    assert q.counter("dropped") == 2
    assert [e["i"] for e in q.events() if e["e"] == "dropped"] == sent[:2]
    assert q.raw.hlen(q.key("trail")) == q.raw.hlen(q.key("attempts")) == 2


def test_a_lowered_limit_of_failed_tasks_is_reached_step_by_step(q: QueueDriver) -> None:
    q.put_many(10)
    *before, last = q.take(10)
    for task in before:
        q.fail(task, verdict="fatal")
    q.run(operator.configure_queue(q.queue, {"keep_failed": 1}, actor="ann"))

    q.fail(last, verdict="fatal")
    assert q.depths() == {"failed": 8}


def test_a_queue_that_keeps_no_failed_tasks_forgets_all_of_them(q: QueueDriver) -> None:
    q.run(operator.configure_queue(q.queue, {"keep_failed": 0}, actor="ann"))
    q.put_one(unique_key="k")
    q.fail(q.take_one(), verdict="fatal")

    assert q.depths() == {}
    for name in ("bodies", "records", "trail", "attempts", "unique"):
        assert q.raw.hlen(q.key(name)) == 0, name


def test_a_huge_or_strange_detail_is_cut_and_stays_readable(q: QueueDriver) -> None:
    task_id = q.put_one()
    trace = "\n".join(f"line {n} | of a long traceback ü" for n in range(5000))
    q.fail(q.take_one(), detail={"type": "E", "message": "m", "traceback": trace, "lone": "\ud800", "bytes": b"\xff"})

    (attempt,) = q.view(task_id).history
    assert (attempt.detail["type"], attempt.detail["message"]) == ("E", "m")
    assert attempt.detail["traceback"].startswith("line 0 |")
    assert attempt.detail["traceback"].endswith("ü")
    assert len(q.raw.hget(q.key("attempts"), task_id)) < wire.MAX_DETAIL_BYTES + 200


def test_a_retry_wakes_a_waiting_worker(q: QueueDriver) -> None:
    q.put_one()
    task = q.take_one()
    q.raw.delete(q.key("wake"))
    q.fail(task)

    assert q.raw.zcard(q.key("wake")) == 1
