"""The fault table: one fault at a time around real nodes and a server of their own, each with what it may cost.

Deaths of workers are in test_crashes.py, lost answers in test_lost_answers.py, outages in test_broker_outage.py; here
is the rest. Every test ends with all invariants (`Site.close`).
"""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.daemon.site import Site
from tests.faulty_proxy import FaultyProxy
from tests.queue_driver import QueueDriver
from tests.redis_servers import PrivateServer
from tests.waiting import wait_until
from tq_core.errors import BrokerError, BrokerRefusedError
from tq_core.roles import producer
from tq_core.transport.runner import SyncRunner

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SKEW = """
import time
real = time.time
time.time = lambda: real() + {seconds}
"""


@pytest.fixture
def server(new_redis_server: Callable[..., PrivateServer]) -> PrivateServer:
    return new_redis_server(is_durable=True)


@pytest.fixture
def proxy(server: PrivateServer) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def site(server: PrivateServer, proxy: FaultyProxy, tmp_path: Path) -> Iterator[Site]:
    assert proxy.port
    site = Site(server.tcp_url, tmp_path)
    yield site
    server.start()
    site.close()


def test_a_worker_that_is_killed_while_it_is_idle_costs_nothing(site: Site) -> None:
    node = site.started("--lease", "60")
    os.kill(site.worker_of(node).pid, signal.SIGKILL)

    assert site.ended(site.put("count", n=1)).result == 2
    assert site.counters() == {"enqueued": 1, "completed": 1}


def test_a_broker_killed_under_load_with_everysec_loses_no_more_than_two_seconds(
    site: Site, server: PrivateServer
) -> None:
    site.driver.raw.config_set("appendfsync", "everysec")
    site.started("--lease", "2", "--slots", "8")
    told: list[tuple[float, str]] = []

    def produce() -> None:
        runner = SyncRunner(site.driver.endpoint, retry_for_s=0)
        try:
            while True:
                task = producer.new_task("count", {"n": 1}, max_attempts=1)
                told.append((time.monotonic(), runner.run(producer.enqueue_one("default", task))))
        except BrokerError:
            runner.close()

    thread = threading.Thread(target=produce)
    thread.start()
    wait_until(lambda: len(told) > 500, 20, "some load")
    killed_at = time.monotonic()
    server.kill()
    thread.join(20)
    server.start()
    back_at = time.monotonic()

    kept = {i.decode() for i in site.driver.raw.hkeys(site.driver.key("bodies"))}
    lost = [task_id for at, task_id in told if task_id not in kept and at < killed_at - 2]
    assert lost == []
    site.accepted = {task_id for _, task_id in told if task_id in kept}
    assert site.ended(site.put("count", n=1)).state == "completed"
    assert time.monotonic() - back_at < 5
    assert set(site.all_ended(60)) == {"completed"}


def test_a_replica_that_takes_over_runs_what_was_rolled_back_and_ends_nothing_twice(
    site: Site, server: PrivateServer, proxy: FaultyProxy, new_redis_server: Callable[..., PrivateServer]
) -> None:
    replica = new_redis_server()
    other = QueueDriver(replica.tcp_url, queue="default", has_clock=False)
    other.raw.execute_command("REPLICAOF", "127.0.0.1", server.port)
    wait_until(lambda: other.raw.info("replication")["master_link_status"] == "up", 10, "the replica to follow")
    gate = site.gate()
    node = site.started("--url", proxy.url, "--lease", "3", "--slots", "4")
    early = site.put_many("count", 20)
    site.all_ended()
    site.command(node, "pause")
    held = [site.put("wait", gate=str(gate)) for _ in range(3)]
    site.driver.raw.execute_command("WAIT", 1, 5000)
    # From here on the replica hears nothing: the claims that follow never were, where it takes over.
    other.raw.execute_command("REPLICAOF", "NO", "ONE")
    site.command(node, "resume")
    for task_id in held:
        site.wait_started(task_id)
    assert other.depths() == {"completed": len(early), "pending": len(held)}
    proxy.switch(replica.port)
    gate.touch()

    def all_done() -> bool:
        return other.depths() == {"completed": len(early) + len(held)}

    wait_until(all_done, 20, f"all to complete on the replica: {other.depths()}")
    assert [site.runs_of(task_id) for task_id in held] == [2, 2, 2], "what was rolled back runs again"
    assert other.findings() == []
    assert other.counter("completed") == len(early) + len(held)
    assert [other.view(task_id).failures for task_id in held] == [0, 0, 0]
    site.is_audited = False  # the old primary is nobody's any more
    other.close()


def test_a_full_disk_costs_no_result(site: Site, server: PrivateServer) -> None:
    site.driver.raw.config_set("appendfsync", "everysec")
    site.driver.raw.config_set("auto-aof-rewrite-percentage", 0)
    gate = site.gate()
    node = site.started("--lease", "60", "--slots", "4")
    ids = [site.put("wait", gate=str(gate)) for _ in range(4)]
    for task_id in ids:
        site.wait_started(task_id)
    size = max(path.stat().st_size for path in server.folder.rglob("*.aof*"))
    hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, hard))

    def is_refusing() -> bool:
        try:
            site.driver.raw.set("tq:probe", "x")
        except Exception as error:  # noqa: BLE001 - whatever redis-py makes of it
            return "MISCONF" in str(error) or "MISCONF" in type(error).__name__
        return False

    wait_until(is_refusing, 20, "the server to refuse writes")
    with pytest.raises(BrokerRefusedError, match="cannot save to its disk"):
        SyncRunner(site.driver.endpoint, retry_for_s=0).run(
            producer.enqueue("default", [producer.new_task("count", {"n": 1})])
        )
    gate.touch()
    wait_until(lambda: [word for word, _, _ in site.trace()].count("end") == 4, 10, "the handlers to end")
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (hard, hard))

    assert site.all_ended(30) == {"completed": 4}
    assert site.runs() == dict.fromkeys(ids, 1)
    assert node.process.poll() is None


def test_a_broker_out_of_memory_refuses_new_tasks_and_drains(site: Site) -> None:
    site.put_many("count", 100)
    site.driver.raw.config_set("maxmemory", 1)
    site.driver.raw.config_set("maxmemory-policy", "noeviction")
    site.start("--slots", "8")

    with pytest.raises(BrokerRefusedError, match="out of memory"):
        site.put("count", n=1)
    assert site.all_ended(30) == {"completed": 100}
    site.driver.raw.config_set("maxmemory", 0)
    assert site.ended(site.put("count", n=1)).state == "completed"


def test_a_slow_network_that_cuts_connections_costs_no_task(site: Site, proxy: FaultyProxy) -> None:
    site.started("--url", proxy.url, "--lease", "20", "--slots", "8")
    proxy.latency_s, proxy.reset_share = 0.1, 0.03
    ids = site.put_many("count", 200)

    assert site.all_ended(60) == {"completed": 200}
    proxy.latency_s = proxy.reset_share = 0.0
    assert set(site.runs()) == set(ids)
    assert site.counters()["completed"] == 200


def test_a_network_that_swallows_everything_is_left_when_it_is_back(site: Site, proxy: FaultyProxy) -> None:
    gate = site.gate()
    node = site.started("--url", proxy.url, "--lease", "60")
    task_id = site.put("wait", gate=str(gate))
    site.wait_started(task_id)
    proxy.is_black_hole = True
    gate.touch()
    wait_until(lambda: "end" in [word for word, _, _ in site.trace()], 10, "the handler to end")
    wait_until(lambda: "trying again" in node.log, 30, "the node to notice")
    proxy.is_black_hole = False
    proxy.cut_all()

    assert site.ended(task_id, 40).state == "completed"
    assert site.runs_of(task_id) == 1


def test_a_broker_that_pauses_for_longer_than_the_leases_makes_no_storm(site: Site) -> None:
    total, slots = 60, 10
    site.started("--lease", "1", "--heartbeat", "0.3", "--slots", str(slots))
    site.put_many("wait_then_count", total, seconds=0.2)
    wait_until(lambda: len(site.trace()) > 10, 10, "some to run")

    site.driver.raw.execute_command("CLIENT", "PAUSE", 3000)

    assert site.all_ended(40) == {"completed": total}
    assert sum(site.runs().values()) <= total + slots
    assert site.counters()["completed"] == total


def test_a_broker_that_evicts_keys_never_crashes_a_node(site: Site) -> None:
    node = site.started("--slots", "4", "--lease", "2")
    raw = site.driver.raw
    raw.config_set("maxmemory-policy", "allkeys-lru")
    site.put_many("count", 300)
    for share in (0.9, 0.7):
        raw.config_set("maxmemory", int(raw.info("memory")["used_memory"] * share))
        wait_until(lambda: raw.info("stats")["evicted_keys"] > 0, 10, "keys to be evicted")
        raw.config_set("maxmemory", 0)
    raw.config_set("maxmemory-policy", "noeviction")
    site.is_audited = False  # whole structures are gone, each without the others

    late = site.put("count", n=1)
    wait_until(lambda: site.runs_of(late) == 1, 20, f"a new task to run: {node.log}")
    assert node.process.poll() is None


def test_flushed_scripts_and_killed_connections_cost_nothing(site: Site) -> None:
    site.started("--lease", "30", "--slots", "6")
    ids = site.put_many("wait_then_count", 80, seconds=0.05)
    for _ in range(6):
        before = len(site.trace())
        site.driver.raw.script_flush()
        site.driver.raw.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        wait_until(lambda: len(site.trace()) > before or len(site.trace()) == 80, 10, "work to go on")  # noqa: B023 - asked in this turn

    assert site.all_ended(30) == {"completed": 80}
    assert set(site.runs()) == set(ids)


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_the_clock_of_a_node_does_not_matter(site: Site, tmp_path: Path, seconds: int) -> None:
    folder = tmp_path / "skew"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SKEW.format(seconds=seconds))
    skewed = site.started("--lease", "2", "--slots", "4", env={"PYTHONPATH": str(folder)})
    site.started("--lease", "2", "--slots", "4")
    ids = site.put_many("wait_then_count", 30, seconds=0.1)
    later = site.put_with({"delay_s": 0.5}, "count", n=1)

    assert site.all_ended(30) == {"completed": 31}
    assert site.runs() == dict.fromkeys([*ids, later], 1)
    assert "lost" not in site.counters()
    hours = {line[:13] for line in skewed.log.splitlines() if "T" in line[:13]}
    assert datetime.now(UTC).strftime("%Y-%m-%dT%H") not in hours, "its clock was right"


def test_what_a_handler_does_to_itself_is_its_own_end_alone(site: Site) -> None:
    node = site.started("--slots", "4", "--drain-timeout", "1")
    much = site.ended(site.put("return_much", n_bytes=40_000_000))
    memory = site.ended(site.put("use_up_memory"))
    assert (much.state, much.error and much.error["reason"]) == ("failed", "bad_result")
    assert (memory.state, memory.error and memory.error["type"]) == ("failed", "MemoryError")

    deaf = site.put("ignore_sigterm", gate=str(site.gate()))
    site.wait_started(deaf)
    node.signal(signal.SIGTERM)
    assert node.wait() == 0
    assert site.view(deaf).state == "pending"
    assert site.driver.counter("released") == 1


def test_a_rolling_restart_under_load_burns_no_attempt(site: Site) -> None:
    options = ("--slots", "6", "--drain-timeout", "5")
    nodes = [site.started(*options) for _ in range(3)]
    ids: list[str] = []
    for _ in range(3):
        ids += site.put_many("wait_then_count", 60, seconds=0.05)
        nodes.append(site.started(*options))
        oldest = nodes.pop(0)
        oldest.signal(signal.SIGTERM)
        assert oldest.wait() == 0

    assert site.all_ended(60) == {"completed": len(ids)}
    assert site.runs() == dict.fromkeys(ids, 1)
    assert {k: v for k, v in site.counters().items() if k != "released"} == {
        "enqueued": len(ids),
        "completed": len(ids),
    }
