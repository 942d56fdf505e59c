"""fakeredis as a process of its own: what the queue layer needs of a server works over its socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
import redis
import redis.asyncio

from tests.waiting import wait_until
from tq_core.broker import open_embedded


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TQ_REDIS_SERVER", "fakeredis")
    with open_embedded() as lease:
        yield lease.url


@pytest.fixture
def client(url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(url, decode_responses=True, protocol=2) as client:
        yield client


def test_binary_values_of_any_length_come_back_as_they_were(url: str) -> None:
    values = [b"", b"\r\n", b"+OK\r\n", bytes(range(256)), b"x" * 300_000, "ü€".encode()]
    with redis.Redis.from_url(url, protocol=2) as client:
        for number, value in enumerate(values):
            client.set(f"key{number}", value)
        assert [client.get(f"key{number}") for number in range(len(values))] == values


def test_a_pipeline_answers_in_order(client: redis.Redis) -> None:
    with client.pipeline(transaction=False) as pipeline:
        for number in range(300):
            pipeline.rpush("list", number)
        assert pipeline.execute() == list(range(1, 301))


def test_scripts_run_by_their_digest_with_nested_answers(client: redis.Redis) -> None:
    digest = client.script_load("redis.call('zadd', KEYS[1], 1, 'a') return {'OK', {1, 'b', ARGV[1]}, false}")
    assert client.evalsha(digest, 1, "set", "x\r\ny") == ["OK", [1, "b", "x\r\ny"], None]
    with pytest.raises(redis.exceptions.NoScriptError):
        client.evalsha("0" * 40, 0)


def test_streams_and_sorted_sets_work(client: redis.Redis) -> None:
    client.xadd("events", {"kind": "done"})
    [entry] = client.xrange("events") or []
    assert entry[1] == {"kind": "done"}
    client.zadd("queue", {"b": 2, "a": 1})
    assert client.zpopmin("queue", 2) == [("a", 1.0), ("b", 2.0)]


def test_a_blocked_client_is_woken_by_another_and_blocks_nobody(url: str, client: redis.Redis) -> None:
    got: list[object] = []

    def wait() -> None:
        with redis.Redis.from_url(url, decode_responses=True, protocol=2) as waiting:
            got.append(waiting.bzpopmin("marks", 10))

    thread = threading.Thread(target=wait)
    thread.start()
    assert client.ping()
    client.zadd("marks", {"go": 1})
    thread.join(10)
    assert got == [("marks", "go", 1.0)]


def test_a_client_that_goes_away_while_it_blocks_disturbs_nobody(url: str, client: redis.Redis) -> None:
    leaving = redis.Redis.from_url(url, socket_timeout=0.05, retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0))
    with pytest.raises(redis.exceptions.TimeoutError):
        leaving.bzpopmin("nothing", 5)
    leaving.close()
    assert client.ping()


async def test_many_asyncio_clients_count_without_losing_one(url: str) -> None:
    async def count() -> None:
        async with redis.asyncio.Redis.from_url(url) as own:
            for _ in range(20):
                await own.incr("counter")

    await asyncio.gather(*(count() for _ in range(10)))
    async with redis.asyncio.Redis.from_url(url, decode_responses=True) as client:
        assert await client.get("counter") == "200"


def test_a_subscriber_gets_messages(url: str, client: redis.Redis) -> None:
    with redis.Redis.from_url(url, decode_responses=True).pubsub() as subscriber:  # type: ignore[no-untyped-call]
        subscriber.subscribe("control")
        wait_until(lambda: subscriber.get_message(timeout=0.1), 5, "the subscription")
        client.publish("control", "drain")
        message = wait_until(lambda: subscriber.get_message(timeout=0.1), 5, "the message")
        assert message is not None
        assert message["data"] == "drain"
