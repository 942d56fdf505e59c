"""Enqueueing: what is accepted, in which order it is served, and what is refused without a trace."""

from __future__ import annotations

import pytest

from tests.queue_driver import START_MS, QueueDriver
from tq_core import ids
from tq_core.errors import DuplicateTaskError, InvalidInputError, QueueFullError
from tq_core.keyspace import keys
from tq_core.model import RetryPolicy, TaskOptions, TaskState
from tq_core.roles import operator, producer, registry
from tq_core.roles.producer import Enqueued, new_task
from tq_core.transport.steps import Script


def everything(q: QueueDriver) -> dict[bytes, bytes | None]:
    """All keys with their values, to see that nothing was written."""
    return {key: q.raw.dump(key) for key in sorted(q.raw.keys("*"))}


def test_a_new_task_is_pending_with_all_that_it_was_given(q: QueueDriver) -> None:
    options = TaskOptions(timeout_s=1.5, retry=RetryPolicy(initial_delay_s=9), submitted_by="ann|bob")
    task_id = q.put_one({"to": "x"}, priority="high", max_attempts=7, unique_key="k 1", options=options)

    view = q.view(task_id)

    assert (view.state, view.priority, view.max_attempts, view.attempt) == (TaskState.PENDING, 50, 7, 0)
    assert (view.type, view.queue, view.args, view.unique_key) == ("work", "mail", {"to": "x"}, "k 1")
    assert (view.created_at_ms, view.options, view.position) == (START_MS, options, 0)
    assert q.counter("enqueued") == 1
    assert q.events() == [{"e": "enqueued", "i": task_id}]


def test_priorities_are_served_first_to_last_and_each_in_the_order_of_arrival(q: QueueDriver) -> None:
    priorities = [100, 0, 255, 50, 0, 100, 255, 50, 200, 1]
    ids_of = {n: q.put_one({"n": n}, priority=p) for n, p in enumerate(priorities)}

    served = [t.id for t in q.take(20)]

    expected = sorted(range(len(priorities)), key=lambda n: (priorities[n], n))
    assert served == [ids_of[n] for n in expected]


def test_the_order_within_one_call_is_the_order_of_the_call(q: QueueDriver) -> None:
    sent = q.put_many(500)

    assert [t.id for t in q.take(200) + q.take(200) + q.take(200)] == sent


def test_the_tasks_of_a_fully_used_priority_stay_before_the_next_one(q: QueueDriver) -> None:
    q.put_one(priority=254)
    q.raw.hset(q.key("counters"), "seq", 2**45 - 4)
    last_of_band = q.put_one(priority=254)
    first_of_next = q.put_one(priority=255)

    assert [t.id for t in q.take(3)][1:] == [last_of_band, first_of_next]


def test_a_delayed_task_is_scheduled_until_its_time_has_come(q: QueueDriver) -> None:
    task_id = q.put_one(delay_s=2.5)
    assert q.view(task_id).due_at_ms == START_MS + 2500
    assert q.view(task_id).state is TaskState.SCHEDULED

    q.clock.advance(2499)
    assert q.claim().tasks == ()
    q.clock.advance(1)

    assert q.take_one().id == task_id


def test_a_due_time_beats_a_delay_and_one_in_the_past_means_now(q: QueueDriver) -> None:
    later, past = q.put(
        new_task("work", {}, at_ms=START_MS + 60_000, delay_s=1), new_task("work", {}, at_ms=START_MS - 1, delay_s=99)
    )

    assert q.view(later.task_id).due_at_ms == START_MS + 60_000
    assert q.state(past.task_id) is TaskState.PENDING


def test_an_existing_id_is_answered_as_a_duplicate_and_changes_nothing(q: QueueDriver) -> None:
    q.put_one({"n": 1}, name="report")

    (again,) = q.put(new_task("work", {"n": 2}, name="report"))

    assert again == Enqueued("report@mail", False, "id")
    assert q.view("report@mail").args == {"n": 1}
    assert q.depths() == {"pending": 1}
    assert (q.counter("enqueued"), q.counter("duplicates")) == (1, 1)


@pytest.mark.parametrize("state", ["running", "retrying", "completed", "failed", "cancelled"])
def test_an_id_stays_taken_whatever_became_of_its_task(q: QueueDriver, state: str) -> None:
    task_id = q.put_one(name="report")
    if state == "cancelled":
        q.run(operator.cancel([task_id], actor="ann"))
    else:
        task = q.take_one()
        if state == "completed":
            q.complete(task)
        elif state != "running":
            q.fail(task, verdict="retry" if state == "retrying" else "fatal")
    assert q.state(task_id) == state

    assert q.put(new_task("work", {}, name="report")) == [Enqueued(task_id, False, "id")]
    assert q.state(task_id) == state


def test_an_id_twice_in_one_call_is_accepted_once_and_the_first_wins(q: QueueDriver) -> None:
    outcomes = q.put(*[new_task("work", {"n": n}, name="report", priority=100 - n) for n in range(3)])

    assert [o.is_new for o in outcomes] == [True, False, False]
    assert q.view("report@mail").args == {"n": 0}
    assert q.view("report@mail").priority == 100
    assert q.depths() == {"pending": 1}


def test_a_scheduled_and_a_pending_task_of_one_id_in_one_call_are_one_task(q: QueueDriver) -> None:
    q.put(new_task("work", {}, name="report"), new_task("work", {}, name="report", delay_s=5))

    assert q.depths() == {"pending": 1}


def test_a_held_unique_key_is_answered_with_its_holder(q: QueueDriver) -> None:
    holder = q.put_one(unique_key="invoice|7 ü%")

    (refused,) = q.put(new_task("work", {}, unique_key="invoice|7 ü%"))

    assert refused == Enqueued(holder, False, "unique")
    assert q.depths() == {"pending": 1}


def test_a_unique_key_twice_in_one_call_is_given_to_the_first(q: QueueDriver) -> None:
    first, second, other = q.put(
        new_task("work", {}, unique_key="k"), new_task("work", {}, unique_key="k"), new_task("work", {}, unique_key="l")
    )

    assert (first.is_new, other.is_new) == (True, True)
    assert second == Enqueued(first.task_id, False, "unique")


def test_one_task_whose_unique_key_is_held_raises_with_the_holder(q: QueueDriver) -> None:
    holder = q.put_one(unique_key="k")

    with pytest.raises(DuplicateTaskError, match=holder) as caught:
        q.run(producer.enqueue_one(q.queue, new_task("work", {}, unique_key="k")))
    assert caught.value.holder_id == holder


def test_one_task_that_is_there_already_under_its_name_counts_as_enqueued(q: QueueDriver) -> None:
    first = q.run(producer.enqueue_one(q.queue, new_task("work", {}, name="report")))

    assert q.run(producer.enqueue_one(q.queue, new_task("work", {}, name="report"))) == first == "report@mail"


def test_a_name_that_is_taken_does_not_take_the_unique_key_of_its_second_task(q: QueueDriver) -> None:
    q.put_one(name="report")
    q.put(new_task("work", {}, name="report", unique_key="k"))

    assert q.put(new_task("work", {}, unique_key="k"))[0].is_new


def test_a_full_queue_refuses_the_whole_call_and_writes_nothing(q: QueueDriver) -> None:
    q.put_many(3)
    q.run(operator.configure_queue(q.queue, {"max_size": 4}, actor="ann"))
    before = everything(q)

    with pytest.raises(QueueFullError) as caught:
        q.put_many(2)

    assert (caught.value.queue, caught.value.depth, caught.value.max_size) == ("mail", 3, 4)
    assert everything(q) == before
    q.put_many(1)


def test_running_and_ended_tasks_leave_room_in_a_full_queue_and_waiting_ones_do_not(q: QueueDriver) -> None:
    q.run(operator.configure_queue(q.queue, {"max_size": 3}, actor="ann"))
    q.put_many(3)
    running, completed, retrying = q.take(3)
    q.complete(completed)
    q.fail(retrying)
    q.put_one(delay_s=5)
    q.put_one()

    with pytest.raises(QueueFullError):
        q.put_one()
    q.complete(running)
    with pytest.raises(QueueFullError):
        q.put_one()


def test_what_was_accepted_before_is_no_new_load_when_it_is_sent_again(q: QueueDriver) -> None:
    """An enqueue whose answer was lost is sent again: it must not be told that the queue is full of itself."""
    q.run(operator.configure_queue(q.queue, {"max_size": 3}, actor="ann"))
    tasks = [new_task("work", {}, name=f"n{n}") for n in range(3)]
    q.put(*tasks)

    assert [o.duplicate_of for o in q.put(*tasks)] == ["id"] * 3
    with pytest.raises(QueueFullError):
        q.put(*tasks, new_task("work", {}))


def test_a_limit_of_zero_refuses_everything(q: QueueDriver) -> None:
    q.run(operator.configure_queue(q.queue, {"max_size": 0}, actor="ann"))

    with pytest.raises(QueueFullError):
        q.put_one()


def test_ids_carry_the_number_of_their_queue(q: QueueDriver) -> None:
    task_id = q.put_one()

    assert ids.home_of(task_id) == q.run(registry.register_queue(q.queue))


def test_a_wrong_number_is_noticed_and_looked_up(q: QueueDriver) -> None:
    (outcome,) = q.run(producer.enqueue(q.queue, [new_task("work", {})], number=77))

    assert ids.home_of(outcome.task_id) == q.run(registry.register_queue(q.queue)) != 77


def test_a_queue_registers_again_after_everything_was_flushed(q: QueueDriver) -> None:
    q.run(registry.register_queue("other"))
    number = q.run(registry.register_queue(q.queue))
    q.raw.flushall()

    (outcome,) = q.run(producer.enqueue(q.queue, [new_task("work", {})], number=number))

    assert ids.home_of(outcome.task_id) == 1 != number
    assert q.state(outcome.task_id) is TaskState.PENDING


def test_nothing_is_written_under_a_number_that_the_queue_does_not_have(q: QueueDriver) -> None:
    q.run(registry.register_queue(q.queue))
    before = everything(q)

    reply = q.ask(Script("enqueue", keys.queue_prefix(q.queue), (9, "x" * 26, 100, "work|4|||{}")))

    assert reply == [b"NUMBER", b"1"]
    assert everything(q) == before


PAYLOADS = [
    {"a": "x|y||z|"},
    {"a": "line\nline\r\n\ttab\x00\x1b[31m"},
    {"ключ": "Grüße 日本語 🎉 \u2028"},
    {"n": [1, 2.5, -3, 1e300, None, True, {"deep": [[[[]]]]}]},
    {"long": "|" * 100_000},
    {},
]


@pytest.mark.parametrize("args", PAYLOADS, ids=["separators", "controls", "unicode", "nested", "long", "empty"])
def test_arguments_arrive_as_they_were_sent(q: QueueDriver, args: dict[str, object]) -> None:
    task_id = q.put_one(args)
    scheduled = q.put_one(args, delay_s=1)
    assert q.view(task_id).args == (args if len(str(args)) < 65_536 else None)

    task = q.take_one()
    assert (task.id, producer.encode_payload(task.payload)) == (task_id, producer.encode_payload(args))
    q.fail(task, delay_ms=10)
    q.clock.advance(2000)

    again = {t.id: t.payload for t in q.take(2)}
    assert {i: producer.encode_payload(p) for i, p in again.items()} == dict.fromkeys(
        (task_id, scheduled), producer.encode_payload(args)
    )


def test_a_batch_of_500_mixed_tasks_goes_in_one_call(q: QueueDriver) -> None:
    tasks = [
        new_task("work", {"n": n}, unique_key=f"k{n}" if n % 3 == 0 else None, delay_s=n % 2, priority=n % 256)
        for n in range(500)
    ]
    outcomes = q.put(*tasks)

    assert all(o.is_new for o in outcomes)
    assert len({o.task_id for o in outcomes}) == 500
    assert q.depths() == {"pending": 250, "scheduled": 250}
    assert len(q.events()) == 1


def test_a_batch_above_the_limit_is_refused_before_anything_is_sent(q: QueueDriver) -> None:
    with pytest.raises(InvalidInputError, match="501 tasks in one call: at most 500"):
        q.put_many(501)
    assert q.raw.keys("*") == []


def test_an_empty_batch_sends_nothing(q: QueueDriver) -> None:
    assert q.put() == []
    assert q.raw.keys("*") == []


def test_each_call_leaves_one_marker_for_idle_workers(q: QueueDriver) -> None:
    q.put_many(3)
    assert q.raw.zrange(q.key("wake"), 0, -1) == [b"0"]
    q.raw.delete(q.key("wake"))
    q.put_one(delay_s=5)
    assert q.raw.zcard(q.key("wake")) == 1


def test_a_queue_without_registration_learns_its_number_with_the_first_task(q: QueueDriver) -> None:
    q.put_one()

    assert q.raw.hgetall(keys.QUEUES) == {b"mail": b"1", b"#next": b"1"}
    assert q.raw.hmget(q.key("meta"), "number", "schema") == [b"1", str(keys.SCHEMA_VERSION).encode()]
