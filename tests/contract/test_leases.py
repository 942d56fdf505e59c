"""Leases: renewed, lost, taken back; and tasks that a worker returns unharmed."""

from __future__ import annotations

import pytest

from tests.queue_driver import START_MS, QueueDriver
from tq_core.model import TaskState
from tq_core.roles import consumer, maintenance, operator
from tq_core.roles.consumer import UNKNOWN_DELAY_MS, UNKNOWN_MAX, ClaimedTask


def renew(q: QueueDriver, *tasks: ClaimedTask, lease_ms: int = 30_000) -> consumer.Extended:
    return q.run(consumer.extend([(t.queue, t.id, t.token) for t in tasks], lease_ms=lease_ms))


# --- extend ---


def test_renewing_a_lease_moves_its_end(q: QueueDriver) -> None:
    q.put_many(2)
    first, second = q.take(2, lease_ms=1000)
    q.clock.advance(900)

    assert renew(q, first, lease_ms=5000) == consumer.Extended()

    assert q.view(first.id).lease_end_ms == START_MS + 5900
    q.clock.advance(2000)
    assert q.reclaim() == [second.id]


def test_a_lease_that_ran_out_but_was_not_taken_back_can_still_be_renewed(q: QueueDriver) -> None:
    q.put_one()
    task = q.take_one(lease_ms=1000)
    q.clock.advance(60_000)

    assert renew(q, task) == consumer.Extended()
    assert q.reclaim() == []


def test_a_renewal_names_the_tasks_that_are_lost(q: QueueDriver) -> None:
    sent = q.put_many(6)
    kept, taken, released, completed, again, deleted = q.take(6, lease_ms=1000)
    q.run(consumer.release([released, again]))
    new = q.take_one(worker_id="node.2")
    q.complete(completed, deleted)
    q.run(operator.discard([deleted.id], actor="ann"))
    renew(q, kept, new, lease_ms=10_000)
    q.clock.advance(5000)
    assert q.reclaim() == [taken.id]

    lost = renew(q, kept, taken, released, completed, again, deleted).lost_ids

    assert lost == tuple(sent[1:])


def test_a_renewal_says_who_asked_a_task_to_stop(q: QueueDriver) -> None:
    q.put_many(3)
    first, second, third = q.take(3)
    q.run(operator.cancel([first.id], actor="ann", why="a|b"))
    q.run(operator.cancel([third.id], actor="bob", kill=True))

    asked = renew(q, first, second, third).asked

    assert asked == (
        (first.id, {"by": "ann", "why": "a|b", "mode": "cancel"}),
        (third.id, {"by": "bob", "mode": "kill"}),
    )
    assert renew(q, first).asked == asked[:1]


def test_leases_of_several_queues_are_renewed_in_one_call(q: QueueDriver) -> None:
    q.put_one()
    mine = q.take_one()
    stranger = ClaimedTask("never", mine.id, mine.token, None, b"", mine.trail, 0)

    assert renew(q, mine, stranger).lost_ids == (stranger.id,)


def test_renewing_nothing_sends_nothing(q: QueueDriver) -> None:
    assert renew(q) == consumer.Extended()
    assert q.raw.keys("*") == []


# --- reclaim ---


def test_a_lease_that_ran_out_is_left_alone_for_the_grace_time(q: QueueDriver) -> None:
    task_id = q.put_one()
    q.take_one(lease_ms=1000)
    q.clock.advance(1000 + maintenance.RECLAIM_GRACE_MS - 1)
    assert q.reclaim() == []
    q.clock.advance(1)

    assert q.reclaim() == [task_id]
    assert q.state(task_id) is TaskState.PENDING
    assert q.events()[-1] == {"e": "lost", "i": task_id}


def test_a_lost_lease_is_neither_a_failure_nor_a_crash_and_keeps_the_place(q: QueueDriver) -> None:
    first, second = q.put_many(2)
    q.take_one(lease_ms=1)
    q.clock.advance(5000)
    q.reclaim()

    task, other = q.take(2)
    assert [task.id, other.id] == [first, second]
    assert (task.attempt, task.trail.lost, task.trail.runs_alone) == (1, 1, False)
    view = q.view(first)
    assert (view.lost, view.failures, view.crashes) == (1, 0, 0)
    assert [a.outcome for a in view.history] == ["lost"]
    assert (q.counter("lost"), q.counter("failures"), q.counter("crashed")) == (1, 0, 0)


def test_losing_leases_never_ends_a_task_but_makes_it_run_alone(q: QueueDriver) -> None:
    task_id = q.put_one()
    for _ in range(12):
        q.take_one(lease_ms=1)
        q.clock.advance(5000)
        assert q.reclaim() == [task_id]

    assert q.take_one().trail.runs_alone


def test_a_task_that_was_asked_to_stop_is_cancelled_when_its_lease_is_lost(q: QueueDriver) -> None:
    q.put_many(2)
    asked, other = q.take(2, lease_ms=1)
    q.run(operator.cancel([asked.id], actor="ann"))
    q.clock.advance(5000)

    assert q.reclaim() == [other.id]
    view = q.view(asked.id)
    assert (view.state, view.cancel_asked) == (TaskState.CANCELLED, None)
    assert view.error is not None
    assert view.error["by"] == "ann"
    assert (q.counter("lost"), q.counter("cancelled")) == (1, 1)


def test_one_pass_takes_back_a_bounded_number(q: QueueDriver) -> None:
    q.put_many(150)
    q.take(150, lease_ms=1)
    q.clock.advance(5000)

    assert len(q.reclaim()) == maintenance.RECLAIM_MAX
    assert len(q.reclaim()) == 150 - maintenance.RECLAIM_MAX
    assert q.reclaim() == []


def test_a_running_task_without_a_body_is_dropped_and_counted(damaged_q: QueueDriver) -> None:
    q = damaged_q
    task_id = q.put_one()
    q.take_one(lease_ms=1)
    q.raw.hdel(q.key("bodies"), task_id)
    q.clock.advance(5000)

    assert q.reclaim() == []
    assert q.depths() == {}
    assert q.counter("ghost") == 1


# --- release ---


def test_released_tasks_keep_their_place_and_their_attempts(q: QueueDriver) -> None:
    sent = q.put_many(3)
    first, second = q.take(2)

    assert q.run(consumer.release([second, first])) == ["pending", "pending"]

    again = q.take(3)
    assert [t.id for t in again] == sent
    assert [t.attempt for t in again] == [1, 1, 1]
    assert q.view(sent[0]).history == ()
    assert q.counter("released") == 2


def test_a_release_without_the_task_is_refused_and_counted(q: QueueDriver) -> None:
    q.put_many(2)
    first, second = q.take(2)
    q.complete(second)

    assert q.run(consumer.release([first, first, second])) == ["pending", "S", "S"]
    assert q.counter("stale") == 2
    assert q.depths() == {"pending": 1, "completed": 1}


def test_a_released_task_that_was_asked_to_stop_is_cancelled(q: QueueDriver) -> None:
    q.put_one(unique_key="k")
    task = q.take_one()
    q.run(operator.cancel([task.id], actor="ann"))

    assert q.run(consumer.release([task])) == ["cancelled"]
    assert q.state(task.id) is TaskState.CANCELLED
    q.put_one(unique_key="k")


def test_releasing_nothing_sends_nothing(q: QueueDriver) -> None:
    assert q.run(consumer.release([])) == []
    assert q.raw.keys("*") == []


def test_a_task_of_an_unknown_type_comes_back_later_and_fails_after_three_times(q: QueueDriver) -> None:
    task_id = q.put_one(unique_key="k")
    for _ in range(UNKNOWN_MAX - 1):
        assert q.run(consumer.release_unknown([q.take_one()])) == ["retrying"]
        assert q.view(task_id).due_at_ms == q.clock.now_ms + UNKNOWN_DELAY_MS
        assert q.take() == []
        q.clock.advance(UNKNOWN_DELAY_MS)

    assert q.run(consumer.release_unknown([q.take_one()])) == ["failed"]
    view = q.view(task_id)
    assert (view.state, view.failures) == (TaskState.FAILED, 0)
    assert view.error is not None
    assert view.error["reason"] == "unknown_type"
    assert (q.counter("failed"), q.counter("failures"), q.counter("retrying")) == (1, 0, 0)
    q.put_one(unique_key="k")


def test_unknown_and_known_tasks_are_released_apart(q: QueueDriver) -> None:
    q.put_many(3)
    first, second, third = q.take(3)

    assert q.run(consumer.release_unknown([first, second])) == ["retrying", "retrying"]
    assert q.run(consumer.release([third])) == ["pending"]
    assert q.depths() == {"pending": 1, "retrying": 2}


# --- promote ---


def test_upkeep_promotes_what_is_due_in_the_order_of_its_times(q: QueueDriver) -> None:
    second, first = q.put_one(delay_s=2), q.put_one(delay_s=1)
    q.clock.advance(3000)
    third = q.put_one()

    assert q.run(maintenance.promote([q.queue])) == 2
    assert [t.id for t in q.take(3)] == [third, first, second]


def test_a_retry_goes_back_to_its_place_and_a_delayed_first_run_gets_a_fresh_one(q: QueueDriver) -> None:
    retried, delayed, waiting = q.put_one(), q.put_one(delay_s=1), q.put_one()
    q.fail(q.take_one(), delay_ms=1000)
    q.clock.advance(1000)
    q.run(maintenance.promote([q.queue]))

    assert [t.id for t in q.take(3)] == [retried, waiting, delayed]


def test_promoted_tasks_keep_their_priority_and_creation_time(q: QueueDriver) -> None:
    q.put_one()
    task_id = q.put_one(delay_s=1, priority="critical")
    q.clock.advance(1000)
    q.run(maintenance.promote([q.queue]))

    assert (q.view(task_id).priority, q.view(task_id).created_at_ms) == (0, START_MS)
    assert q.take_one().id == task_id


def test_promotion_works_while_paused_and_takes_bounded_steps(q: QueueDriver) -> None:
    q.put_many(450, delay_s=1)
    q.run(operator.pause_queue(q.queue, actor="ann"))
    q.clock.advance(1000)

    assert [q.run(maintenance.promote([q.queue], limit=200)) for _ in range(4)] == [200, 200, 50, 0]
    assert q.depths() == {"pending": 450}


def test_promotion_wakes_a_worker_only_when_something_moved(q: QueueDriver) -> None:
    q.put_one(delay_s=1)
    q.raw.delete(q.key("wake"))
    q.run(maintenance.promote([q.queue]))
    assert q.raw.exists(q.key("wake")) == 0
    q.clock.advance(1000)
    q.run(maintenance.promote([q.queue]))
    assert q.raw.exists(q.key("wake")) == 1


# --- trim ---


@pytest.mark.parametrize("ending", ["completed", "cancelled"])
def test_ended_tasks_are_forgotten_after_their_time(q: QueueDriver, ending: str) -> None:
    old = q.put_one(unique_key="k")
    task = q.take_one()
    if ending == "completed":
        q.complete(task)
    else:
        q.fail(task, verdict="cancel")
    q.clock.advance(maintenance.KEEP_MS)
    assert q.run(maintenance.trim([q.queue])) == 0
    q.clock.advance(1)

    assert q.run(maintenance.trim([q.queue])) == 1
    assert q.state(old) is None
    assert q.counter("trimmed") == 1
    for name in ("bodies", "records", "trail", "attempts", "unique"):
        assert q.raw.hlen(q.key(name)) == 0, name


def test_failed_tasks_never_go_by_age(q: QueueDriver) -> None:
    q.put_one()
    q.fail(q.take_one(), verdict="fatal")
    q.clock.advance(100 * maintenance.KEEP_MS)

    assert q.run(maintenance.trim([q.queue])) == 0


def test_the_oldest_ended_tasks_go_first_when_there_are_too_many(q: QueueDriver) -> None:
    sent = q.put_many(9)
    for n, task in enumerate(q.take(9)):
        q.clock.advance(1)
        if n % 3 == 0:
            q.complete(task)
        else:
            q.fail(task, verdict="fatal" if n % 3 == 1 else "cancel")

    assert q.run(maintenance.trim([q.queue], keep=1)) == 6

    assert [s for s in sent if q.state(s)] == sent[6:]
    assert (q.counter("trimmed"), q.counter("dropped")) == (4, 2)
    assert [e["i"] for e in q.events() if e["e"] == "dropped"] == [f"{sent[1]},{sent[4]}"]


def test_the_queues_own_limits_win_over_the_callers(q: QueueDriver) -> None:
    q.run(
        operator.configure_queue(
            q.queue, {"keep_ms": 1000, "keep_completed": 2, "keep_cancelled": 1, "keep_failed": 0}, actor="ann"
        )
    )
    q.put_many(6)
    for n, task in enumerate(q.take(6)):
        if n < 4:
            q.complete(task)
        else:
            q.fail(task, verdict="cancel")
    assert q.depths() == {"completed": 2, "cancelled": 2}

    q.run(maintenance.trim([q.queue]))
    assert q.depths() == {"completed": 2, "cancelled": 1}
    q.clock.advance(1001)
    q.run(maintenance.trim([q.queue]))
    assert q.depths() == {}


def test_one_trim_takes_bounded_steps_of_more_than_a_thousand_at_most(q: QueueDriver) -> None:
    for _ in range(5):
        q.put_many(500)
    q.complete(*q.take(2500))
    q.clock.advance(maintenance.KEEP_MS + 1)

    assert [q.run(maintenance.trim([q.queue], limit=1200)) for _ in range(4)] == [1200, 1200, 100, 0]


def test_one_pass_of_upkeep_does_everything(q: QueueDriver) -> None:
    completed = q.put_one()
    q.complete(q.take_one())
    q.clock.advance(maintenance.KEEP_MS)
    lost = q.put_one()
    q.take_one(lease_ms=1)
    q.put_one(delay_s=1)
    q.clock.advance(5000)

    done = q.run(maintenance.upkeep([q.queue]))

    assert done == maintenance.Upkeep(1, ((q.queue, lost),), 1)
    assert not done.is_idle
    assert q.state(completed) is None
    assert q.run(maintenance.upkeep([q.queue])).is_idle
    assert q.run(maintenance.upkeep([])).is_idle


def test_a_drained_queue_leaves_only_its_own_few_keys(q: QueueDriver) -> None:
    q.put_many(20, max_attempts=2)
    q.put_one(delay_s=1, unique_key="k")
    for n, task in enumerate(q.take(20)):
        if n % 3:
            q.complete(task)
        else:
            q.fail(task, delay_ms=5)
    q.clock.advance(2000)
    q.complete(*q.take(50))
    q.clock.advance(maintenance.KEEP_MS + 1)
    q.run(maintenance.trim([q.queue]))

    names = {k.decode().removeprefix(q.key("")) for k in q.raw.keys(q.key("*"))}
    assert {n for n in names if not n.startswith("minute:")} == {
        "counters",
        "events",
        "meta",
        "running",
        "tokens",
        "wake",
    }
    assert q.raw.hkeys(q.key("tokens")) == [b"!"]
    assert all(0 < q.raw.ttl(q.key(n)) <= 172_800 for n in names if n.startswith("minute:"))
