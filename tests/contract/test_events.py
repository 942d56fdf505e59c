"""Events: one for each thing that happened, in order, from where a reader left off."""

from __future__ import annotations

import threading

from tests.queue_driver import QueueDriver
from tq_core.keyspace import keys
from tq_core.roles import consumer, events, operator, registry


def kinds(found: list[events.Event]) -> list[str]:
    return [e.kind for e in found]


def test_the_last_events_are_told_oldest_first(q: QueueDriver) -> None:
    first, second = q.put_many(2)
    tasks = q.take(2, worker_id="n.1")
    q.complete(tasks[0])
    q.fail(tasks[1], reason="timeout")

    found, _ = q.run(events.latest())

    assert kinds(found) == ["enqueued", "claimed", "completed", "retrying"]
    enqueued, claimed, completed, retrying = found
    assert (enqueued.ids, enqueued.queue, enqueued.word) == ((first, second), "mail", "SUBMITTED")
    assert (claimed.ids, claimed.worker_id, claimed.word) == ((first, second), "n.1", "ASSIGNED")
    assert (completed.ids, completed.worker_id) == ((first,), "n.1")
    assert (retrying.ids, retrying.reason, retrying.attempt, retrying.word) == ((second,), "timeout", 1, "ERROR")
    assert kinds(q.run(events.latest(limit=2))[0]) == ["completed", "retrying"]
    assert q.run(events.latest(limit=0))[0] == []


def test_events_within_one_millisecond_keep_their_order(q: QueueDriver) -> None:
    q.put_one()
    q.raw.delete(q.key("events"))
    for n in range(12):
        q.raw.xadd(q.key("events"), {"e": f"k{n}", "i": "x"}, id=f"5000-{n}")
        q.raw.xadd(keys.FLEET_EVENTS, {"e": f"f{n}"}, id=f"5000-{n}")

    assert kinds(q.run(events.latest([q.queue]))[0]) == [f"k{n}" for n in range(12)]
    followed, _ = q.run(events.follow({}, timeout_s=0.05, queues=[q.queue]))
    assert kinds(followed) == [f"k{n}" for n in range(12)]
    both = kinds(q.run(events.latest(limit=100))[0])
    assert [k for k in both if k[0] == "k"] == [f"k{n}" for n in range(12)]
    assert [k for k in both if k[0] == "f"] == [f"f{n}" for n in range(12)]


def test_what_is_new_is_read_without_waiting(q: QueueDriver) -> None:
    other = q.beside("other")
    q.put_one()
    found, cursors = q.run(events.since({}, [q.queue, "other"]))
    assert kinds(found) == ["enqueued"]
    assert q.run(events.since(cursors, [q.queue, "other"])) == ([], cursors)
    other.put_many(5)
    for task in other.take(5):
        other.complete(task)
    q.take_one()
    found, cursors = q.run(events.since(cursors, [q.queue, "other"], limit=2))
    assert sorted(kinds(found)) == ["claimed", "completed", "completed"]
    assert q.run(events.since(cursors, [q.queue, "other"]))[0] == []


def test_following_goes_on_where_the_reader_left_off(q: QueueDriver) -> None:
    q.put_one()
    _, cursors = q.run(events.latest())
    q.take_one()
    q.put_one()

    found, cursors = q.run(events.follow(cursors, timeout_s=1))
    assert kinds(found) == ["claimed", "enqueued"]
    again, same = q.run(events.follow(cursors, timeout_s=0.02))
    assert (again, same) == ([], cursors)


def test_following_waits_for_the_next_event(live_q: QueueDriver) -> None:
    q = live_q
    q.put_one()
    _, cursors = q.run(events.latest())
    timer = threading.Timer(0.05, q.put_one)
    timer.start()

    found, _ = q.run(events.follow(cursors, timeout_s=10))
    assert kinds(found) == ["enqueued"]
    timer.join()


def test_queues_that_are_new_join_what_is_followed(q: QueueDriver) -> None:
    q.put_one()
    _, cursors = q.run(events.latest())
    q.run(operator.configure_queue("other", {"max_size": 1}, actor="ann"))
    q.run(registry.heartbeat(registry.NodeInfo(node_id="n", host="h", pid=1)))

    found, _ = q.run(events.follow(cursors, timeout_s=1))

    assert {(e.queue, e.kind) for e in found} == {("other", "configured"), ("", "joined")}


def test_a_backlog_is_read_in_bounded_pieces_without_a_gap(q: QueueDriver) -> None:
    q.put_one()
    _, cursors = q.run(events.latest())
    sent = [q.put_one() for _ in range(events.READ_MAX + 100)]
    first, cursors = q.run(events.follow(cursors, timeout_s=1))
    second, _ = q.run(events.follow(cursors, timeout_s=1))

    assert (len(first), len(second)) == (events.READ_MAX, 100)
    assert [e.ids[0] for e in first + second] == sent


def test_every_change_of_a_task_leaves_its_event(q: QueueDriver) -> None:
    def seen() -> list[str]:
        found, _ = q.run(events.latest([q.queue], limit=100))
        q.raw.delete(q.key("events"))
        return kinds(found)

    q.put_many(6)
    tasks = q.take(6)
    assert seen() == ["enqueued", "claimed"]
    q.run(consumer.release([tasks[0]]))
    q.run(consumer.crash(tasks[1], detail={}))
    q.run(consumer.give_back([q.queue], "node.1", started_ids=[tasks[2].id], detail={}))
    assert seen() == ["released", "crashed", "crashed", "released"]
    (task,) = q.take(1, lease_ms=1)
    q.clock.advance(5000)
    q.reclaim()
    assert seen() == ["claimed", "lost"]
    q.fail(q.take_one(), verdict="fatal")
    q.run(operator.requeue([task.id], actor="ann"))
    q.run(operator.cancel([task.id], actor="ann"))
    q.run(operator.discard([task.id], actor="ann"))
    q.run(operator.pause_queue(q.queue, actor="ann"))
    q.run(operator.resume_queue(q.queue, actor="ann"))
    assert seen() == ["claimed", "failed", "requeued", "cancelled", "discarded", "paused", "resumed"]


def test_an_entry_that_cannot_be_read_is_shown_as_it_is(q: QueueDriver) -> None:
    q.put_one()
    q.raw.xadd(q.key("events"), {b"\xff": b"\xff", b"a": b"many"})

    found, _ = q.run(events.latest([q.queue], limit=1))
    assert (kinds(found), found[0].attempt) == (["?"], 0)
