"""Breakers of task types: they open when too many runs fail, let probes run after a while, and lose nothing."""

from __future__ import annotations

import pytest

from tests.queue_driver import QueueDriver
from tq_core.errors import InvalidInputError, NotFoundError
from tq_core.model import NewTask, TaskOptions
from tq_core.roles import consumer, limits, maintenance, operator, producer
from tq_core.roles.consumer import ClaimedTask
from tq_core.roles.limits import Breaker, BreakerView
from tq_core.roles.why import in_words

BREAKER = Breaker(failures_percent=50, min_runs=4, window_s=60, cooldown_s=30, probes=1)


def typed(task_type: str, key: str | None = None) -> NewTask:
    return producer.new_task(task_type, {}, options=TaskOptions(limit_key=key))


def put_typed(q: QueueDriver, task_type: str, count: int) -> list[str]:
    return [e.task_id for e in q.put(*(typed(task_type) for _ in range(count)))]


def set_breaker(q: QueueDriver, breaker: Breaker | None = BREAKER) -> None:
    q.run(limits.set_breaker(q.queue, "mail", breaker, actor="ann"))


def state(q: QueueDriver) -> BreakerView:
    (view,) = q.run(limits.read(q.queue)).breakers
    return view


def fail(q: QueueDriver, *tasks: ClaimedTask, verdict: str = "fatal") -> None:
    for task in tasks:
        q.fail(task, verdict=verdict)


def opened(q: QueueDriver, waiting: int = 3) -> list[str]:
    """A breaker that four failures opened, and the tasks of its type that wait."""
    set_breaker(q)
    put_typed(q, "mail", 4)
    fail(q, *q.take(4))
    ids = put_typed(q, "mail", waiting)
    assert q.take(9) == []
    return ids


def told(q: QueueDriver) -> list[str]:
    return [e["r"] for e in q.events() if e["e"] == "breaker"]


def test_it_opens_on_the_share_of_failures_and_holds_back_its_type_alone(q: QueueDriver) -> None:
    set_breaker(q)
    ids = put_typed(q, "mail", 9)
    tasks = q.take(5)
    q.complete(tasks[0], tasks[1])
    fail(q, tasks[2])
    assert (state(q).state, state(q).ok, state(q).failed) == ("closed", 2, 1)
    fail(q, tasks[3], verdict="retry")  # 2 of 4
    assert (state(q).state, state(q).until_ms) == ("open", q.clock.now_ms + 30_000)
    other = put_typed(q, "other", 1)

    assert [t.id for t in q.take(9)] == other
    assert q.depths()["blocked"] == 4
    assert state(q).waiting == 4
    q.complete(tasks[4])  # it began before: it decides nothing
    assert state(q).state == "open"
    assert q.run(in_words(q.view(ids[6]))) == (
        "waits: the breaker of mail opened 0 ms ago (2 of the last 4 runs failed), probes begin in 30 s; 1 before it"
    )
    assert q.stats().rules == {"breaker:mail": "open"}
    assert told(q) == ["mail opened: 2 of the last 4 runs failed"]


def test_after_the_cooldown_one_probe_runs_and_its_success_lets_all_run(q: QueueDriver) -> None:
    ids = opened(q)
    assert q.claim(9).next_due_ms == q.clock.now_ms + 30_000
    q.clock.advance(30_000)
    (probe,) = q.take(9)
    assert (probe.id, state(q).state) == (ids[0], "half_open")
    assert q.take(9) == []
    assert probe.id in q.run(in_words(q.view(ids[1])))

    q.complete(probe)
    assert [t.id for t in q.take(9)] == ids[1:]
    assert (state(q).state, state(q).ok, state(q).failed) == ("closed", 0, 0)
    assert told(q)[1:] == ["mail half-open: probes may run", "mail closed: a probe succeeded"]


def test_a_probe_that_fails_opens_it_again(q: QueueDriver) -> None:
    ids = opened(q)
    q.clock.advance(30_000)
    fail(q, q.take_one())
    assert state(q).state == "open"
    q.clock.advance(29_999)
    assert q.run(maintenance.promote([q.queue])) == 0
    q.clock.advance(1)
    assert q.run(maintenance.promote([q.queue])) == 1
    assert q.take_one().id == ids[1]


@pytest.mark.parametrize("how", ["cancel", "release", "reclaim"])
def test_a_probe_that_proves_nothing_makes_room_for_another(q: QueueDriver, how: str) -> None:
    ids = opened(q)
    q.clock.advance(30_000)
    probe = q.take_one()
    if how == "cancel":
        fail(q, probe, verdict="cancel")
    elif how == "release":
        q.run(consumer.release([probe]))
    else:
        q.clock.advance(60_000)
        q.reclaim()
    assert state(q).state == "half_open"
    assert q.take_one().id == (ids[1] if how == "cancel" else ids[0])


def test_failures_that_are_old_or_that_are_cancels_do_not_count(q: QueueDriver) -> None:
    set_breaker(q)
    put_typed(q, "mail", 9)
    tasks = q.take(9)
    fail(q, *tasks[:3])
    fail(q, *tasks[3:5], verdict="cancel")
    q.clock.advance(61_000)
    fail(q, *tasks[5:8])
    assert (state(q).state, state(q).failed) == ("closed", 3)
    q.run(consumer.crash(tasks[8], detail={}))
    assert state(q).state == "open"


def test_by_hand_it_stays_open_until_it_is_closed_by_hand(q: QueueDriver) -> None:
    with pytest.raises(NotFoundError, match="no breaker"):
        q.run(limits.open_breaker(q.queue, "mail", actor="ann"))
    set_breaker(q)
    assert q.run(limits.open_breaker(q.queue, "mail", actor="ann", why="vendor is down"))
    assert not q.run(limits.open_breaker(q.queue, "mail", actor="ann"))
    ids = put_typed(q, "mail", 2)
    q.clock.advance(86_400_000)
    assert q.claim(9) == consumer.Claim()
    assert "until somebody closes it" in q.run(in_words(q.view(ids[0])))
    assert q.findings() == []
    assert q.run(limits.close_breaker(q.queue, "mail", actor="ann"))
    assert not q.run(limits.close_breaker(q.queue, "mail", actor="ann"))
    assert [t.id for t in q.take(9)] == ids
    assert [e["do"] for e in q.audited()] == ["limit", "open_breaker", "close_breaker"]


def test_a_breaker_that_is_taken_away_lets_all_run_in_pieces_and_leaves_nothing(q: QueueDriver) -> None:
    ids = opened(q, waiting=450)
    set_breaker(q, None)
    assert [t.id for t in q.take(500)] == ids
    q.run(maintenance.promote([q.queue]))
    assert not any(q.raw.exists(q.key(n)) for n in ("limits", "slots", "holders", "parked", "gates", "breakers"))


def test_tasks_behind_a_breaker_can_be_cancelled_and_keys_and_breakers_go_together(q: QueueDriver) -> None:
    ids = opened(q)
    q.run(limits.set_limits(q.queue, {"key_running": 1}, actor="ann"))
    keyed = [e.task_id for e in q.put(typed("mail", "k"), typed("other", "k"), typed("other", "k"))]
    tasks = q.take(9)
    assert [t.id for t in tasks] == [keyed[1]]
    q.run(operator.cancel([ids[0]], actor="ann"))
    q.complete(*tasks)
    tasks = q.take(9)
    assert [t.id for t in tasks] == [keyed[2]]
    q.clock.advance(30_000)
    probe = q.take_one()
    assert probe.id == ids[1]
    q.complete(probe)
    assert [t.id for t in q.take(9)] == [ids[2]]  # the key of the last is full
    q.complete(*tasks)
    assert q.take_one().id == keyed[0]


def test_what_is_no_breaker_is_refused() -> None:
    for bad in ({"failures_percent": 0}, {"min_runs": 0}, {"window_s": 0}, {"cooldown_s": -1}, {"probes": 0}):
        with pytest.raises(InvalidInputError):
            Breaker(**bad)


def test_another_window_forgets_what_was_counted_by_the_old_one(q: QueueDriver) -> None:
    set_breaker(q)
    put_typed(q, "mail", 12)
    fail(q, *q.take(3))
    set_breaker(q, Breaker(failures_percent=50, min_runs=4, window_s=3600, cooldown_s=30))
    assert (state(q).ok, state(q).failed) == (0, 0)
    q.complete(*q.take(3))
    fail(q, *q.take(1))
    assert (state(q).state, state(q).ok, state(q).failed) == ("closed", 3, 1)
    q.clock.advance(-7_200_000)  # another server took over, whose clock is behind
    fail(q, *q.take(3))
    assert state(q).state == "closed"


def test_arguments_that_cannot_be_opened_say_nothing_about_the_type(q: QueueDriver) -> None:
    set_breaker(q)
    put_typed(q, "mail", 5)
    for task in q.take(5):
        q.fail(task, verdict="fatal", reason="payload_refused")
    assert (state(q).state, state(q).failed) == ("closed", 0)


def test_neighbours_of_a_task_that_takes_its_process_down_say_nothing_about_their_type(q: QueueDriver) -> None:
    set_breaker(q)
    ids = put_typed(q, "mail", 6)
    q.take(6, worker_id="n.1")
    q.run(consumer.give_back([q.queue], "n.1", started_ids=ids[:5], detail={}))
    assert (state(q).state, state(q).failed) == ("closed", 0)
    (alone,) = q.take(1, worker_id="n.2")
    q.run(consumer.give_back([q.queue], "n.2", started_ids=[alone.id], detail={}))
    q.run(consumer.crash(q.take_one(), detail={}))
    assert state(q).failed == 2


@pytest.mark.parametrize(
    "said",
    [{"failures_percent": 0.004}, {"min_runs": 2.5}, {"probes": True}, {"window_s": 0.5}, {"cooldown_s": 0.0001}],
)
def test_what_could_not_be_read_back_is_no_breaker(said: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="breaker"):
        Breaker(**said)  # type: ignore[arg-type]
