"""Every key that tq has, damaged by a stranger: readers answer, nothing is lost for good, and the queue goes on.

The keys are those of the legend in `tq_core.keyspace.keys`, so a new one is tried without a word here.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.contract.test_audit import a_busy_queue
from tests.queue_driver import QueueDriver
from tq_core.errors import BrokerError, TqError
from tq_core.keyspace import keys
from tq_core.model import TaskOptions, TaskState
from tq_core.query.query import parse_query
from tq_core.roles import (
    audit,
    browser,
    consumer,
    doctor,
    ends,
    events,
    inspector,
    maintenance,
    operator,
    producer,
    readiness,
    registry,
    schedules,
    search,
)
from tq_core.roles.why import in_words
from tq_core.transport.steps import Flow

LEGEND = re.findall(r"^    (tq:\S+) +(ZSET|HASH|LIST|STREAM|STRING) ", keys.__doc__ or "", re.MULTILINE)
JUNK = (b"\xff\xfe\x00 junk", b"", b"-1|x", b"9" * 40, b"[" * 200, b"!9~", b'{"id": 1}', b"a>b", b"a b")


def names_of(written: str, q: QueueDriver) -> list[str]:
    """The keys that a line of the legend stands for, of the queue and the node that the test has."""
    now_ms = q.clock.now_ms
    filled = written.replace("{mail}", f"{{{q.queue}}}").replace("NODE", "node").replace("COMMAND", "command")
    filled = filled.replace("minute:N", f"minute:{now_ms // 60_000}").replace("CLIENT", "client")
    head, _, last = filled.rpartition(":")
    return [f"{head}:{name}" for name in last.split("|")]


@pytest.fixture
def busy(redis_url: str) -> Iterator[tuple[QueueDriver, dict[str, str]]]:
    """A queue with a task in each state, and whatever else there is a key for."""
    q = QueueDriver(redis_url)
    ids = a_busy_queue(q)
    q.run(registry.publish_types([registry.PublishedType(name="work", queue=q.queue)]))
    q.run(registry.heartbeat(registry.NodeInfo(node_id="node", host="h", pid=1, queues=(q.queue,))))
    q.run(registry.heartbeat(registry.WorkerInfo(worker_id="node.1", node_id="node", pid=2)))
    q.run(registry.send_command("node", "pause", actor="ann"))
    q.run(registry.acknowledge("command", registry.Ack(ok=True)))
    q.run(operator.pause_queue(q.queue, actor="ann"))
    q.run(operator.resume_queue(q.queue, actor="ann"))
    q.run(schedules.pause(q.run(schedules.find("hourly")), actor="ann"))
    q.run(schedules.add(schedules.new_schedule("often", "work", queue=q.queue, every_s=60), actor="ann"))
    q.run(ends.watch(q.queue, "client", [ids["running"], ids["blocked"]]))
    q.run(readiness.check())
    other = QueueDriver(redis_url, queue="other")
    other.runner, other.raw, other.clock = q.runner, q.raw, q.clock
    other.put_one()
    yield q, ids
    q.close()


def readers(q: QueueDriver, ids: dict[str, str]) -> dict[str, Callable[[], Flow[Any]]]:
    """Every read there is, by name."""
    return {
        "stats": inspector.stats,
        "list": inspector.list_tasks,
        "show": lambda: inspector.show(list(ids.values())),
        "search": lambda: search.find(None, tuple(TaskState), parse_query("type:*x*"), limit=50, look_max=10_000),
        "groups": inspector.groups,
        **{f"window {s}": lambda s=s: browser.window([q.queue, "other"], s) for s in TaskState},  # type: ignore[misc]
        "schedules": schedules.schedules,
        "due": lambda: schedules.due([q.queue]),
        "types": registry.published_types,
        "fleet": registry.fleet,
        "numbers": registry.queue_numbers,
        "latest": events.latest,
        "audit log": operator.audit_log,
        "audit": audit.audit,
        "doctor": doctor.examine,
        "ready": readiness.check,
        **{f"why {state}": lambda i=i: explained(i) for state, i in ids.items()},  # type: ignore[misc]
    }


BLOCKING: dict[str, Callable[[], Flow[Any]]] = {
    "events": lambda: events.follow({}, timeout_s=0.001),
    "inbox:NODE": lambda: registry.next_command("node", timeout_s=0.01),
    "ack:COMMAND": lambda: registry.await_ack("command", timeout_s=0.01),
    "answers:CLIENT": lambda: ends.next_ended("mail", "client", timeout_s=0.01),
}
"""What waits for something that a stranger wrote; a server takes a tenth of a second to notice that a wait is over."""


def explained(task_id: str) -> Flow[str]:
    task = yield from inspector.show_one(task_id)
    return (yield from in_words(task))


def read_all(q: QueueDriver, ids: dict[str, str], written: str) -> dict[str, str]:
    """Reads everything; returns what was refused, by a typed error. Anything else that is raised fails the test."""
    refused = {}
    waiting = {name: flow for name, flow in BLOCKING.items() if written.endswith(name)}
    for name, flow in {**readers(q, ids), **waiting}.items():
        try:
            q.run(flow())
        except TqError as error:
            refused[name] = error.code
    return refused


def work(q: QueueDriver) -> None:
    """One round of all that programs, workers, upkeep and operators do; each may be refused by a typed error."""
    tries: list[Callable[[], Any]] = [
        lambda: q.put(producer.new_task("work", {}, unique_key="new")),
        lambda: q.put_one(delay_s=1),
        lambda: q.put(producer.new_task("work", {}, options=TaskOptions(depends_on=(q.put_one(),)))),
        lambda: q.run(maintenance.upkeep([q.queue])),
        lambda: q.run(schedules.tick([q.queue])),
        lambda: q.complete(*q.take(2)),
        lambda: q.fail(q.take_one(), verdict="fatal"),
        lambda: q.fail(q.take_one(), delay_ms=1),
        lambda: q.run(consumer.crash(q.take_one(), detail={})),
        lambda: q.run(consumer.release(q.take(2))),
        lambda: q.run(consumer.give_back([q.queue], "node.1", started_ids=(), detail={})),
        lambda: q.run(operator.requeue_all(q.queue, actor="ann")),
        lambda: q.run(registry.heartbeat(registry.NodeInfo(node_id="node", host="h", pid=1))),
        lambda: q.run(registry.register_queue("third")),
        lambda: q.run(registry.forget_lost()),
    ]
    for one in tries:
        with contextlib.suppress(TqError, ValueError):  # ValueError: there was no task to take
            one()
    q.clock.advance(120_000)


def drain(q: QueueDriver) -> None:
    """Runs everything to its end, as workers and upkeep do."""
    for _ in range(12):
        q.clock.advance(120_000)
        q.run(maintenance.upkeep([q.queue]))
        while tasks := q.take(50):
            q.complete(*tasks)


@pytest.mark.parametrize(("written", "kind"), LEGEND, ids=[key for key, _ in LEGEND])
def test_a_key_of_the_wrong_type_stops_no_other_queue_and_loses_no_task(
    busy: tuple[QueueDriver, dict[str, str]], written: str, kind: str
) -> None:
    q, ids = busy
    names = names_of(written, q)
    for name in names:
        if q.raw.exists(name):
            q.raw.rename(name, "aside:" + name)
        if kind == "STRING":
            q.raw.rpush(name, "junk")
        else:
            q.raw.set(name, b"\xff junk")
    before = {i.decode() for i in q.raw.hkeys(q.key("bodies"))} if "bodies" not in written else set()

    read_all(q, ids, written)
    for _ in range(3):
        work(q)
    if q.raw.type(keys.QUEUES) == b"hash":
        (task,) = q.run(consumer.claim("other", worker_id="n.1", nonce="aa", limit=1)).tasks
        assert q.run(consumer.complete("other", [consumer.Ack(task, b"1", 1)])) == ["K"]

    for name in names:
        q.raw.delete(name)
        if q.raw.exists("aside:" + name):
            q.raw.rename("aside:" + name, name)
    after = {i.decode() for i in q.raw.hkeys(q.key("bodies"))}
    assert before <= after
    assert not [finding for finding in q.findings() if finding[0] in {"in_no_state", "two_states"}]
    late = q.put_one()
    drain(q)
    assert q.state(late) is TaskState.COMPLETED


@pytest.mark.parametrize(("written", "kind"), LEGEND, ids=[key for key, _ in LEGEND])
def test_junk_in_a_key_costs_at_most_what_it_stands_for(
    busy: tuple[QueueDriver, dict[str, str]], written: str, kind: str
) -> None:
    q, ids = busy
    for name in names_of(written, q):
        spoil(q, name, kind)

    refused = read_all(q, ids, written)
    for _ in range(2):
        work(q)
    read_all(q, ids, written)

    # Without its number in the register no task of the queue can be found by its id.
    assert set(refused.values()) <= ({"not_found"} if written == keys.QUEUES else set()), refused
    late = q.put_one()
    drain(q)
    assert q.state(late) is TaskState.COMPLETED
    (task,) = q.run(consumer.claim("other", worker_id="n.1", nonce="aa", limit=1)).tasks
    assert q.run(consumer.complete("other", [consumer.Ack(task, b"1", 1)])) == ["K"]


def spoil(q: QueueDriver, name: str, kind: str) -> None:
    """Puts junk beside what a key holds, and into the values that it holds."""
    raw = q.raw
    if kind == "ZSET":
        raw.zadd(name, dict(zip(JUNK, (0, -1, 1, 5, 2**60, 1e300, -1e300, 3, 4), strict=True)))
        raw.zadd(name, {"inf": "inf", "-inf": "-inf"})
    elif kind == "HASH":
        # A queue whose own number or sequences are gone takes nothing more, as with a key of the wrong type.
        known = raw.hkeys(name) if name not in {q.key("meta"), q.key("counters")} else []
        for n, field in enumerate(known):
            raw.hset(name, field, JUNK[n % len(JUNK)])
        raw.hset(name, mapping={junk: junk for junk in JUNK})
    elif kind == "LIST":
        raw.lpush(name, *JUNK)
    elif kind == "STREAM":
        for junk in JUNK:
            raw.xadd(name, {junk: junk, "e": junk, "i": junk, "a": junk, "at": junk, "n": junk})
    else:
        raw.set(name, JUNK[0])


def test_the_legend_is_read_whole() -> None:
    assert len(LEGEND) > 30
    lines = [line for line in (keys.__doc__ or "").splitlines() if line.startswith("    tq:")]
    assert len(lines) == len(LEGEND)


def test_a_typed_error_names_the_broker(busy: tuple[QueueDriver, dict[str, str]]) -> None:
    q, _ = busy
    q.raw.delete(q.key("meta"))
    q.raw.set(q.key("meta"), "junk")
    with pytest.raises(BrokerError, match=r"answered with an error: .*WRONGTYPE"):
        q.claim()
