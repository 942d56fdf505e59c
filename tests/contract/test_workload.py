"""What could run now in a queue, and what cannot and why."""

from __future__ import annotations

from tests.queue_driver import QueueDriver
from tq_core.keyspace import keys
from tq_core.model import TaskOptions
from tq_core.roles import limits, operator
from tq_core.roles.limits import Rate
from tq_core.roles.workload import Workload, workload


def seen(q: QueueDriver) -> Workload:
    (found,) = q.run(workload([q.queue]))
    return found


def test_an_empty_queue_has_nothing_to_do(q: QueueDriver) -> None:
    assert seen(q) == Workload(queue="mail")
    assert seen(q).claimable == 0
    assert q.run(workload([])) == []


def test_what_is_ready_is_told_with_how_long_it_has_waited(q: QueueDriver) -> None:
    parent = q.put_one()
    q.put_one(options=TaskOptions(depends_on=(parent,)))
    q.put_one(delay_s=60)
    q.clock.advance(5000)
    q.put_many(2)

    load = seen(q)

    assert (load.ready, load.wait_ms, load.later, load.waiting, load.held) == (3, 5000, 1, 1, 0)
    assert load.claimable == 3
    q.clock.advance(60_000)
    assert (seen(q).ready, seen(q).later) == (4, 0)


def test_a_paused_queue_has_nothing_that_could_run(q: QueueDriver) -> None:
    q.put_many(3)
    q.run(operator.pause_queue(q.queue, actor="ann"))

    load = seen(q)

    assert (load.ready, load.wait_ms, load.claimable, load.paused) == (0, 0, 0, 3)


def test_limits_say_how_much_room_there_is(q: QueueDriver) -> None:
    q.run(limits.set_limits(q.queue, {"running": 2}, actor="ann"))
    q.put_many(5)
    assert seen(q).claimable == 2
    q.take_one()
    assert seen(q).claimable == 1
    q.take(5)
    assert seen(q).claimable == 0

    q.run(limits.set_limits(q.queue, {"running": None, "rate": Rate.parse("3/s")}, actor="ann"))
    assert seen(q).claimable == 3


def test_what_a_key_holds_back_is_not_ready(q: QueueDriver) -> None:
    q.run(limits.set_limits(q.queue, {"key_running": 1}, actor="ann"))
    for _ in range(3):
        q.put_one(options=TaskOptions(limit_key="acme"))
    q.take(3)

    load = seen(q)

    assert (load.ready, load.held, load.waiting) == (0, 2, 0)


def test_what_a_newer_version_wrote_is_nothing_to_do(q: QueueDriver) -> None:
    q.put_one()
    q.raw.hset(q.key("meta"), "schema", keys.SCHEMA_VERSION + 1)
    found = seen(q)
    assert (found.ready, found.claimable, found.newer) == (0, 0, 1)
