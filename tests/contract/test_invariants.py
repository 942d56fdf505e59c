"""The invariants that one queue can show, and that the function which checks them can fail."""

from __future__ import annotations

import pytest

from tests import invariants
from tests.queue_driver import QueueDriver
from tests.redis_servers import PrivateServer, real_binaries
from tq_core.errors import BrokerRefusedError
from tq_core.model import TaskOptions, TaskState
from tq_core.roles import consumer, maintenance, operator, readiness
from tq_core.roles.producer import new_task

TRASH_KEPT_MS = 16 * 60_000
"""What a person deleted can be brought back for so long."""


def test_after_all_has_run_and_been_trimmed_only_the_queue_itself_is_left(q: QueueDriver) -> None:
    q.put_one()
    q.complete(q.take_one())
    q.run(maintenance.trim([q.queue], keep=0, keep_ms=0))
    baseline = {key for key in q.raw.keys("*") if b":minute:" not in key}

    parent = q.put_one(unique_key="p")
    q.put(new_task("work", {}, options=TaskOptions(depends_on=(parent,)), unique_key="c"))
    q.put_one(delay_s=1, max_attempts=3)
    q.put_many(5, max_attempts=2)
    for _ in range(8):
        q.clock.advance(5_000)
        tasks = q.take(4, lease_ms=1_000)
        for n, task in enumerate(tasks):
            if n == 0:
                q.fail(task, delay_ms=10)
            elif n == 1:
                q.run(consumer.crash(task, detail={}))
            elif n == 2:
                q.complete(task)
        q.run(operator.cancel([task.id for task in tasks[3:]], actor="ann"))
        q.clock.advance(5_000)
        q.reclaim()
    while tasks := q.take(10):
        q.complete(*tasks)
        q.clock.advance(1_000)
        q.run(maintenance.upkeep([q.queue]))
    assert set(q.depths()) <= {"completed", "failed", "cancelled"}
    q.run(operator.purge(q.queue, actor="ann", state=TaskState.FAILED))
    q.clock.advance(TRASH_KEPT_MS)
    for _ in range(2):
        q.run(maintenance.trim([q.queue], keep=0, keep_ms=0))

    left = {key for key in q.raw.keys("*") if b":minute:" not in key}
    left -= {q.key("audit").encode(), q.key("pending").encode(), b"tq:{!fleet}:audit"}
    tokens = {field for key in left if key.endswith(b":tokens") for field in q.raw.hkeys(key)}
    assert tokens <= {b"!"}
    assert left <= baseline
    assert q.raw.hlen(q.key("bodies")) == 0


def test_one_claimer_gets_each_priority_in_the_order_of_arrival(q: QueueDriver) -> None:
    sent = [(n % 3, q.put_one(priority=n % 3)) for n in range(12)]
    back = q.take(4)
    q.run(consumer.release(back))

    served = [q.take_one().id for _ in sent]

    assert served == [task_id for _, task_id in sorted(sent, key=lambda one: one[0])]


def test_a_result_that_was_refused_is_never_read(q: QueueDriver) -> None:
    task_id = q.put_one()
    zombie = q.take_one(lease_ms=1_000)
    q.clock.advance(10_000)
    q.reclaim()

    assert q.complete(zombie, result=b'"of a zombie"') == ["S"]
    assert q.view(task_id).result is None
    assert q.complete(q.take_one(), result=b'"good"') == ["K"]
    assert q.complete(zombie, result=b'"of a zombie"') == ["S"]
    assert q.fail(zombie).word == "stale"
    assert q.view(task_id).result == "good"


@pytest.mark.server
def test_a_broker_that_answers_ping_and_refuses_writes_is_not_ready() -> None:
    server = PrivateServer(real_binaries()[0])
    server.start()
    q = QueueDriver(server.url, has_clock=False)
    try:
        q.run(readiness.check())
        q.raw.config_set("maxmemory", 1)
        q.raw.config_set("maxmemory-policy", "noeviction")
        assert q.raw.ping()
        with pytest.raises(BrokerRefusedError, match="out of memory"):
            q.run(readiness.check())
    finally:
        q.close()
        server.remove()


def test_every_invariant_is_seen_to_be_broken(damaged_q: QueueDriver) -> None:
    q = damaged_q
    first, second = q.put_many(2, max_attempts=2)
    q.complete(q.take_one())
    assert invariants.check(q, accepted=[first, second], runs={first: 1}) == []

    assert invariants.check(q, accepted=[first, "gone"]) == ["I2: 1 accepted tasks are gone: ['gone']"]
    assert any("I9" in wrong for wrong in invariants.check(q, runs={first: 2}))
    assert any("I9" in wrong for wrong in invariants.check(q, runs={second: 1}))
    q.raw.hincrby(q.key("counters"), "completed", 1)
    assert any(wrong.startswith("I5: completed") for wrong in invariants.check(q))
    q.raw.hset(q.key("trail"), second, "3|0|0|0|0")
    assert any(wrong.startswith("I4") for wrong in invariants.check(q))
    q.raw.xadd(q.key("events"), {"e": "failed", "i": first})
    assert any(wrong.startswith("I3") for wrong in invariants.check(q))
    child = q.put_one(options=TaskOptions(depends_on=(second,)))
    q.raw.xadd(q.key("events"), {"e": "claimed", "i": child})
    assert any(wrong.startswith("I11") for wrong in invariants.check(q))
    q.raw.zrem(q.key("pending"), second)
    assert any(wrong.startswith("audit: in_no_state") for wrong in invariants.check(q))
