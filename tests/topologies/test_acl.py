"""Redis users with the least that a role needs: each can do its work, and is refused the rest in words that help."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.queue_driver import QueueDriver
from tests.redis_servers import ContractServer, PrivateServer, contract_servers
from tq_core.errors import BrokerRefusedError, InvalidInputError
from tq_core.keyspace import keys
from tq_core.model import TaskOptions, TaskState
from tq_core.roles import (
    audit,
    consumer,
    ends,
    events,
    family,
    history,
    inspector,
    jobs,
    limits,
    maintenance,
    operator,
    outbox,
    producer,
    registry,
    schedules,
    undo,
    waking,
)
from tq_core.roles.acl import Role, acl_line
from tq_core.roles.registry import NodeInfo
from tq_core.roles.why import in_words
from tq_core.roles.workload import workload
from tq_core.transport.steps import Command, Flow

pytestmark = pytest.mark.server

REAL = [s for s in contract_servers() if s.binary is not None]
UserOf = Callable[..., QueueDriver]


@pytest.fixture(scope="module", params=REAL, ids=lambda server: server.name)
def server(request: pytest.FixtureRequest) -> Iterator[PrivateServer]:
    """A server whose users may change."""
    contract: ContractServer = request.param
    assert contract.binary is not None
    private = PrivateServer(contract.binary)
    private.start()
    yield private
    private.remove()


@pytest.fixture
def admin(server: PrivateServer) -> Iterator[QueueDriver]:
    """Who may do everything; what the users leave behind is audited."""
    server.flush()
    driver = QueueDriver(server.url, has_clock=False)
    yield driver
    assert driver.findings() == []
    driver.close()


@pytest.fixture
def user(server: PrivateServer, admin: QueueDriver) -> Iterator[UserOf]:
    """Makes a user by the line that `tq broker acl` prints, and logs in with it over TCP."""
    made: list[QueueDriver] = []

    def make(role: Role, *queues: str) -> QueueDriver:
        line = acl_line(role, role.value, queues=queues)
        admin.raw.execute_command(*line.split(), ">secret")
        url = f"redis://{role.value}:secret@127.0.0.1:{server.port}/0"
        made.append(QueueDriver(url, has_clock=False))
        return made[-1]

    yield make
    for driver in made:
        driver.close()


def one(*args: str) -> Flow[object]:
    return (yield Command(args))


def test_a_producer_enqueues_and_sees_results_and_reaches_no_node(user: UserOf, admin: QueueDriver) -> None:
    shop = user(Role.PRODUCER)

    (first,) = shop.put(producer.new_task("work", {}, unique_key="u", delay_s=0.001))
    (second,) = shop.put(producer.new_task("work", {}))
    shop.put(producer.new_task("work", {}, options=TaskOptions(depends_on=(second.task_id,))))
    assert shop.view(first.task_id).unique_key == "u"
    assert shop.run(registry.published_types()) == {}
    assert shop.run(ends.watch("mail", "client", [second.task_id])) == []
    admin.complete(admin.take_one())
    assert shop.run(ends.next_ended("mail", "client", timeout_s=5)) == second.task_id

    for refused in (
        registry.heartbeat(NodeInfo(node_id="n", host="h", pid=1)),
        registry.send_command("n", "stop", actor="shop"),
        registry.forget_lost(),
        one("GET", "other"),
        one("KEYS", "*"),
        one("CONFIG", "GET", "*"),
        one("FLUSHALL"),
    ):
        with pytest.raises(BrokerRefusedError, match=r"does not allow this user to do that .*`tq broker acl"):
            shop.run(refused)
    assert len(admin.raw.keys("tq:{!fleet}*")) == 0


def test_a_producer_of_one_queue_reaches_no_other(user: UserOf, admin: QueueDriver) -> None:
    shop = user(Role.PRODUCER, "mail")
    shop.put_one()

    with pytest.raises(BrokerRefusedError):
        shop.run(producer.enqueue("other", [producer.new_task("work", {})]))
    assert admin.raw.keys("tq:{other}*") == []


def test_a_worker_runs_tasks_and_looks_after_queues(user: UserOf, admin: QueueDriver) -> None:
    worker = user(Role.WORKER)
    worker.run(registry.register_queue("mail"))
    worker.run(registry.publish_types([registry.PublishedType(name="work", queue="mail")]))
    worker.run(registry.heartbeat(NodeInfo(node_id="n", host="h", pid=1, queues=("mail",))))
    assert worker.run(registry.nodes_by_queue()) == {"mail": 1}
    admin.put_many(6)
    assert [load.ready for load in worker.run(workload(["mail"]))] == [6]

    good, bad, again, back, gone, _ = worker.take(6)
    assert worker.complete(good) == ["K"]
    assert worker.fail(bad, verdict="fatal").word == "failed"
    assert worker.fail(again, delay_ms=0).word == "retrying"
    worker.run(consumer.release([back]))
    worker.run(consumer.crash(gone, detail={}))
    worker.run(consumer.extend([("mail", back.id, back.token)]))
    worker.run(consumer.give_back(["mail"], "node.1", started_ids=[], detail={}))
    worker.run(maintenance.upkeep(["mail"]))
    worker.run(schedules.tick(["mail"]))
    worker.run(waking.wait_for_work(["mail"], timeout_s=0.01))
    worker.run(waking.pass_on("mail"))
    worker.put_one()
    command = admin.run(registry.send_command("n", "pause", actor="ann"))
    assert worker.command_for("n") is not None
    worker.run(registry.acknowledge(command, registry.Ack(ok=True)))
    worker.run(registry.depart("node", ["n"]))

    for refused in (one("GET", "other"), one("FLUSHALL"), one("DEL", "other"), one("ACL", "WHOAMI")):
        with pytest.raises(BrokerRefusedError):
            worker.run(refused)


def test_a_viewer_reads_everything_and_writes_nothing(user: UserOf, admin: QueueDriver) -> None:
    task_id = admin.put_one()
    admin.put_one()
    task = admin.take_one()
    admin.fail(task, verdict="fatal")
    before = sorted(admin.raw.keys("*"))
    viewer = user(Role.VIEWER)

    assert viewer.view(task_id).id == task_id
    assert viewer.depths() == {"failed": 1, "pending": 1}
    assert viewer.run(inspector.groups(["mail"])).groups
    assert viewer.run(events.latest())[0]
    viewer.run(events.follow({}, timeout_s=0.01))
    assert viewer.run(operator.audit_log(["mail"])) == []
    assert viewer.run(registry.fleet()).nodes == ()
    assert viewer.run(schedules.schedules(["mail"])) == []
    assert viewer.run(history.past(["mail"], minutes=15, step=1))[0].steps
    assert viewer.run(in_words(viewer.view(task_id)))
    assert viewer.run(family.tree(task_id)).is_whole
    assert viewer.run(jobs.jobs()) == []
    assert viewer.run(undo.undoable()) == []
    assert viewer.run(limits.read("mail")).keys == {}

    for refused in (
        producer.enqueue("mail", [producer.new_task("work", {})]),
        producer.enqueue("new", [producer.new_task("work", {})]),
        operator.pause_queue("mail", actor="ann"),
        operator.cancel([task_id], actor="ann"),
        operator.requeue([task.id], actor="ann"),
        consumer.claim("mail", worker_id="n.1", nonce="aaaa", limit=1),
        one("HSET", keys.QUEUES, "a", "1"),
        one("DEL", keys.QUEUES),
    ):
        with pytest.raises(BrokerRefusedError, match=r"does not allow this user to do that .*`tq broker acl"):
            viewer.run(refused)
    assert sorted(admin.raw.keys("*")) == before


def test_upkeep_and_audit_reach_what_waits_for_other_queues_and_what_is_undone(
    user: UserOf, admin: QueueDriver
) -> None:
    other = admin.beside("files")
    parent = other.put_one()
    (child,) = admin.put(producer.new_task("work", {}, options=TaskOptions(depends_on=(parent,))))
    worker, steward = user(Role.WORKER), user(Role.OPERATOR)

    assert worker.run(outbox.ask_again("mail")) == 0
    other.complete(other.take_one())
    assert worker.run(outbox.deliver(["files"])) == 1
    job_id = steward.run(jobs.start(["mail"], jobs.Job(action="delete", states=(TaskState.PENDING,), by="ann")))
    assert not worker.run(jobs.advance("mail", job_id))
    assert steward.run(undo.undo(job_id, actor="ann")).done == 1
    assert steward.run(family.tree(child.task_id)).is_whole
    assert steward.run(audit.audit()) == []


def test_names_that_would_change_the_line_are_refused() -> None:
    for user_name in ("", "a b", "a\n", "a >x", "ä"):
        with pytest.raises(InvalidInputError):
            acl_line(Role.VIEWER, user_name)
    with pytest.raises(InvalidInputError):
        acl_line(Role.VIEWER, "v", queues=["a b"])
