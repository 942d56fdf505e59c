"""A server at its memory limit: nothing new comes in, and all that is there drains."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.queue_driver import QueueDriver
from tests.redis_servers import ContractServer, PrivateServer, contract_servers
from tests.waiting import wait_until
from tq_core.errors import BrokerRefusedError, WaitTimeoutError
from tq_core.model import TaskOptions, TaskState
from tq_core.roles import consumer, ends, inspector, maintenance, operator, registry, schedules
from tq_core.roles.producer import new_task

pytestmark = pytest.mark.server

REAL = [s for s in contract_servers() if s.binary is not None]
TASKS = 400


@pytest.fixture(params=REAL, ids=lambda server: server.name)
def full_q(request: pytest.FixtureRequest) -> Iterator[QueueDriver]:
    """A queue with TASKS waiting tasks on a server that then was told to take no more memory."""
    server: ContractServer = request.param
    request.node.user_properties.append(("tq_server", server.name))
    assert server.binary is not None
    private = PrivateServer(server.binary)
    private.start()
    driver = QueueDriver(private.url, has_clock=False)
    try:
        driver.run(registry.heartbeat(registry.NodeInfo(node_id="node", host="h", pid=1)))
        driver.put_many(TASKS, max_attempts=3)
        driver.put_one(delay_s=0.001)
        driver.raw.config_set("maxmemory-policy", "noeviction")
        driver.raw.config_set("maxmemory", 1)
        yield driver
        driver.raw.config_set("maxmemory", 0)
        assert driver.findings() == []
    finally:
        driver.close()
        private.remove()


def everything(q: QueueDriver) -> dict[bytes, bytes]:
    return {key: q.raw.dump(key) for key in q.raw.keys("*")}


def test_new_tasks_are_refused_whole_and_without_a_trace(full_q: QueueDriver) -> None:
    q = full_q
    before = everything(q)

    for tasks in (
        [new_task("work", {})],
        [new_task("work", {}, unique_key="k"), new_task("work", {}, delay_s=5), new_task("work", {}, name="n")],
    ):
        with pytest.raises(BrokerRefusedError, match="is out of memory and takes no new tasks"):
            q.put(*tasks)
    assert everything(q) == before


def test_everything_that_is_there_drains(full_q: QueueDriver) -> None:
    q = full_q
    completed, retried, failed, released, unknown, crashed, company, lost = q.take(8, lease_ms=1)

    assert q.complete(completed, result=b'"' + b"x" * 1000 + b'"') == ["K"]
    assert q.fail(retried, delay_ms=1).word == "retrying"
    assert q.fail(failed, verdict="fatal").word == "failed"
    extended = q.run(consumer.extend([(q.queue, t.id, t.token) for t in (lost, crashed)], lease_ms=1))
    assert extended == consumer.Extended()
    assert q.run(consumer.release([released])) == ["pending"]
    assert q.run(consumer.release_unknown([unknown], delay_ms=1)) == ["retrying"]
    assert q.run(consumer.crash(crashed, detail={"a": 1})).word == "pending"
    given = q.run(consumer.give_back([q.queue], "none", started_ids=[company.id], detail={}))
    assert given == consumer.GivenBack(0, ())
    assert set(q.reclaim(grace_ms=-60_000)) == {company.id, lost.id}
    while tasks := q.take(50):
        assert set(q.complete(*tasks)) == {"K"}
    q.run(maintenance.promote([q.queue]))
    while tasks := q.take(50):
        assert set(q.complete(*tasks)) == {"K"}

    assert q.depths() == {"completed": TASKS, "failed": 1}
    assert q.run(maintenance.trim([q.queue], keep=10)) == TASKS - 10


def test_what_has_expired_is_cleared_away(full_q: QueueDriver) -> None:
    q = full_q
    q.raw.config_set("maxmemory", 0)
    timed = TaskOptions(expires_in_s=0.001)
    q.put(*[new_task("work", {}, priority=0, unique_key=str(n), options=timed) for n in range(5)])
    q.raw.config_set("maxmemory", 1)

    def are_gone() -> bool:
        q.take_one()
        return q.counter("expired") == 5

    wait_until(are_gone, timeout_s=5, what="five to expire")

    assert q.depths()["cancelled"] == 5


def test_stale_writes_are_answered_as_stale_not_as_errors(full_q: QueueDriver) -> None:
    q = full_q
    first, second = q.take(2)
    q.run(consumer.release([first, second]))

    assert q.complete(first) == ["S"]
    assert q.fail(second).word == "stale"
    assert q.run(consumer.crash(first, detail={})).word == "stale"
    assert q.run(consumer.extend([(q.queue, first.id, first.token)])).lost_ids == (first.id,)


def test_operators_can_still_act(full_q: QueueDriver) -> None:
    q = full_q
    running = q.take_one(worker_id="node.1")
    (waiting,) = q.run(inspector.page(q.queue, TaskState.PENDING, limit=1)).tasks

    done = q.run(operator.cancel([running.id, waiting.id], actor="ann"))
    assert [d.word for d in done] == ["asked", "cancelled"]
    command = q.command_for("node")
    assert command is not None
    assert command.do == "kill_task"
    q.run(registry.acknowledge(command.id, registry.Ack(ok=True)))
    assert q.run(registry.await_ack(command.id, timeout_s=1)) == registry.Ack(ok=True)
    assert q.run(operator.pause_queue(q.queue, actor="ann"))
    assert q.run(operator.resume_queue(q.queue, actor="ann"))
    q.run(operator.configure_queue(q.queue, {"keep_completed": 5}, actor="ann"))
    assert q.run(operator.purge(q.queue, actor="ann")).done >= TASKS - 2
    written = {a.action for a in q.run(operator.audit_log())}
    assert written == {"cancel", "kill_task", "pause", "resume", "configure", "purge"}


def test_a_redrive_is_refused_whole(full_q: QueueDriver) -> None:
    q = full_q
    task = q.take_one()
    q.fail(task, verdict="fatal")
    before = everything(q)

    with pytest.raises(BrokerRefusedError, match="out of memory"):
        q.run(operator.requeue([task.id], actor="ann"))
    with pytest.raises(BrokerRefusedError, match="out of memory"):
        q.run(operator.requeue_all(q.queue, actor="ann"))
    assert everything(q) == before


def test_workers_can_start_and_stay_visible(full_q: QueueDriver) -> None:
    q = full_q
    q.run(registry.publish_types([registry.PublishedType(name="work", queue=q.queue)]))
    assert q.run(registry.register_queue(q.queue)) == 1
    q.run(registry.heartbeat(registry.NodeInfo(node_id="node", host="h", pid=1, state="paused")))
    q.run(registry.heartbeat(registry.WorkerInfo(worker_id="node.1", node_id="node", pid=2)))

    fleet = q.run(registry.fleet())
    assert [m.health for m in (*fleet.nodes, *fleet.workers)] == ["live", "live"]
    q.run(registry.depart("node", ["node"]))
    assert q.run(registry.fleet()).nodes == ()


def test_a_schedule_does_not_fire_and_stays_due(full_q: QueueDriver) -> None:
    q = full_q
    declared = [schedules.new_schedule("tidy", "work", queue=q.queue, every_s=60)]
    q.run(schedules.declare(declared, is_start=True))
    q.run(schedules.declare(declared, is_start=True))
    q.raw.config_set("maxmemory", 0)
    q.raw.zadd(q.key("fires"), {"tidy": 60_000})
    q.raw.config_set("maxmemory", 1)
    before = everything(q)

    with pytest.raises(BrokerRefusedError, match="out of memory"):
        q.run(schedules.tick([q.queue]))

    assert everything(q) == before
    (view,) = q.run(schedules.schedules())
    with pytest.raises(BrokerRefusedError, match="out of memory"):
        q.run(schedules.run_now(view, actor="ann"))
    assert q.run(schedules.pause(view, actor="ann"))
    assert q.run(schedules.resume(view, actor="ann"))
    q.run(schedules.remove(view, actor="ann", is_forced=True))


def test_reads_work(full_q: QueueDriver) -> None:
    q = full_q
    assert q.depths()["pending"] == TASKS
    assert q.findings() == []


def test_the_queue_takes_tasks_again_once_there_is_room(full_q: QueueDriver) -> None:
    q = full_q
    with pytest.raises(BrokerRefusedError):
        q.put_one()
    q.raw.config_set("maxmemory", 0)

    assert q.state(q.put_one()) is TaskState.PENDING


def test_tasks_that_wait_for_others_are_released_or_ended_all_the_same(full_q: QueueDriver) -> None:
    q = full_q
    good, bad = q.take(2)
    q.raw.config_set("maxmemory", 0)
    q.put(
        *(new_task("work", {}, name=f"after-{i}", options=TaskOptions(depends_on=(good.id,))) for i in range(50)),
        *(new_task("work", {}, name=f"never-{i}", options=TaskOptions(depends_on=(bad.id,))) for i in range(50)),
    )
    q.raw.config_set("maxmemory", 1)

    assert q.complete(good) == ["K"]
    q.fail(bad, verdict="fatal")

    assert q.state("after-49@mail") is TaskState.PENDING
    assert q.state("never-49@mail") is TaskState.FAILED
    assert "blocked" not in q.depths()


def test_a_result_can_still_be_waited_for(full_q: QueueDriver) -> None:
    q = full_q
    first, second = q.take(2)

    def end_it() -> None:
        other = QueueDriver(q.url, has_clock=False)
        other.complete(first)
        other.close()

    with pytest.raises(WaitTimeoutError):
        q.run(ends.wait(second.id, timeout_s=0.05))
    worker = threading.Thread(target=end_it)
    worker.start()
    assert q.run(ends.wait(first.id, timeout_s=10)).state is TaskState.COMPLETED
    worker.join()
