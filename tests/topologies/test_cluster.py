"""A real cluster: queues on several nodes, nodes that die, slots that move, answers that are lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.daemon.site import Site
from tests.faulty_proxy import FaultyProxy
from tests.queue_driver import QueueDriver
from tests.topologies.servers import Cluster, client
from tests.waiting import wait_until
from tq_core.errors import BrokerConfigError, BrokerUnreachableError
from tq_core.keyspace import keys, script_loader
from tq_core.model import TaskState
from tq_core.roles import consumer, events, inspector, producer, registry, waking
from tq_core.transport import connection
from tq_core.transport.async_cluster import AsyncClusterClient
from tq_core.transport.cluster import ClusterClient
from tq_core.transport.cluster_slots import Place, slot_of
from tq_core.transport.connection import Endpoint
from tq_core.transport.runner import AsyncRunner, SyncRunner
from tq_core.transport.steps import Batch, Command, Flow, Script, Step
from tq_core.transport.together import together

pytestmark = [pytest.mark.server, pytest.mark.slow]

T = TypeVar("T")
QUEUES = [f"q{n}" for n in range(9)]
RunOf = Callable[..., Callable[[Flow[Any]], Any]]


@pytest.fixture(params=["sync", "async"])
def run_of(request: pytest.FixtureRequest) -> Iterator[RunOf]:
    """Makes what runs a flow: by each of the two runners."""
    ends: list[Callable[[], object]] = []

    def make(endpoint: Endpoint, *, retry_for_s: float = 10.0) -> Callable[[Flow[Any]], Any]:
        if request.param == "sync":
            sync = SyncRunner(endpoint, retry_for_s=retry_for_s)
            ends.append(sync.close)
            return sync.run
        loop, runner = asyncio.Runner(), AsyncRunner(endpoint, retry_for_s=retry_for_s)
        ends.append(loop.close)
        return lambda flow: loop.run(runner.run(flow))

    yield make
    for end in ends:
        end()


def claim(queue: str, nonce: str = "aaaa", limit: int = 2) -> Flow[consumer.Claim]:
    return consumer.claim(queue, worker_id="n.1", nonce=nonce, limit=limit)


def alone(step: Step) -> Flow[Any]:
    return (yield step)


def test_queues_of_every_node_are_asked_in_one_batch_and_waited_for_together(cluster: Cluster, run_of: RunOf) -> None:
    run = run_of(connection.endpoint(cluster.url, display="c"))
    assert len({cluster.server_of_slot(slot_of(keys.queue_prefix(q))).port for q in QUEUES}) == 3
    for n, queue in enumerate(QUEUES):
        run(producer.enqueue(queue, [producer.new_task("work", {})] * (n + 1)))

    assert [s.depths[TaskState.PENDING] for s in run(inspector.stats(QUEUES))] == list(range(1, 10))
    echoed = run(alone(Batch([Command(("HGET", keys.queue_prefix(q) + "meta", "number")) for q in QUEUES])))
    assert [int(number) for number in echoed] == list(range(1, 10))
    found, cursors = run(events.follow({}, timeout_s=5))
    while len({e.queue for e in found}) < len(QUEUES):
        more, cursors = run(events.follow(cursors, timeout_s=5))
        found += more
    assert len(found) == len(QUEUES)

    for queue in QUEUES:
        assert run(waking.wait_for_work([queue], timeout_s=0.01)) in (queue, None)
    assert run(waking.wait_for_work(QUEUES, timeout_s=0.01)) is None
    run(waking.pass_on(QUEUES[-1]))
    assert run(waking.wait_for_work(QUEUES, timeout_s=5)) == QUEUES[-1]
    assert run(registry.await_ack("nobody", timeout_s=0.02)) is None


def test_one_node_of_it_by_a_plain_address_says_what_to_write(cluster: Cluster) -> None:
    for server in cluster.servers:
        runner = SyncRunner(connection.endpoint(server.tcp_url, display="redis://node"))
        with pytest.raises(BrokerConfigError, match=r"redis://node is one node of a cluster .*write redis\+cluster://"):
            runner.run(together([inspector.stats(QUEUES)]))
        runner.close()


def test_a_slot_that_moves_is_waited_for_and_never_seen_by_halves(cluster: Cluster, run_of: RunOf) -> None:
    q = QueueDriver(cluster.url, has_clock=False)
    sent = q.put_many(10)
    slot = slot_of(keys.queue_prefix("mail"))
    source = cluster.server_of_slot(slot)
    target = next(server for server in cluster.servers if server is not source)
    patient = run_of(connection.endpoint(cluster.url, display="c"))
    hasty = run_of(connection.endpoint(cluster.url, display="c"), retry_for_s=0.2)
    assert len(patient(claim("mail", "aaaa", 3)).tasks) == 3

    with client(source) as old, client(target) as new:
        new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", cluster.id_of(source))
        old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", cluster.id_of(target))
        names = old.execute_command("CLUSTER GETKEYSINSLOT", slot, 100)
        half = len(names) // 2
        for name in names[:half]:
            old.execute_command("MIGRATE", "127.0.0.1", target.port, name, 0, 5000)
        for flow in (claim("mail", "bbbb"), producer.enqueue("mail", [producer.new_task("work", {})])):
            with pytest.raises(BrokerUnreachableError, match="the slot is being moved"):
                hasty(flow)
        for name in names[half:]:
            old.execute_command("MIGRATE", "127.0.0.1", target.port, name, 0, 5000)
        for one in (new, old):
            one.execute_command("CLUSTER SETSLOT", slot, "NODE", cluster.id_of(target))

    tasks = patient(claim("mail", "cccc", 99)).tasks
    assert [t.id for t in tasks] == sent[3:]
    assert q.depths() == {"running": 10}
    assert q.findings() == []
    q.close()


def test_a_primary_that_dies_is_followed_by_its_replica(replicated_cluster: Cluster, run_of: RunOf) -> None:
    cluster = replicated_cluster
    run = run_of(connection.endpoint(cluster.url, display="c"), retry_for_s=30.0)
    for queue in QUEUES:
        run(producer.enqueue(queue, [producer.new_task("work", {})]))
    for server in cluster.servers[:3]:
        with client(server) as one:
            assert one.execute_command("WAIT", 1, 5000) == 1
    cluster.servers[0].kill()

    # Not a claim first: it is not sent again on a connection that broke.
    for queue in QUEUES:
        run(producer.enqueue(queue, [producer.new_task("work", {})]))
    assert [len(run(claim(queue, limit=9)).tasks) for queue in QUEUES] == [2] * len(QUEUES)


@pytest.fixture
def proxies(cluster: Cluster) -> Iterator[dict[int, FaultyProxy]]:
    """A proxy before each node, by the node's port."""
    made = {server.port: FaultyProxy(server.port) for server in cluster.servers}
    yield made
    for proxy in made.values():
        proxy.close()
        assert proxy.unused_rules == []


def through(cluster: Cluster, proxies: dict[int, FaultyProxy]) -> Endpoint:
    """The cluster's endpoint, each node behind its proxy."""
    seeds = [Place("127.0.0.1", server.port) for server in cluster.servers]

    def node(place: Place) -> Endpoint:
        return connection.endpoint(proxies[place.port].url, display="c")

    def open_async(timeout_s: float, is_shared: bool) -> Any:
        return AsyncClusterClient(seeds, lambda place: node(place).open_async(timeout_s, is_shared))

    def open_sync(timeout_s: float) -> Any:
        return ClusterClient(seeds, lambda place: node(place).open_sync(timeout_s))

    return Endpoint(display="c", open_async=open_async, open_sync=open_sync, is_cluster=True)


def test_what_is_sent_again_and_what_never_is(cluster: Cluster, proxies: dict[int, FaultyProxy], run_of: RunOf) -> None:
    run = run_of(through(cluster, proxies))
    by_node: dict[int, str] = {}
    for queue in QUEUES:
        run(producer.enqueue(queue, [producer.new_task("work", {})] * 4))
        assert run(claim(queue, "warm", 1)).tasks
        by_node.setdefault(cluster.server_of_slot(slot_of(keys.queue_prefix(queue))).port, queue)
    (port, mail), (other_port, other), _ = by_node.items()
    proxy = proxies[port]
    sha = {name: script_loader.source(name).sha.encode() for name in ("claim", "enqueue")}
    for one in proxies.values():
        one._requests.clear()

    # An answer that is lost: a claim is found by its nonce, an enqueue is sent again and accepted once.
    proxy.lose_answer(sha["claim"])
    with pytest.raises(BrokerUnreachableError):
        run(claim(mail, "cafe", 1))
    assert proxy.count(sha["claim"]) == 1
    assert run(consumer.release_claim(mail, "cafe")) == 1
    proxy.lose_answer(sha["enqueue"])
    (sent,) = run(producer.enqueue(mail, [producer.new_task("work", {}, name="once")]))
    assert (sent.is_new, proxy.count(sha["enqueue"])) == (False, 2)

    # Answers that say that nothing was done: even a claim is sent again.
    for answer in (
        b"-MOVED 1 127.0.0.1:%d\r\n" % other_port,
        b"-ASK 1 127.0.0.1:%d\r\n" % other_port,
        b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
        b"-CLUSTERDOWN The cluster is down\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n",
    ):
        before = proxy.count(sha["claim"])
        proxy.answer(sha["claim"], answer)
        assert len(run(claim(mail, "beef", 1)).tasks) == 1, answer
        assert proxy.count(sha["claim"]) == before + 2
        run(consumer.release_claim(mail, "beef"))

    # Two claims in one batch, on two nodes: one was done, so neither is sent again.
    steps: list[Script | Command] = [
        consumer.claim_step(q, worker_id="n.1", nonce="f00d", limit=1) for q in (mail, other)
    ]
    proxy.answer(sha["claim"], b"-CLUSTERDOWN The cluster is down\r\n")
    before = proxies[other_port].count(sha["claim"])
    with pytest.raises(BrokerUnreachableError):
        run(alone(Batch(steps)))
    assert proxies[other_port].count(sha["claim"]) == before + 1
    assert [run(consumer.release_claim(q, "f00d")) for q in (mail, other)] == [0, 1]

    # A redirection of one of two in a batch: that one alone goes out again, and the answers keep their order.
    proxy.answer(sha["claim"], b"-MOVED 1 127.0.0.1:%d\r\n" % other_port)
    first, second = run(alone(Batch(steps)))
    assert proxies[other_port].count(sha["claim"]) == before + 2
    assert [len(consumer.decode_claim(q, r).tasks) for q, r in ((mail, first), (other, second))] == [1, 1]


def test_nodes_serve_queues_on_every_shard_and_survive_the_loss_of_a_primary(
    replicated_cluster: Cluster, tmp_path: Path
) -> None:
    site = Site(replicated_cluster.url, tmp_path)
    queues = ["default", *QUEUES]
    try:
        for _ in range(2):
            site.started("--queues", ",".join(queues), "--slots", "4")
        first = [site.put("count", queue=queue, n=1) for queue in queues for _ in range(3)]
        for task_id in first:
            assert site.ended(task_id).state == "completed"
        for server in replicated_cluster.servers[:3]:
            with client(server) as one:
                assert one.execute_command("WAIT", 1, 5000) == 1

        replicated_cluster.servers[1].kill()
        site.driver.close()
        site.driver = QueueDriver(replicated_cluster.url, queue="default", has_clock=False)
        patient = SyncRunner(site.driver.endpoint, retry_for_s=30.0)
        task = producer.new_task("count", {"n": 1}, max_attempts=3)
        second = [patient.run(producer.enqueue_one(queue, task)) for queue in queues for _ in range(3)]
        patient.close()
        for task_id in second:
            wait_until(lambda i=task_id: site.view(i).state == "completed", 40, site.logs())  # type: ignore[misc]
        assert all(site.view(task_id).state == "completed" for task_id in first)
    finally:
        site.close()
