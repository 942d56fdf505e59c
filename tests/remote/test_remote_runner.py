"""Flows that run through a gateway do what they do beside Redis, and no more than their key may."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.queue_driver import QueueDriver
from tests.remote.relay import Relay
from tq_core.errors import BrokerConfigError, BrokerError, BrokerRefusedError, BrokerUnreachableError
from tq_core.keyspace import keys, script_loader
from tq_core.model import TaskState
from tq_core.roles import browser, doctor, ends, inspector, operator, producer, readiness, registry, undo
from tq_core.roles.acl import Role
from tq_core.roles.remote_access import CommandRefusedError, steps_of
from tq_core.transport import connection
from tq_core.transport.remote import wire
from tq_core.transport.remote.answers import gateway_address
from tq_core.transport.remote.clients import GatewayClient
from tq_core.transport.runner import AsyncRunner, SyncRunner
from tq_core.transport.steps import Batch, Command, Flow, Script

ACTOR = "ana@remote"
pytestmark = pytest.mark.server


@pytest.fixture
def q(redis_url: str) -> Iterator[QueueDriver]:
    driver = QueueDriver(redis_url, has_clock=False)
    yield driver
    driver.close()


@pytest.fixture
def relay(q: QueueDriver) -> Iterator[Relay]:
    found = Relay(q.url)
    yield found
    found.close()


@pytest.fixture
def remote(relay: Relay) -> Iterator[SyncRunner]:
    runner = SyncRunner(connection.endpoint(relay.url, display=relay.url), retry_for_s=0.2)
    yield runner
    runner.close()


def sent(steps: list[Any]) -> Flow[list[Any]]:
    replies: list[Any] = yield Batch(steps)
    return replies


def test_everything_that_operators_do_works_from_afar(q: QueueDriver, remote: SyncRunner) -> None:
    task = producer.new_task("work", {"n": 1, "text": "ü\0"})
    task_id = remote.run(producer.enqueue_one("mail", task))
    others = [e.task_id for e in remote.run(producer.enqueue("mail", [producer.new_task("work", {})] * 3))]
    assert q.depths() == {"pending": 4}

    assert remote.run(inspector.show_one(task_id)).args == {"n": 1, "text": "ü\0"}
    (numbers,) = remote.run(inspector.stats(["mail"]))
    assert numbers.depths[TaskState.PENDING] == 4
    assert [row.task.id for row in remote.run(browser.window(["mail"], TaskState.PENDING, from_there=9)).rows] == [
        task_id,
        *others,
    ]
    assert {f.code for f in remote.run(doctor.examine())} >= {f.code for f in q.run(doctor.examine())}
    assert remote.run(readiness.check()).problems == q.run(readiness.check()).problems

    cancelled = remote.run(operator.cancel(others, actor=ACTOR, why="the test wants it", kill=False))
    assert all(done.is_done for done in cancelled)
    assert q.depths() == {"pending": 1, "cancelled": 3}
    back = remote.run(undo.last_undoable(["mail"], by=ACTOR))
    remote.run(undo.undo(back.op, actor=ACTOR))
    assert q.depths() == {"pending": 4}

    remote.run(operator.pause_queue("mail", actor=ACTOR, why="lunch"))
    assert q.take(1) == []
    remote.run(operator.resume_queue("mail", actor=ACTOR))
    q.complete(q.take_one())
    assert {entry["by"] for entry in q.audited()} == {ACTOR}
    assert q.findings() == []


def test_a_remote_wait_is_woken_by_the_end(q: QueueDriver, remote: SyncRunner) -> None:
    task_id = q.put_one({})
    client = "far"
    remote.run(ends.watch("mail", client, [task_id]))
    q.complete(q.take_one())
    assert remote.run(ends.next_ended("mail", client, timeout_s=5)) == task_id


async def test_an_event_loop_does_it_too(q: QueueDriver, relay: Relay) -> None:
    runner = AsyncRunner(connection.endpoint(relay.url, display=relay.url))
    try:
        task_id = await runner.run(producer.enqueue_one("mail", producer.new_task("work", {"n": 1})))
        assert (await runner.run(inspector.show_one(task_id))).state is TaskState.PENDING
    finally:
        await runner.aclose()
    assert q.depths() == {"pending": 1}


def test_a_viewer_sees_and_changes_nothing(q: QueueDriver, relay: Relay, remote: SyncRunner) -> None:
    task_id = q.put_one({"n": 1})
    relay.role = Role.VIEWER
    assert remote.run(inspector.show_one(task_id)).args == {"n": 1}
    remote.run(registry.fleet())
    for flow in (
        producer.enqueue_one("mail", producer.new_task("work", {})),
        operator.cancel([task_id], actor=ACTOR, why="", kill=False),
        operator.pause_queue("mail", actor=ACTOR, why=""),
    ):
        with pytest.raises(BrokerRefusedError, match="not for a viewer"):
            remote.run(flow)
    assert q.depths() == {"pending": 1}


CLAIM = script_loader.source("claim").sha
STATS = script_loader.source("stats").sha


@pytest.mark.parametrize(
    "command",
    [
        ["FLUSHALL"],
        ["CONFIG", "SET", "dir", "/"],
        ["EVAL", "return 1", 0],
        ["GET", "tq:queues"],
        ["HGETALL", "somebody:else"],
        ["HGETALL"],
        ["HDEL", "tq:{mail}:bodies", "x"],
        ["SET", "tq:{mail}:pending", "1"],
        ["XADD", "tq:{mail}:events", "*", "a", "b"],
        ["BLPOP", "tq:{!fleet}:inbox:n1", 1],
        ["BLPOP", "tq:{mail}:answers:me", "tq:{!fleet}:inbox:n1", 1],
        ["BZPOPMIN", "tq:{mail}:wake", 1],
        ["EVALSHA", CLAIM, 1, "tq:{mail}:", "", "w", "n", 1, 1000],
        ["EVALSHA", STATS, 1, "tq:{mail}:", "12345", 5],
        ["EVALSHA", STATS, 1, "other:", "", 5],
        ["EVALSHA", STATS, 2, "tq:{mail}:", "x", 5],
        ["EVALSHA", STATS],
        ["EVALSHA", "0" * 40, 1, "tq:{mail}:", "", 5],
        ["SCRIPT LOAD", "return 1"],
        ["XREAD", "STREAMS", "tq:{mail}:events", "$"],
        ["XREAD", "BLOCK", "x", "STREAMS", "tq:{mail}:events", "$"],
        ["XREAD", "BLOCK", 1, "STREAMS", "other", "$"],
        ["\x00"],
    ],
)
def test_nothing_but_what_is_ours_reaches_the_broker(q: QueueDriver, relay: Relay, command: list[Any]) -> None:
    q.put_one({"n": 1})
    client = GatewayClient(gateway_address(relay.url, display="there", environ={}), 5.0)
    before = q.raw.info("commandstats")["cmdstat_evalsha"]["calls"]
    with pytest.raises((BrokerRefusedError, BrokerConfigError, BrokerError)):
        # Beside a harmless one, which must not be done either.
        client.send([["EVALSHA", STATS, 1, "tq:{mail}:", "", 5], command])
    client.close()
    assert q.raw.info("commandstats")["cmdstat_evalsha"]["calls"] == before
    assert q.depths() == {"pending": 1}


def test_an_error_within_a_batch_is_one_reply(q: QueueDriver, relay: Relay, remote: SyncRunner) -> None:
    q.put_one({})
    q.raw.set("tq:{mail}:oddity", "text")
    client = GatewayClient(gateway_address(relay.url, display="there", environ={}), 5.0)
    first, second, third = client.send([["HGETALL", keys.QUEUES], ["HGETALL", "tq:{mail}:oddity"], ["TIME"]])
    client.close()
    assert b"mail" in first
    assert "WRONGTYPE" in connection.reply_of(second)
    assert len(third) == 2
    with pytest.raises(BrokerError, match="WRONGTYPE"):
        remote.run(sent([Command(("HGETALL", "tq:{mail}:oddity")), Command(("TIME",))]))
    q.raw.delete("tq:{mail}:oddity")


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind", "words"),
    [
        (401, {}, b'{"detail": "no key"}', BrokerRefusedError, "TQ_API_KEY"),
        (403, {}, b'{"detail": "viewer"}', BrokerRefusedError, "viewer"),
        (404, {}, b"<html>", BrokerConfigError, "no gateway of tq"),
        (409, {}, b'{"detail": "it runs tq 9"}', BrokerConfigError, "tq 9"),
        (413, {}, b"", BrokerRefusedError, "size"),
        (429, {}, b'{"detail": "in 3 s"}', BrokerUnreachableError, "in 3 s"),
        (503, {}, b'{"detail": "no broker"}', BrokerUnreachableError, "no broker"),
        (301, {"Location": "https://there/"}, b"", BrokerConfigError, "https://there/"),
        (500, {}, b"\xff" * 5000, BrokerError, "HTTP 500"),
        (200, {"Content-Type": "text/html"}, b"<html>", BrokerError, "HTTP 200"),
        (200, {"Content-Type": wire.MEDIA_TYPE}, b"\xc1", BrokerError, "cannot be read"),
        (200, {"Content-Type": wire.MEDIA_TYPE}, b"\x90", BrokerError, "0 replies"),
    ],
)
def test_what_a_gateway_says_is_told_with_what_to_do(
    relay: Relay,
    remote: SyncRunner,
    status: int,
    headers: dict[str, str],
    body: bytes,
    kind: type[Exception],
    words: str,
) -> None:
    relay.instead = (status, headers, body)
    with pytest.raises(kind, match=words):
        remote.run(registry.queue_numbers())


def test_a_gateway_that_is_not_there_is_unreachable_and_the_key_is_sent_and_never_shown(relay: Relay) -> None:
    with_key = relay.url.replace("://", "://:hidden@")
    runner = SyncRunner(connection.endpoint(with_key, display="http://:***@there"), retry_for_s=0)
    runner.run(registry.queue_numbers())
    assert set(relay.keys) == {"hidden"}
    relay.close()
    with pytest.raises(BrokerUnreachableError, match="is a gateway running there") as caught:
        runner.run(registry.queue_numbers())
    assert "hidden" not in str(caught.value)
    runner.close()


def test_the_keyspace_is_brought_to_another_version_by_few() -> None:
    migrate: list[Any] = ["EVALSHA", script_loader.source("set_schema").sha, 1, "tq:{mail}:", "", 2]
    with pytest.raises(CommandRefusedError):
        steps_of([migrate], Role.OPERATOR)
    (step,) = steps_of([migrate], Role.OPERATOR, may_migrate=True)
    assert isinstance(step, Script)
