"""How long a unique key is held: until the task starts, for a time, and while submits replace one another."""

from __future__ import annotations

from typing import Any

import pytest

from tests.queue_driver import START_MS, QueueDriver
from tq_core.errors import InvalidInputError, QueueFullError
from tq_core.keyspace import keys
from tq_core.model import NewTask, TaskOptions, TaskState
from tq_core.roles import maintenance, operator, producer, schedules
from tq_core.roles.producer import Enqueued, new_task
from tq_core.transport.steps import Script


def task(args: dict[str, Any] | None = None, *, key: str | None = "k", **options: Any) -> NewTask:
    return new_task("work", args or {}, unique_key=key, options=TaskOptions(**options))


def put(q: QueueDriver, args: dict[str, Any] | None = None, **options: Any) -> Enqueued:
    (outcome,) = q.put(task(args, **options))
    return outcome


def trim(q: QueueDriver) -> None:
    q.run(maintenance.trim([q.queue]))


# --- until it starts ---


def test_until_started_frees_the_key_at_the_claim_and_a_retry_does_not_take_it_back(q: QueueDriver) -> None:
    first = put(q, unique_until="started")
    assert put(q, unique_until="started") == Enqueued(first.task_id, False, "unique")

    running = q.take_one()
    second = put(q, unique_until="started")
    q.fail(running, delay_ms=5)

    assert second.is_new
    assert put(q) == Enqueued(second.task_id, False, "unique")
    q.clock.advance(5)
    assert q.complete(*q.take(2)) == ["K", "K"]
    assert q.raw.exists(q.key("unique"), q.key("until")) == 0


def test_until_started_frees_the_key_of_one_that_is_cancelled_or_deleted(q: QueueDriver) -> None:
    q.run(operator.cancel([put(q, unique_until="started").task_id], actor="ann"))
    q.run(operator.discard([put(q, unique_until="started").task_id], actor="ann"))
    assert put(q).is_new


def test_requeued_it_takes_the_key_until_it_starts_again(q: QueueDriver) -> None:
    first = put(q, unique_until="started").task_id
    q.complete(q.take_one())
    q.run(operator.requeue([first], actor="ann"))
    assert put(q).duplicate_of == "unique"

    q.take_one()

    assert put(q).is_new


# --- for a time ---


@pytest.mark.parametrize("end", ["completed", "failed", "deleted", "waiting"])
def test_for_a_time_the_key_is_held_whatever_becomes_of_the_task(q: QueueDriver, end: str) -> None:
    first = put(q, unique_for_s=60)
    if end in ("completed", "failed"):
        claimed = q.take_one()
        q.complete(claimed) if end == "completed" else q.fail(claimed, verdict="fatal")
    elif end == "deleted":
        q.run(operator.discard([first.task_id], actor="ann"))
    q.clock.advance(59_999)
    trim(q)
    assert put(q) == Enqueued(first.task_id, False, "unique")

    q.clock.advance(1)

    # Nobody has cleared it away: a lock that is over refuses nobody all the same.
    second = put(q)
    assert second.is_new
    trim(q)
    assert put(q) == Enqueued(second.task_id, False, "unique")


def test_upkeep_clears_locks_that_are_over_and_no_others(q: QueueDriver) -> None:
    put(q, unique_for_s=60)
    put(q, key="l", unique_for_s=61)
    q.clock.advance(60_000)

    trim(q)

    assert q.raw.hkeys(q.key("unique")) == [b"l"]
    assert q.raw.zrange(q.key("locks"), 0, -1) == [b"l"]


def test_requeued_it_neither_takes_its_key_again_nor_runs_beside_its_holder(q: QueueDriver) -> None:
    first = put(q, unique_for_s=60).task_id
    q.complete(q.take_one())
    q.clock.advance(60_000)
    assert [d.word for d in q.run(operator.requeue([first], actor="ann"))] == ["requeued"]
    q.complete(q.take_one())
    second = put(q).task_id

    assert [d.word for d in q.run(operator.requeue([first], actor="ann"))] == [f"unique:{second}"]


# --- debounce ---


def test_the_last_submit_wins_and_begins_the_wait_anew(q: QueueDriver) -> None:
    first = put(q, {"n": 1}, debounce_s=10)
    assert q.view(first.task_id).due_at_ms == START_MS + 10_000
    q.clock.advance(9_000)

    again = put(q, {"n": 2}, debounce_s=10, timeout_s=5, expires_in_s=30)

    assert again == Enqueued(first.task_id, False, "replaced")
    view = q.view(first.task_id)
    assert (view.args, view.options.timeout_s, view.due_at_ms) == ({"n": 2}, 5, START_MS + 19_000)
    assert (view.created_at_ms, view.expires_at_ms) == (START_MS, START_MS + 39_000)
    assert (q.counter("enqueued"), q.counter("replaced"), q.counter("duplicates")) == (1, 1, 0)
    assert q.events()[-1] == {"e": "replaced", "i": first.task_id}
    q.clock.advance(9_999)
    assert q.claim().tasks == ()
    q.clock.advance(1)
    assert q.take_one().payload == b'{"n":2}'


def test_one_that_is_due_waits_again_and_one_that_runs_takes_nothing_over(q: QueueDriver) -> None:
    first = put(q, debounce_s=10)
    q.clock.advance(10_000)
    q.run(maintenance.promote([q.queue]))
    assert put(q, debounce_s=10).duplicate_of == "replaced"
    assert q.state(first.task_id) is TaskState.SCHEDULED
    q.clock.advance(10_000)
    running = q.take_one()

    second = put(q, {"n": 2}, debounce_s=10)

    assert second.is_new
    assert running.payload == b"{}"
    assert q.fail(running, delay_ms=1).word == "retrying"
    assert put(q, debounce_s=10).task_id == second.task_id


def test_it_waits_no_longer_than_its_most_after_the_first(q: QueueDriver) -> None:
    first = put(q, debounce_s=10, debounce_max_s=15).task_id
    q.clock.advance(9_000)
    put(q, debounce_s=10, debounce_max_s=15)
    assert q.view(first).due_at_ms == START_MS + 15_000
    q.clock.advance(6_000)
    put(q, {"n": 3}, debounce_s=10, debounce_max_s=15)

    assert q.take_one().payload == b'{"n":3}'


def test_past_its_most_it_keeps_its_turn_however_often_it_is_asked_for(q: QueueDriver) -> None:
    first = put(q, debounce_s=10, debounce_max_s=15).task_id
    q.clock.advance(15_000)
    q.run(maintenance.promote([q.queue]))
    others = q.put_many(2)
    put(q, {"n": 2}, debounce_s=10, debounce_max_s=15)
    assert [t.id for t in q.take(1)] == [first]

    second = put(q, debounce_s=10, debounce_max_s=15).task_id
    q.clock.advance(15_000)
    q.run(maintenance.promote([q.queue]))
    q.put(task({"n": 3}, debounce_s=10, debounce_max_s=15), new_task("work", {}, priority="high"))
    q.put(new_task("work", {"n": 4}, unique_key="k", priority=0, options=TaskOptions(debounce_s=10, debounce_max_s=15)))
    assert q.take(2)[0].id == second
    assert q.state(others[0]) is TaskState.PENDING


def test_in_one_call_they_replace_one_another_too(q: QueueDriver) -> None:
    first, second, other = q.put(
        task({"n": 1}, debounce_s=10), task({"n": 2}, debounce_s=10), task({"n": 3}, key="l", debounce_s=10)
    )

    assert (second, other.is_new) == (Enqueued(first.task_id, False, "replaced"), True)
    assert q.view(first.task_id).args == {"n": 2}


def test_a_task_that_holds_the_key_to_its_end_takes_nothing_over(q: QueueDriver) -> None:
    holder = put(q, {"n": 1})
    assert put(q, {"n": 2}, debounce_s=10) == Enqueued(holder.task_id, False, "unique")
    assert q.view(holder.task_id).args == {"n": 1}


def test_what_is_replaced_needs_no_room(q: QueueDriver) -> None:
    q.run(operator.configure_queue(q.queue, {"max_size": 1}, actor="ann"))
    put(q, debounce_s=10)

    assert put(q, debounce_s=10).duplicate_of == "replaced"
    with pytest.raises(QueueFullError):
        put(q, key=None)


@pytest.mark.parametrize("is_claimed", [False, True])
def test_one_that_is_sent_again_is_answered_as_before_and_changes_nothing(q: QueueDriver, is_claimed: bool) -> None:
    first = put(q, {"n": 1}, debounce_s=10)
    (number,) = (int(v) for v in q.raw.hmget(q.key("meta"), "number"))

    def send(task_id: str, n: int) -> Any:
        tail = b'work|4|k|{"unique_until":"started","debounce_s":10}|{"n":%d}' % n
        return q.ask(
            Script(
                "enqueue",
                keys.queue_prefix(q.queue),
                [number, task_id, b'{"p":100,"u":"k","us":true,"db":10000}', tail],
            )
        )

    answer = [b"MIXED", b"R:" + first.task_id.encode()]
    assert send("0" * 25 + "a", 2) == answer
    assert send("0" * 25 + "b", 3) == answer
    q.clock.advance(10_000)
    if is_claimed:
        q.take_one()
    before = q.view(first.task_id)

    assert send("0" * 25 + "a", 2) == answer

    after = q.view(first.task_id)
    assert (after.args, after.due_at_ms, after.state) == ({"n": 3}, before.due_at_ms, before.state)
    assert sum(q.depths().values()) == 1


# --- what is refused, and what is not ---


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"key": None, "unique_until": "started"}, "unique key"),
        ({"key": None, "unique_for_s": 5}, "unique key"),
        ({"key": None, "debounce_s": 5}, "unique key"),
        ({"unique_until": "sometimes"}, "finished, started"),
        ({"unique_until": "started", "unique_for_s": 5}, "choose how"),
        ({"debounce_s": 5, "unique_for_s": 5}, "choose how"),
        ({"debounce_s": 5, "unique_until": "finished"}, "as the task starts"),
        ({"debounce_s": 5, "debounce_max_s": 4}, "at least debounce_s"),
        ({"debounce_max_s": 4}, "at least debounce_s"),
        ({"debounce_s": 5, "depends_on": ("a@mail",)}, "no delay, time, id or parents"),
        ({"debounce_s": 0}, "debounce_s 0"),
    ],
)
def test_what_contradicts_itself_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        task(**options)


def test_a_schedule_that_must_not_overlap_is_not_held_up_by_a_lock_that_is_over(q: QueueDriver) -> None:
    q.put(task(key="cron.alone", unique_for_s=5))
    alone = schedules.new_schedule("alone", "work", queue=q.queue, every_s=20, overlap=False)
    q.run(schedules.add(alone, actor="ann"))
    q.clock.advance(20_000)

    assert len(q.run(schedules.tick([q.queue])).task_ids) == 1
    trim(q)
    assert q.raw.hlen(q.key("unique")) == 1
    assert q.run(producer.enqueue(q.queue, [task(key="cron.alone")]))[0].duplicate_of == "unique"
