"""A server that is killed and comes back: what was accepted is there, and every queue is consistent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.queue_driver import QueueDriver
from tests.redis_servers import ContractServer, PrivateServer, contract_servers
from tests.waiting import wait_until
from tq_core.errors import BrokerError
from tq_core.roles import consumer, producer
from tq_core.roles.consumer import Ack
from tq_core.roles.producer import new_task
from tq_core.transport.runner import SyncRunner

pytestmark = pytest.mark.server

REAL = [s for s in contract_servers() if s.binary is not None]


@pytest.fixture(params=REAL, ids=lambda server: server.name)
def durable(request: pytest.FixtureRequest) -> Iterator[PrivateServer]:
    """A server that writes each change to its append-only file before it answers."""
    server: ContractServer = request.param
    request.node.user_properties.append(("tq_server", server.name))
    assert server.binary is not None
    private = PrivateServer(server.binary, is_durable=True)
    private.start()
    yield private
    private.remove()


class Traffic:
    """Producers and workers that go on until the server is gone, and remember what they were told."""

    def __init__(self, url: str, threads: int) -> None:
        self.accepted: set[str] = set()
        self.completed: set[str] = set()
        self._endpoint = QueueDriver(url, has_clock=False).endpoint
        self._threads = [threading.Thread(target=self._work, args=(n,)) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(30)

    def _work(self, n: int) -> None:
        runner = SyncRunner(self._endpoint, retry_for_s=0)
        try:
            while True:
                tasks = [new_task("work", {"n": n}, unique_key=f"{n}-{i}" if i % 2 else None) for i in range(4)]
                outcomes = runner.run(producer.enqueue("mail", tasks))
                self.accepted |= {o.task_id for o in outcomes if o.is_new}
                nonce = consumer.new_nonce()
                claimed = runner.run(consumer.claim("mail", worker_id=f"node.{n}", nonce=nonce, limit=3)).tasks
                if n % 2:
                    runner.run(consumer.release(claimed[:1]))
                words = runner.run(consumer.complete("mail", [Ack(t, b"1", 1) for t in claimed]))
                self.completed |= {t.id for t, word in zip(claimed, words, strict=True) if word == "K"}
        except BrokerError:
            runner.close()


def drain(q: QueueDriver) -> None:
    """What is left of dead workers is given back, and everything runs to its end."""
    for n in range(4):
        q.run(consumer.give_back([q.queue], f"node.{n}", started_ids=(), detail={}))
    while tasks := q.take(100):
        assert set(q.complete(*tasks)) == {"K"}


def test_nothing_that_was_acknowledged_is_lost_when_the_server_is_killed(durable: PrivateServer) -> None:
    traffic = Traffic(durable.url, threads=4)
    wait_until(lambda: len(traffic.completed) > 300, 20, "some traffic")
    durable.kill()
    traffic.join()
    durable.start()
    q = QueueDriver(durable.url, has_clock=False)

    assert q.findings() == []
    kept = {i.decode() for i in q.raw.hkeys(q.key("bodies"))}
    assert traffic.accepted <= kept
    assert traffic.completed <= {i.decode() for i in q.raw.zrange(q.key("completed"), 0, -1)}
    drain(q)
    assert q.findings() == []
    assert q.depths() == {"completed": len(kept)}
    q.close()


@pytest.mark.parametrize("cut_bytes", [1, 37, 300, 1111])
def test_a_torn_end_of_the_append_only_file_never_leaves_half_a_step(durable: PrivateServer, cut_bytes: int) -> None:
    traffic = Traffic(durable.url, threads=2)
    wait_until(lambda: len(traffic.completed) > 30, 20, "some traffic")
    durable.kill()
    traffic.join()
    newest = max(aof_files(durable.folder), key=lambda path: (path.stat().st_mtime_ns, path.name))
    with newest.open("r+b") as file:
        file.truncate(newest.stat().st_size - cut_bytes)
    durable.start()
    q = QueueDriver(durable.url, has_clock=False)

    assert q.findings() == []
    drain(q)
    assert q.findings() == []
    assert q.depths().keys() == {"completed"}
    q.close()


def aof_files(folder: Path) -> list[Path]:
    """The files that hold changes: one before Redis 7, base and increments since."""
    return [p for p in folder.rglob("*.aof*") if p.suffix != ".manifest" and p.stat().st_size > 5000]


def test_a_restart_without_persistence_is_an_empty_queue_and_no_error(durable: PrivateServer) -> None:
    q = QueueDriver(durable.url, has_clock=False)
    q.raw.config_set("appendonly", "no")
    q.put_many(3)
    first, second, third = q.take(3)
    durable.stop()
    for path in aof_files(durable.folder):
        path.unlink()
    for path in durable.folder.rglob("*.aof*"):
        path.unlink()
    durable.start()

    assert q.complete(first) == ["G"]
    assert q.fail(second).word == "gone"
    assert q.run(consumer.extend([(q.queue, third.id, third.token)])).lost_ids == (third.id,)
    new = q.put_one()
    assert q.take_one().id == new
    assert q.findings() == []
    q.close()
