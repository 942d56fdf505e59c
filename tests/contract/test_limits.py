"""Limits of a queue and of its keys: what runs at once, what starts in a time, and that the rest waits in order."""

from __future__ import annotations

import pytest

from tests.queue_driver import QueueDriver
from tq_core.errors import InvalidInputError
from tq_core.model import NewTask, TaskOptions, TaskState
from tq_core.roles import consumer, limits, maintenance, operator, producer, undo
from tq_core.roles.limits import Rate
from tq_core.roles.why import in_words


def of_key(key: str, **options: object) -> NewTask:
    return producer.new_task("work", {}, options=TaskOptions(limit_key=key), **options)  # type: ignore[arg-type]


def put_of(q: QueueDriver, key: str, count: int = 1, **options: object) -> list[str]:
    return [e.task_id for e in q.put(*(of_key(key, **options) for _ in range(count)))]


def limit(q: QueueDriver, key: str | None = None, **settings: int | Rate | None) -> None:
    q.run(limits.set_limits(q.queue, settings, key=key, actor="ann"))


def promote(q: QueueDriver) -> int:
    return q.run(maintenance.promote([q.queue]))


def why(q: QueueDriver, task_id: str) -> str:
    return q.run(in_words(q.view(task_id)))


def ids_of(tasks: list[consumer.ClaimedTask]) -> list[str]:
    return [task.id for task in tasks]


# --- the whole queue ---


def test_no_more_tasks_of_a_queue_run_than_it_may_and_each_end_wakes_it(q: QueueDriver) -> None:
    ids = q.put_many(9)
    limit(q, running=3)
    first = q.take(9)
    assert ids_of(first) == ids[:3]
    q.raw.delete(q.key("wake"))
    assert q.claim(9) == consumer.Claim()
    assert not q.raw.exists(q.key("wake"))  # nobody is sent to ask again for nothing

    q.complete(first[0])
    assert q.raw.exists(q.key("wake"))
    q.fail(first[1])
    q.run(consumer.release([first[2]]))
    assert ids_of(q.take(9)) == ids[2:5]


def test_a_rate_spreads_the_starts_of_a_queue_and_says_when_to_ask_again(q: QueueDriver) -> None:
    ids = q.put_many(9)
    limit(q, rate=Rate(starts=10, period_ms=1000, burst=2))

    claim = q.claim(9)
    assert [t.id for t in claim.tasks] == ids[:2]
    assert claim.next_due_ms == q.clock.now_ms + 100
    assert q.claim(9).next_due_ms == q.clock.now_ms + 100
    q.clock.advance(99)
    assert q.take(9) == []
    q.clock.advance(1)
    assert ids_of(q.take(9)) == ids[2:3]
    q.clock.advance(1000)
    assert ids_of(q.take(9)) == ids[3:5]  # a pause saves up no more than a burst


# --- each key ---


def test_tasks_of_a_key_that_is_full_wait_and_hold_up_no_others(q: QueueDriver) -> None:
    limit(q, key_running=1)
    ann = put_of(q, "ann", 5)
    bob = put_of(q, "bob", 2)
    free = q.put_one()

    tasks = q.take(4)
    assert ids_of(tasks) == [ann[0], bob[0], free]
    assert q.depths() == {"running": 3, "blocked": 5}
    assert q.claim(4) == consumer.Claim()

    q.complete(tasks[0])
    q.complete(tasks[1])
    assert ids_of(q.take(4)) == [ann[1], bob[1]]


@pytest.mark.parametrize("how", ["complete", "retry", "fatal", "release", "unknown", "give_back", "reclaim", "crash"])
def test_however_a_task_ends_the_next_of_its_key_runs(q: QueueDriver, how: str) -> None:
    limit(q, key_running=1)
    first, second = put_of(q, "ann", priority="high") + put_of(q, "ann")
    task, *rest = q.take(5)
    assert (task.id, rest, q.state(second)) == (first, [], TaskState.BLOCKED)

    if how == "complete":
        q.complete(task)
    elif how in ("retry", "fatal"):
        q.fail(task, verdict=how, delay_ms=60_000)
    elif how == "release":
        q.run(consumer.release([task]))
    elif how == "unknown":
        q.run(consumer.release_unknown([task], delay_ms=60_000))
    elif how == "give_back":
        q.run(consumer.give_back([q.queue], "node.1", started_ids=(), detail={}))
    elif how == "reclaim":
        q.clock.advance(60_000)
        q.reclaim()
    else:
        q.run(consumer.crash(task, detail={}))

    comes_back = how in ("release", "give_back", "reclaim", "crash")
    (next_task,) = q.take(5)
    assert next_task.id == (first if comes_back else second)
    if comes_back:
        q.complete(next_task)
        assert ids_of(q.take(5)) == [second]
    assert q.findings() == []


@pytest.mark.parametrize("how", ["cancel", "discard", "purge"])
@pytest.mark.parametrize("state", ["blocked", "pending"])
def test_a_task_that_is_taken_away_leaves_its_line_and_the_next_moves_up(q: QueueDriver, how: str, state: str) -> None:
    limit(q, key_running=1)
    ids = put_of(q, "ann", 4)
    (task,) = q.take(5)
    if state == "pending":
        q.complete(task)
        promote(q)
    gone = ids[1]
    assert q.state(gone) == state
    if how == "cancel":
        q.run(operator.cancel([gone], actor="ann"))
    elif how == "discard":
        q.run(operator.discard([gone], actor="ann"))
    else:
        q.run(operator.purge(q.queue, actor="ann", state=TaskState(state)))
    assert q.findings() == []

    if state == "blocked":
        q.complete(task)
    left = [] if (how, state) == ("purge", "blocked") else ids[2:]
    for task_id in left:
        task = q.take_one()
        assert task.id == task_id
        q.complete(task)
    assert q.take(5) == []


def test_the_line_of_a_key_moves_in_order_of_priority(q: QueueDriver) -> None:
    limit(q, key_running=1)
    low, normal = put_of(q, "ann", 2, priority="low"), put_of(q, "ann", 2)
    task = q.take_one()
    assert q.take(9) == []
    urgent = put_of(q, "ann", priority="critical")
    order = []
    while True:
        order.append(task.id)
        q.complete(task)
        found = q.take(1)
        if not found:
            break
        (task,) = found
    assert order == [normal[0], *urgent, normal[1], *low]


def test_a_rate_for_each_key_and_another_for_one(q: QueueDriver) -> None:
    limit(q, key_rate=Rate(starts=1, period_ms=1000, burst=1))
    limit(q, "bob", rate=Rate(starts=2, period_ms=1000, burst=2))
    ann, bob = put_of(q, "ann", 3), put_of(q, "bob", 3)

    claim = q.claim(9)
    assert [t.id for t in claim.tasks] == [ann[0], *bob[:2]]
    assert claim.next_due_ms == q.clock.now_ms + 500
    assert q.findings() == []
    q.clock.advance(500)
    claim = q.claim(9)
    assert ([t.id for t in claim.tasks], claim.next_due_ms) == ([bob[2]], q.clock.now_ms + 500)
    q.clock.advance(499)
    assert promote(q) == 0
    q.clock.advance(1)
    assert promote(q) == 1
    assert ids_of(q.take(9)) == [ann[1]]
    assert q.state(ann[2]) is TaskState.BLOCKED


def test_a_limit_that_is_raised_or_cleared_lets_the_line_move_and_leaves_nothing(q: QueueDriver) -> None:
    limit(q, key_running=1)
    limit(q, "bob", running=0)
    ann, bob = put_of(q, "ann", 4), put_of(q, "bob", 2)
    assert ids_of(q.take(9)) == ann[:1]
    limit(q, key_running=3)
    assert ids_of(q.take(9)) == ann[1:3]
    limit(q, "bob", running=1)
    assert ids_of(q.take(9)) == bob[:1]
    limit(q, key_running=None)
    limit(q, "bob", running=None)
    assert promote(q) == 2
    tasks = q.take(9)
    assert ids_of(tasks) == [ann[3], bob[1]]
    promote(q)
    left = [n for n in ("limits", "slots", "holders", "parked", "gates", "rates", "breakers") if q.raw.exists(q.key(n))]
    assert left == []
    q.complete(*tasks)


def test_what_runs_when_a_limit_is_set_counts(q: QueueDriver) -> None:
    ids = put_of(q, "ann", 3)
    (task,) = q.take(1)
    limit(q, key_running=1)
    assert q.take(9) == []
    q.complete(task)
    assert ids_of(q.take(9)) == ids[1:2]


def test_one_key_with_very_many_tasks_is_out_of_the_others_way(q: QueueDriver) -> None:
    limit(q, key_running=1)
    for _ in range(3):
        put_of(q, "ann", 500)
    bob = put_of(q, "bob")
    claims = 0
    found: list[str] = []
    while bob[0] not in found:
        q.raw.delete(q.key("wake"))
        found += ids_of(q.take(2))
        claims += 1
        assert bob[0] in found or q.raw.exists(q.key("wake"))  # another look is due at once
    assert claims <= 5


def test_why_names_the_limit_its_value_who_fills_it_and_the_turn(q: QueueDriver) -> None:
    limit(q, key_running=2)
    limit(q, "eve", rate=Rate(starts=1, period_ms=60_000, burst=1))
    ann, eve = put_of(q, "ann|>!", 5), put_of(q, "eve", 2)
    q.take(9, worker_id="n1.7")
    assert why(q, ann[4]) == (
        f"waits: 2 of at most 2 tasks of the key 'ann|>!' run ({', '.join(f'{i} on n1.7' for i in sorted(ann[:2]))}); "
        "2 before it"
    )
    q.clock.advance(20_000)
    assert why(q, eve[1]) == "waits: the key 'eve' may start 1/m+1, the next in 40 s; 0 before it"
    q.run(operator.pause_queue(q.queue, actor="bob"))
    assert why(q, ann[4]).endswith("2 before it; bob paused the queue")
    q.run(operator.resume_queue(q.queue, actor="bob"))
    gate = q.view(ann[4]).gate
    assert gate is not None
    assert (gate.limit_key, gate.before, gate.waiting) == ("ann|>!", 2, 3)


def test_limits_are_read_back_as_they_were_set(q: QueueDriver) -> None:
    rate = Rate.parse("100/5m+7")
    limit(q, running=9, rate=rate, key_rate=Rate.parse("10/s"))
    limit(q, "a b", running=0)
    found = q.run(limits.read(q.queue))
    assert (found.running, found.rate, found.each_key.running, found.each_key.rate) == (
        9,
        rate,
        None,
        Rate.parse("10/s+1"),
    )
    assert {key: (of.running, of.rate) for key, of in found.keys.items()} == {"a b": (0, None)}
    assert str(rate) == "100/5m+7"
    assert q.stats().rules == {"running": "9", "rate": "100/300000/7", "key_rate": "10/1000/1"}
    assert [e["do"] for e in q.audited()] == ["limit", "limit"]


@pytest.mark.parametrize("text", ["", "10", "0/s", "10/0s", "1/2y", "5/s+0", "10/s\n"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    if text.strip() != text:
        assert Rate.parse(text) == Rate.parse("10/s")
        return
    with pytest.raises(InvalidInputError):
        Rate.parse(text)


def test_what_is_no_limit_is_refused_before_anything_is_written(q: QueueDriver) -> None:
    for settings, key in (({"size": 1}, None), ({"running": 0}, None), ({"running": True}, None), ({"rate": 5}, None),
                          ({"key_running": 1}, "ann"), ({"running": 1}, "")):  # fmt: skip
        with pytest.raises(InvalidInputError):
            q.run(limits.set_limits(q.queue, settings, key=key, actor="ann"))
    for name in ("x" * 201, 5):
        with pytest.raises(InvalidInputError, match="limit key"):
            of_key(name)  # type: ignore[arg-type]
    for size in (-1, 1.5, "5", True):
        with pytest.raises(InvalidInputError, match="max_size"):
            q.run(operator.configure_queue(q.queue, {"max_size": size}, actor="ann"))  # type: ignore[dict-item]
    assert q.raw.keys("*") == []


def test_a_task_that_expires_in_a_line_or_on_its_way_gives_its_turn_to_the_next(q: QueueDriver) -> None:
    limit(q, key_running=1)
    first = put_of(q, "ann")
    brief = q.put_one(options=TaskOptions(limit_key="ann", expires_in_s=5))
    last = put_of(q, "ann")
    (task,) = q.take(9)
    assert (task.id, q.state(brief)) == (first[0], TaskState.BLOCKED)
    q.complete(task)
    assert promote(q) == 1
    assert q.state(brief) is TaskState.PENDING
    q.clock.advance(5_000)
    assert ids_of(q.take(9)) == last
    assert q.state(brief) is TaskState.CANCELLED


def test_a_debounced_task_that_goes_back_to_waiting_lets_the_next_of_its_key_run(q: QueueDriver) -> None:
    limit(q, key_running=1)
    late = TaskOptions(limit_key="ann", debounce_s=1)
    (held,) = q.put(producer.new_task("work", {}, unique_key="k", options=late))
    running = put_of(q, "ann", priority="critical")
    q.clock.advance(1_000)
    (task,) = q.take(1)
    assert (task.id, q.state(held.task_id)) == (running[0], TaskState.PENDING)
    last = put_of(q, "ann", priority="low")
    assert q.take(9) == []
    q.complete(task)
    promote(q)
    q.put(producer.new_task("work", {}, unique_key="k", options=late))
    assert q.findings() == []
    assert q.state(held.task_id) is TaskState.SCHEDULED
    assert ids_of(q.take(9)) == last


def test_a_task_in_a_line_gets_the_place_of_its_new_priority_in_it(q: QueueDriver) -> None:
    limit(q, key_running=1)
    runs, first, second = put_of(q, "ann", 3)
    (held,) = q.take(9)
    assert held.id == runs

    q.run(operator.reprioritise([second], 0, actor="eve"))
    q.complete(held)

    assert ids_of(q.take(9)) == [second]
    assert q.state(first) is TaskState.BLOCKED


@pytest.mark.parametrize("how", ["cancel", "discard"])
def test_what_is_taken_out_of_a_line_and_put_back_stands_in_it_again(q: QueueDriver, how: str) -> None:
    limit(q, key_running=1)
    _, first, second = put_of(q, "ann", 3)
    (held,) = q.take(9)
    taken = q.run(getattr(operator, how)([first], actor="eve"))

    q.run(undo.undo(taken.undo_op, actor="eve"))
    assert q.claim(9).tasks == ()
    q.complete(held)

    assert ids_of(q.take(9)) == [first]
    assert q.state(second) is TaskState.BLOCKED


def test_a_bucket_that_a_slower_rate_or_a_later_clock_left_holds_nothing_up_for_that_long(q: QueueDriver) -> None:
    limit(q, key_rate=Rate.parse("1/365d"), rate=Rate.parse("9/s+9"))
    ann = put_of(q, "ann", 3)
    assert ids_of(q.take(9)) == ann[:1]
    limit(q, key_rate=Rate.parse("10/s+1"))
    assert q.take(9) == []
    assert why(q, ann[1]) == "waits: the key 'ann' may start 10/s+1, the next in 100 ms; 0 before it"
    q.clock.advance(100)
    assert ids_of(q.take(9)) == ann[1:2]

    ids = q.put_many(20)
    limit(q, rate=Rate.parse("10/s+1"))
    assert ids_of(q.take(9)) == ids[:1]
    q.clock.advance(-3_600_000)  # another server took over, whose clock is behind
    assert q.claim(9).next_due_ms == q.clock.now_ms + 100
    q.clock.advance(100)
    assert ids_of(q.take(9)) == ids[1:2]


def test_a_debounced_task_in_a_line_takes_over_what_comes_after_it(q: QueueDriver) -> None:
    limit(q, key_running=1)
    late = TaskOptions(limit_key="ann", debounce_s=1, debounce_max_s=5)
    put_of(q, "ann")
    (running,) = q.take(9)
    (held,) = q.put(producer.new_task("work", {"n": 1}, unique_key="k", options=late))
    q.clock.advance(1_000)
    promote(q)
    last = put_of(q, "ann")
    assert q.take(9) == []
    assert q.state(held.task_id) is TaskState.BLOCKED

    (again,) = q.put(producer.new_task("work", {"n": 2}, unique_key="k", options=late))
    assert (again.task_id, again.duplicate_of) == (held.task_id, "replaced")
    assert q.state(held.task_id) is TaskState.SCHEDULED
    assert q.findings() == []
    q.clock.advance(4_000)
    promote(q)
    assert q.take(9) == []
    q.put(producer.new_task("work", {"n": 3}, unique_key="k", options=late))
    assert q.findings() == []
    q.complete(running)
    (next_one,) = q.take(9)
    assert next_one.id == last[0]
    q.complete(next_one)
    assert q.take_one().payload == b'{"n":3}'
