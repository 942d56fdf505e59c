"""`tq doctor`: everything that it can find is made true here, and is found; what is well is not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.queue_driver import QueueDriver
from tests.redis_servers import ContractServer, PrivateServer, contract_servers
from tq_core.keyspace import keys, script_loader
from tq_core.model import TaskOptions
from tq_core.roles import doctor, limits, operator, registry
from tq_core.roles.doctor import CODES, Finding
from tq_core.roles.registry import Fleet, Member, NodeInfo

MINUTE_MS = 60_000
HOUR_MS = 3_600_000


def examine(q: QueueDriver, **options: Any) -> list[Finding]:
    return q.run(doctor.examine(**options))


def codes(findings: list[Finding]) -> set[str]:
    """What is wrong, but for what depends on how the test's server was started, or on this machine's load."""
    return {f.code for f in findings} - {"not_told", "not_persistent", "slow_broker", "slow_script", "fragmented"}


def beat(q: QueueDriver, node_id: str = "node-a", **more: Any) -> None:
    """A node that serves the queue."""
    said: dict[str, Any] = {"queues": ("mail",), "types": ("work",), "started_at_ms": q.clock.now_ms, **more}
    q.run(registry.heartbeat(NodeInfo(node_id=node_id, host="h", pid=1, **said)))


def test_a_broker_in_order_has_no_findings(q: QueueDriver) -> None:
    beat(q)
    q.put_many(3)
    q.complete(q.take_one())

    assert codes(examine(q)) == set()


def test_an_empty_broker_has_no_findings_and_stays_empty(q: QueueDriver) -> None:
    assert codes(examine(q)) == set()
    assert q.raw.keys("*") == []


def no_worker(q: QueueDriver) -> None:
    q.put_one()


def no_handler(q: QueueDriver) -> None:
    beat(q, types=("other",))
    q.put_one()


def paused_long(q: QueueDriver) -> None:
    beat(q)
    q.put_one()
    q.run(operator.pause_queue(q.queue, actor="ann", why="upgrade"))
    q.clock.advance(doctor.PAUSED_LONG_MS + 1)
    beat(q)


def leases_overdue(q: QueueDriver) -> None:
    q.put_one()
    q.take_one(lease_ms=1000)
    q.clock.advance(1000 + doctor.OVERDUE_MS)


def untold(q: QueueDriver) -> None:
    at_ms = q.clock.now_ms - doctor.UNTOLD_MS - 1
    q.put_one()
    q.complete(q.take_one())
    q.raw.zadd(q.key("outbox"), {f'{{"kind":"of a newer version","id":1,"at":{at_ms}}}': at_ms})


def ghosts(q: QueueDriver) -> None:
    beat(q)
    q.raw.hdel(q.key("bodies"), q.put_one())


def dlq_full(q: QueueDriver) -> None:
    q.put_many(2)
    for task in q.take(2):
        q.fail(task, verdict="fatal")
    q.run(operator.configure_queue(q.queue, {"keep_failed": 2}, actor="ann"))


def dlq_nearly_full(q: QueueDriver) -> None:
    dlq_full(q)
    q.put_many(8)
    q.run(operator.configure_queue(q.queue, {"keep_failed": 11}, actor="ann"))
    for task in q.take(8):
        q.fail(task, verdict="fatal")


def queue_full(q: QueueDriver) -> None:
    beat(q)
    q.put_many(2)
    q.run(operator.configure_queue(q.queue, {"max_size": 2}, actor="ann"))


def breaker_open(q: QueueDriver) -> None:
    beat(q)
    q.run(limits.set_breaker(q.queue, "work", limits.Breaker(), actor="ann"))
    q.run(limits.open_breaker(q.queue, "work", actor="ann"))


def held_long(q: QueueDriver) -> None:
    q.run(limits.set_limits(q.queue, {"key_running": 1}, actor="ann"))
    q.put_many(3, options=TaskOptions(limit_key="a|b"))
    q.take(3, lease_ms=5 * HOUR_MS)
    q.clock.advance(2 * HOUR_MS)
    beat(q)


def large_payloads(q: QueueDriver) -> None:
    beat(q)
    q.put_one({"text": "x" * doctor.LARGE_BYTES})


def schema_too_new(q: QueueDriver) -> None:
    q.run(registry.register_queue(q.queue))
    q.raw.hset(q.key("meta"), "schema", keys.SCHEMA_VERSION + 1)


def schema_old(q: QueueDriver) -> None:
    q.run(registry.register_queue(q.queue))
    q.raw.hset(q.key("meta"), "schema", keys.SCHEMA_VERSION - 1)


def number_conflict(q: QueueDriver) -> None:
    q.run(registry.register_queue(q.queue))
    q.raw.hset(keys.QUEUES, q.queue, 77)


def node_lost(q: QueueDriver) -> None:
    beat(q)
    q.clock.advance(registry.LOST_AFTER_MS + 1)


def node_late(q: QueueDriver) -> None:
    beat(q)
    q.clock.advance(registry.LATE_AFTER_MS + 1)


def node_unreadable(q: QueueDriver) -> None:
    beat(q)
    q.raw.hset(keys.FLEET + "info:node", "node-a", "{")


def crash_loop(q: QueueDriver) -> None:
    beat(q, restarts=9, started_at_ms=q.clock.now_ms - 10 * MINUTE_MS)


def nodes_paused(q: QueueDriver) -> None:
    beat(q, state="paused")
    beat(q, "node-b", state="draining")
    q.put_many(2)


def versions_differ(q: QueueDriver) -> None:
    beat(q, code_version="1")
    beat(q, "node-b", code_version="2")


def inbox_grows(q: QueueDriver) -> None:
    beat(q)
    for _ in range(doctor.INBOX_MAX + 1):
        q.run(registry.send_command("node-a", "stacks", actor="ann"))


IN_REDIS = (
    *(no_worker, no_handler, paused_long, leases_overdue, untold, ghosts, dlq_full, dlq_nearly_full, queue_full),
    *(large_payloads, schema_too_new, schema_old, number_conflict, node_lost, node_late, node_unreadable, crash_loop),
    *(versions_differ, inbox_grows, nodes_paused, breaker_open, held_long),
)


def test_a_limit_of_a_whole_queue_that_holds_back_for_long_is_found(q: QueueDriver) -> None:
    q.run(limits.set_limits(q.queue, {"running": 1}, actor="ann"))
    q.put_many(3)
    q.take(3, lease_ms=5 * HOUR_MS)
    beat(q)
    assert not {"held_long"} & codes(examine(q))
    q.clock.advance(2 * HOUR_MS)
    beat(q)

    (finding,) = [f for f in examine(q) if f.code == "held_long"]

    assert finding.severity == "warning"
    assert "its limit (running)" in finding.what


@pytest.mark.parametrize("make", IN_REDIS, ids=lambda make: make.__name__)
def test_what_is_wrong_in_a_queue_or_a_fleet_is_found_alone(
    damaged_q: QueueDriver, make: Callable[[QueueDriver], None]
) -> None:
    make(damaged_q)

    found = examine(damaged_q)

    assert codes(found) == {make.__name__}
    (finding,) = [f for f in found if f.code == make.__name__]
    assert finding.subject in {"mail", "node-a"}
    assert finding.cure


WELL = {
    "redis_version": "7.0.15",
    "role": "master",
    "maxmemory_policy": "noeviction",
    "maxmemory": 1000,
    "used_memory": 100,
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
    "rdb_last_bgsave_status": "ok",
}
SAID: dict[str, dict[str, Any]] = {
    "eviction": {"maxmemory_policy": "allkeys-lru"},
    "not_persistent": {"aof_enabled": 0},
    "disk_failed": {"rdb_last_bgsave_status": "err"},
    "memory_nearly_full": {"used_memory": 850},
    "fragmented": {"maxmemory": 0, "used_memory": 200 * 2**20, "used_memory_rss": 400 * 2**20},
    "version_too_old": {"redis_version": "6.0.1"},
    "replica": {"role": "slave"},
    "not_told": {"maxmemory_policy": ""},
}


def test_a_server_that_is_well_has_no_findings() -> None:
    assert doctor.judge_server(WELL) == []


@pytest.mark.parametrize("code", SAID)
def test_what_the_server_says_of_itself_is_judged(code: str) -> None:
    assert [f.code for f in doctor.judge_server({**WELL, **SAID[code]})] == [code]


def test_clocks_and_round_trips_are_measured(q: QueueDriver) -> None:
    assert "clock_skew" in codes(examine(q, wall_clock=lambda: time.time() - 9))
    slow = iter(range(1000))
    assert "slow_broker" in {f.code for f in examine(q, stopwatch=lambda: float(next(slow)))}


def test_a_slow_script_is_found_by_its_digest() -> None:
    sha = script_loader.source("claim").sha.encode()
    slow, quick = doctor.SLOW_SCRIPT_MS * 1000, doctor.SLOW_SCRIPT_MS * 1000 - 1
    log = [
        [3, 1, slow, [b"EVALSHA", sha, b"1"], b"", b""],
        [2, 1, slow + 5000, [b"EVALSHA", sha, b"1"], b"", b""],
        [1, 1, slow, [b"KEYS", b"*"], b"", b""],
        [0, 1, quick, [b"EVALSHA", script_loader.source("fail").sha.encode()], b"", b""],
        [],
        None,
    ]

    (finding,) = doctor.judge_slow_log(log)
    assert (finding.code, finding.subject) == ("slow_script", "claim")
    assert "55 ms" in finding.what


def test_results_that_go_before_their_time_are_a_note(q: QueueDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "KEPT", 2)
    q.put_many(2)
    q.complete(*q.take(2))

    (finding,) = [f for f in examine(q) if f.code == "results_short_lived"]
    assert finding.severity == doctor.NOTE


def test_every_code_is_proved_here() -> None:
    proved = {make.__name__ for make in IN_REDIS} | set(SAID)
    assert proved | {"clock_skew", "slow_broker", "slow_script", "results_short_lived"} == set(CODES)


def test_a_node_that_says_why_its_workers_do_not_stay_is_quoted() -> None:
    info = NodeInfo(node_id="a", host="h", pid=1, trouble="the last worker cannot run: no module 'app'", restarts=99)
    fleet = Fleet(now_ms=1, nodes=(Member(id="a", seen_at_ms=0, silent_ms=0, info=info),), workers=())

    (finding,) = doctor.judge_fleet(fleet)

    assert (finding.code, finding.severity) == ("crash_loop", doctor.PROBLEM)
    assert finding.what == "node a cannot keep its workers: the last worker cannot run: no module 'app'"


def test_a_lost_node_is_not_compared_with_the_living() -> None:
    def node(name: str, silent_ms: int) -> Member:
        info = NodeInfo(node_id=name, host="h", pid=1, queues=("mail",), code_version=name)
        return Member(id=name, seen_at_ms=0, silent_ms=silent_ms, info=info)

    fleet = Fleet(now_ms=10**9, nodes=(node("a", 0), node("b", 10**6)), workers=())
    assert [f.code for f in doctor.judge_fleet(fleet)] == ["node_lost"]


def test_the_sample_is_bounded(q: QueueDriver) -> None:
    beat(q, types=("other",))
    q.put_many(doctor.SAMPLE + 50)

    (finding,) = [f for f in examine(q) if f.code == "no_handler"]
    assert f"({doctor.SAMPLE} of the next {doctor.SAMPLE})" in finding.what


@pytest.fixture(params=[s for s in contract_servers() if s.binary], ids=lambda server: server.name)
def server(request: pytest.FixtureRequest) -> Iterator[PrivateServer]:
    """A server of the test alone."""
    chosen: ContractServer = request.param
    request.node.user_properties.append(("tq_server", chosen.name))
    assert chosen.binary is not None
    private = PrivateServer(chosen.binary)
    private.start()
    yield private
    private.remove()


@pytest.mark.server
def test_a_real_server_is_judged_by_what_it_says(server: PrivateServer) -> None:
    q = QueueDriver(server.url, has_clock=False)
    try:
        q.raw.config_set("maxmemory-policy", "allkeys-lru")
        q.raw.config_set("slowlog-log-slower-than", 0)
        assert {"eviction"} <= codes(examine(q))
        assert not [f for f in examine(q) if f.code == "not_told"]
    finally:
        q.close()


@pytest.mark.server
def test_a_server_that_forbids_to_look_is_a_note(server: PrivateServer) -> None:
    q = QueueDriver(server.url, has_clock=False)
    try:
        q.raw.execute_command("ACL", "SETUSER", "default", "-info", "-slowlog")
        assert [(f.subject, f.severity) for f in examine(q)] == [("INFO", "note"), ("SLOWLOG", "note")]
    finally:
        q.close()
