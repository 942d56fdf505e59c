"""Consoles and commands behind a real gateway: what a key may do, and what it sees."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cli.conftest import Tq
from tests.gateway.conftest import ELSEWHERE, Gateway, Served
from tests.queue_driver import QueueDriver
from tests.tui.console_on_queue import console_on
from tq_console.gateway.remote_masking import masked_replies
from tq_console.view.secrets import Masker
from tq_core.keyspace import keys, script_loader
from tq_core.roles import producer
from tq_core.transport.remote import wire
from tq_core.transport.steps import Script

ADMIN = "k" * 32
SHOW, ENQUEUE = (script_loader.source(name).sha for name in ("show", "enqueue"))
PREFIX = keys.queue_prefix("default")


async def asked(client: Any, *commands: list[Any], **headers: str) -> tuple[int, list[Any]]:
    """The status and the replies to some commands."""
    body = wire.encode_commands(commands)
    answer = await client.post(wire.PATH, content=body, headers={"content-type": wire.MEDIA_TYPE, **headers})
    is_told = answer.headers["content-type"] == wire.MEDIA_TYPE
    return answer.status_code, wire.decode_replies(answer.content, len(commands)) if is_told else [answer.json()]


async def test_who_looks_sees_no_secrets_and_writes_nothing_and_who_steers_gets_what_is_there(
    new_gateway: Callable[..., Gateway],
) -> None:
    gateway = new_gateway(api_key=ADMIN)
    task = producer.new_task(
        "work", {"password": "hunter2", "to": "ana", "at": "redis://u:hunter2@h/0"}, max_attempts=1
    )
    task_id = gateway.queue.run(producer.enqueue_one("default", task))
    taken = gateway.queue.take_one()
    gateway.queue.fail(taken, detail={"type": "E", "message": "m", "token": "hunter2"})
    long = gateway.queue.run(
        producer.enqueue_one("default", producer.new_task("work", {"password": "hunter2", "x": "y" * 5000}))
    )
    show = ["EVALSHA", SHOW, 1, PREFIX, "", 1000, task_id, long]

    admin = gateway.client(ELSEWHERE, **{"X-API-Key": ADMIN})
    assert b"hunter2" in repr(await asked(admin, show)).encode()

    looking = gateway.client(ELSEWHERE)
    status, (reply,) = await asked(looking, show)
    assert status == 200
    assert "hunter2" not in repr(reply)
    assert b'"to":"ana"' in reply[1][0][3]
    assert b'"password":"***"' in reply[1][0][3]
    for command in (
        ["EVALSHA", ENQUEUE, 1, PREFIX, "", 1],
        ["HGETALL", PREFIX + "bodies"],
        ["HGET", PREFIX + "records", task_id],
        ["HGETALL", PREFIX + "schedules"],
    ):
        status, (problem,) = await asked(looking, ["TIME"], command)
        assert status == 403, command
        assert "not for a viewer" in problem["detail"]
    assert (await asked(looking, ["HGETALL", keys.QUEUES]))[0] == 200


async def test_what_is_no_call_of_ours_is_refused(gateway: Gateway) -> None:
    client = gateway.client()
    for body in (
        b"",
        b"\xc1",
        b"[]",
        wire.encode_commands([]),
        wire.encode_commands([[1]]),
        wire.encode_commands([["TIME", None]]),
    ):
        answer = await client.post(wire.PATH, content=body, headers={"content-type": wire.MEDIA_TYPE})
        assert answer.status_code == 400, body
    other = await client.post(
        wire.PATH, content=wire.encode_commands([["TIME"]]), headers={"content-type": "text/plain"}
    )
    assert other.status_code == 415
    status, (problem,) = await asked(client, ["EVALSHA", "0" * 40, 1, PREFIX, ""], **{"TQ-Version": "9.9"})
    assert (status, "9.9" in problem["detail"]) == (409, True)
    status, _ = await asked(client, ["TIME"], Origin="http://evil.example.org")
    assert status == 403


async def test_a_context_that_is_read_only_is_so_for_all(new_gateway: Callable[..., Gateway]) -> None:
    gateway = new_gateway("prod", api_key=ADMIN)
    client = gateway.client(**{"X-API-Key": ADMIN})
    status, _ = await asked(client, ["EVALSHA", ENQUEUE, 1, PREFIX, "", 1])
    assert status == 403
    assert (await asked(client, ["TIME"]))[0] == 200


async def test_a_broker_that_is_away_is_said(gateway: Gateway) -> None:
    client = gateway.client()
    await asked(client, ["TIME"])
    server = gateway.queue.raw.connection_pool.connection_kwargs["server"]
    server.connected = False
    try:
        async with asyncio.timeout(10):
            status, (problem,) = await asked(client, ["TIME"])
    finally:
        server.connected = True
    assert status == 503
    assert "no usable connection" in problem["detail"]


def test_schedules_are_masked_too() -> None:
    spec = b'{"task_type":"t","args":{"api_key":"hunter2","n":1}}'
    step = Script("schedules", PREFIX, ("",))
    (reply,) = masked_replies([step], [[b"OK", 5, [b"nightly", spec, b"", b"", b"", b"", b""]]], Masker())
    assert b"hunter2" not in reply[2][1]
    assert b'"n":1' in reply[2][1]


@pytest.fixture
def served(redis_url: str) -> Iterator[Served]:
    found = Served(redis_url, API_KEY=ADMIN)
    yield found
    found.close()


@pytest.mark.server
async def test_commands_and_the_console_work_through_a_gateway(
    served: Served, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://:{ADMIN}@127.0.0.1:{served.port}"
    monkeypatch.setenv("TQ_URL", url)
    monkeypatch.setenv("TQ_ACTOR", "ana@far")
    q = QueueDriver(redis_url, queue="default", has_clock=False)
    tq = Tq(monkeypatch)
    task_id = tq.ok("submit", "work", "n=1").out.strip()
    for words in (
        ("tasks", "list", "--state", "pending"),
        ("tasks", "show", task_id),
        ("why", task_id),
        ("stats",),
        ("queues", "list"),
        ("workers", "list"),
        ("dlq", "groups"),
        ("cron", "list"),
        ("events",),
        ("doctor",),
        ("queues", "pause", "default"),
        ("queues", "resume", "default"),
        ("tasks", "cancel", task_id),
        ("undo",),
    ):
        ran = tq(*words)
        assert ran.code in (0, 1), (words, ran)
        assert ADMIN not in ran.out + ran.err
    assert q.depths() == {"pending": 1}
    q.complete(q.take_one())
    assert tq.ok("tasks", "wait", task_id).code == 0

    shown = QueueDriver(redis_url, queue="default", has_clock=False)
    shown.url = url
    others = [q.put_one({"n": n}) for n in range(3)]
    async with console_on(shown, first="tasks") as console:
        await console.press("right_square_bracket")
        await console.until(lambda: console.table.total == 3, "the pending tasks")
        await console.press("X")
        await console.until_shown("Cancel")
        await console.press("y")
        await console.until(lambda: q.depths().get("cancelled") == 1, "one to be cancelled")
    shown.close()

    monkeypatch.setenv("TQ_URL", f"http://127.0.0.1:{served.port}")
    tq.ok("stats")
    assert "not for a viewer" in tq("submit", "work").err
    monkeypatch.setenv("TQ_API_KEY", "wrong" * 8)
    refused = tq("stats")
    assert (refused.code, "TQ_API_KEY" in refused.err) == (4, True)
    monkeypatch.setenv("TQ_API_KEY", ADMIN)
    tq.ok("submit", "work")
    assert q.view(others[0]).type == "work"
    q.close()
    code, said = served.stop()
    assert (code, "api-key@127.0.0.1: pause" in said) == (0, True), said
