"""Expiry: no attempt starts at that time or later, whatever state the task is in then."""

from __future__ import annotations

from typing import Any

import pytest

from tests.queue_driver import START_MS, QueueDriver
from tq_core.errors import InvalidInputError
from tq_core.model import TaskOptions, TaskState
from tq_core.roles import consumer, maintenance, operator, schedules
from tq_core.roles.producer import new_task
from tq_core.roles.why import in_words


def put(q: QueueDriver, expires_s: float = 10, **options: object) -> str:
    said = {"depends_on": options.pop("depends_on", ()), "on_parent_failure": options.pop("on_parent_failure", None)}
    return q.put_one(options=TaskOptions(expires_in_s=expires_s, **said), **options)  # type: ignore[arg-type]


def why(q: QueueDriver, task_id: str) -> str:
    return q.run(in_words(q.view(task_id)))


def test_a_task_starts_until_its_time_and_not_at_it(q: QueueDriver) -> None:
    early, late = put(q), put(q)
    assert q.view(late).expires_at_ms == START_MS + 10_000
    assert why(q, late).endswith("; expires in 10 s")
    q.clock.advance(9_999)
    assert q.take_one().id == early

    q.clock.advance(1)

    assert q.claim().tasks == ()
    view = q.view(late)
    assert (view.state, view.expires_at_ms) == (TaskState.CANCELLED, None)
    assert view.error is not None
    assert view.error["reason"] == "expired"
    assert "its time was over before a worker took it" in why(q, late)
    assert (q.counter("expired"), q.counter("cancelled")) == (1, 1)
    assert q.events()[-1] == {"e": "expired", "i": late}


def test_in_every_waiting_state_it_ends_with_the_next_upkeep_even_of_a_paused_queue(q: QueueDriver) -> None:
    retrying, parent = put(q), q.put_one(delay_s=60)
    q.fail(q.take_one(), delay_ms=5_000)
    scheduled, pending = put(q, delay_s=9), put(q, unique_key="k")
    blocked = put(q, depends_on=(parent,))
    child = q.put_one(options=TaskOptions(depends_on=(pending,), on_parent_failure="run"))
    both = put(q, depends_on=(pending,), on_parent_failure="fail")
    q.run(operator.pause_queue(q.queue, actor="ann"))
    q.clock.advance(10_000)

    assert q.run(maintenance.promote([q.queue])) >= 5

    states = {task_id: q.state(task_id) for task_id in (retrying, scheduled, pending, blocked, both)}
    assert set(states.values()) == {TaskState.CANCELLED}
    said = [(q.view(task_id).error or {})["message"] for task_id in (scheduled, retrying)]
    assert [text.rpartition(" a worker took it")[2] for text in said] == ["", " again"]
    assert q.state(child) is TaskState.PENDING
    q.put_one(unique_key="k")


def test_one_that_runs_goes_on_and_completes(q: QueueDriver) -> None:
    task_id = put(q)
    task = q.take_one()
    q.clock.advance(10_000)

    q.run(maintenance.promote([q.queue]))

    assert q.view(task_id).expires_at_ms == START_MS + 10_000
    assert why(q, task_id).endswith("; its time is over: not tried again")
    assert q.complete(task) == ["K"]
    assert q.raw.exists(q.key("expiries")) == 0


@pytest.mark.parametrize("ran_past_it", [False, True])
def test_one_that_fails_is_not_tried_again_after_it_and_keeps_its_error(q: QueueDriver, ran_past_it: bool) -> None:
    task_id = put(q)
    task = q.take_one()
    if ran_past_it:
        q.clock.advance(10_000)
        q.run(maintenance.promote([q.queue]))

    outcome = q.fail(task, delay_ms=10_000)

    assert (outcome.word, q.fail(task, delay_ms=10_000)) == ("failed", outcome)
    error = q.view(task_id).error
    assert error is not None
    assert (error["reason"], error["type"], error["not_retried"]) == ("error", "ValueError", "expired")
    assert "not tried again, because its time was over" in why(q, task_id)


def test_one_that_fails_in_time_is_tried_again(q: QueueDriver) -> None:
    put(q)
    assert q.fail(q.take_one(), delay_ms=9_999).word == "retrying"
    q.clock.advance(9_999)
    q.complete(q.take_one())


@pytest.mark.parametrize("how", ["lost", "given back", "crashed", "unknown"])
def test_one_that_comes_back_after_its_time_expires_next(q: QueueDriver, how: str) -> None:
    task_id = put(q)
    task = q.take_one(lease_ms=10_000)
    q.clock.advance(11_000)
    q.run(maintenance.promote([q.queue]))
    if how == "lost":
        assert q.reclaim() == [task_id]
    elif how == "crashed":
        q.run(consumer.crash(task, detail={"exit_code": 9}))
    elif how == "unknown":
        q.run(consumer.release_unknown([task]))
    else:
        q.run(consumer.release([task]))
    assert why(q, task_id).endswith("; its time is over: it expires at the next upkeep")

    assert q.claim().tasks == ()
    assert q.view(task_id).state is TaskState.CANCELLED


def test_a_claim_gives_nothing_out_while_more_are_expired_than_it_ends(q: QueueDriver) -> None:
    q.put(*[new_task("work", {}, options=TaskOptions(expires_in_s=5)) for _ in range(consumer.PROMOTE_MAX + 1)])
    fresh = q.put_one(priority=200)
    q.clock.advance(5_000)

    first = q.claim()
    second = q.claim()

    assert (first.tasks, first.next_due_ms) == ((), q.clock.now_ms)
    assert [task.id for task in second.tasks] == [fresh]
    assert q.counter("expired") == consumer.PROMOTE_MAX + 1


def test_a_requeued_one_expires_no_more(q: QueueDriver) -> None:
    task_id = put(q)
    q.clock.advance(10_000)
    q.claim()

    q.run(operator.requeue([task_id], actor="ann"))

    assert q.view(task_id).expires_at_ms is None
    q.clock.advance(10**6)
    q.complete(q.take_one())


def test_the_tasks_of_a_schedule_expire(q: QueueDriver) -> None:
    tidy = schedules.new_schedule("tidy", "work", queue=q.queue, every_s=20, jitter_s=5, expires_in_s=7.5)
    q.run(schedules.add(tidy, actor="ann"))
    q.clock.advance(20_000)
    fired = q.run(schedules.tick([q.queue])).task_ids
    run = q.run(schedules.run_now(q.run(schedules.find("tidy")), actor="ann"))

    assert {q.view(i).expires_at_ms for i in (*fired, run)} == {START_MS + 27_500}
    q.clock.advance(7_500)
    assert q.claim().tasks == ()
    assert q.depths() == {"cancelled": len(fired) + 1}
    with pytest.raises(InvalidInputError, match="could never run"):
        schedules.new_schedule("tidy", "work", every_s=20, jitter_s=8, expires_in_s=7.5)


def test_what_is_deleted_or_ends_otherwise_leaves_no_expiry(q: QueueDriver) -> None:
    deleted, cancelled, fatal = put(q), put(q), put(q, priority=0)
    q.fail(q.take_one(), verdict="fatal")
    q.run(operator.discard([deleted], actor="ann"))
    q.run(operator.cancel([cancelled], actor="ann"))

    assert q.state(fatal) is TaskState.FAILED
    assert q.raw.exists(q.key("expiries")) == 0


@pytest.mark.parametrize("expires_s", [0, -1, 11 * 365 * 86_400, 5, "10m", True])
def test_an_expiry_that_makes_no_sense_is_refused(expires_s: Any) -> None:
    with pytest.raises(InvalidInputError, match="expire"):
        new_task("work", {}, delay_s=5, options=TaskOptions(expires_in_s=expires_s))
