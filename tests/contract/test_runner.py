"""The runners on real servers: what is sent again, what never is, and what each failure is called."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from tests.faulty_proxy import FaultyProxy
from tests.queue_driver import QueueDriver
from tests.redis_servers import ContractServer, PrivateServer, contract_servers
from tests.waiting import wait_until, wait_until_async
from tq_core.errors import BrokerError, BrokerRefusedError, BrokerTooOldError, BrokerUnreachableError, TqError
from tq_core.keyspace import keys, script_loader
from tq_core.roles import consumer, inspector, producer, registry
from tq_core.roles.producer import new_task
from tq_core.transport import connection
from tq_core.transport.connection import Endpoint
from tq_core.transport.runner import AsyncRunner, SyncRunner
from tq_core.transport.steps import Batch, Block, Command, Flow, Pause, Script, Step

pytestmark = pytest.mark.server

T = TypeVar("T")
REAL = [s for s in contract_servers() if s.binary is not None]


@pytest.fixture(scope="module", params=REAL, ids=lambda server: server.name)
def server(request: pytest.FixtureRequest) -> Iterator[PrivateServer]:
    """A real server for the tests of this file."""
    contract: ContractServer = request.param
    assert contract.binary is not None
    private = PrivateServer(contract.binary)
    private.start()
    yield private
    private.remove()


@pytest.fixture
def q(request: pytest.FixtureRequest, server: PrivateServer) -> Iterator[QueueDriver]:
    """A queue with a straight connection to the server; audited after the test."""
    request.node.user_properties.append(("tq_server", request.node.callspec.params["server"].name))
    server.start()
    server.flush()
    driver = QueueDriver(server.url, has_clock=False)
    for name in script_loader.script_names():
        driver.raw.script_load(script_loader.source(name).text)
    yield driver
    try:
        assert driver.findings() == []
    finally:
        driver.close()


@pytest.fixture
def proxy(server: PrivateServer) -> Iterator[FaultyProxy]:
    """A proxy before the server; all its rules must have been used."""
    faulty = FaultyProxy(server.port)
    yield faulty
    faulty.close()
    assert faulty.unused_rules == []


class Runs:
    """One of the two runners behind one face."""

    def __init__(self, kind: str, endpoint: Endpoint, retry_for_s: float) -> None:
        self._loop = asyncio.Runner() if kind == "async" else None
        self._runner: SyncRunner | AsyncRunner
        self._runner = (AsyncRunner if self._loop else SyncRunner)(endpoint, retry_for_s=retry_for_s)

    def run(self, flow: Flow[T]) -> T:
        if isinstance(self._runner, SyncRunner):
            return self._runner.run(flow)
        assert self._loop is not None
        return self._loop.run(self._runner.run(flow))

    def close(self) -> None:
        if isinstance(self._runner, SyncRunner):
            self._runner.close()
        if self._loop:
            self._loop.close()


@pytest.fixture(params=["sync", "async"])
def new_runs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes runners: new_runs(url, retry_for_s=..., answer_s=...)."""
    made: list[Runs] = []

    def make(url: str, *, retry_for_s: float = 5.0, answer_s: float | None = None) -> Runs:
        endpoint = connection.endpoint(url, display="the-broker")
        if answer_s is not None:
            monkeypatch.setattr(connection, "ANSWER_TIMEOUT_S", answer_s)  # of its lines
            patient = endpoint
            endpoint = dataclasses.replace(
                endpoint,
                open_sync=lambda _timeout_s: patient.open_sync(answer_s),
                open_async=lambda _timeout_s, is_shared: patient.open_async(answer_s, is_shared),
            )
        made.append(Runs(request.param, endpoint, retry_for_s))
        return made[-1]

    yield make
    for runs in made:
        runs.close()


def sha(name: str) -> bytes:
    """What the requests that run a script hold."""
    return script_loader.source(name).sha.encode()


def alone(step: Step) -> Flow[Any]:
    return (yield step)


def claim(nonce: str = "aaaa", limit: int = 2) -> Flow[consumer.Claim]:
    return consumer.claim("mail", worker_id="n.1", nonce=nonce, limit=limit)


def careful_claim(nonce: str) -> Flow[consumer.Claim]:
    """A claim that gives back what it took when its answer was lost, so that it can be made again."""
    try:
        return (yield from claim(nonce))
    except BrokerUnreachableError:
        yield from consumer.release_claim("mail", nonce)
        raise


def answered(runs: Runs, flow: Callable[[], Flow[T]]) -> T:
    """The first answer that comes within the runner's time, which is too short for a machine that is busy elsewhere."""

    def ask() -> list[T]:
        try:
            return [runs.run(flow())]
        except BrokerUnreachableError:
            return []

    return wait_until(ask, 10, "an answer")[0]


# --- broken connections ---


@pytest.mark.parametrize("lost", ["lose_request", "lose_answer"])
def test_an_enqueue_is_sent_again_and_accepted_once(
    q: QueueDriver, proxy: FaultyProxy, new_runs: Any, lost: str
) -> None:
    getattr(proxy, lost)(sha("enqueue"))

    outcomes = new_runs(proxy.url).run(producer.enqueue("mail", [new_task("work", {}), new_task("work", {}, name="n")]))

    assert [o.task_id for o in outcomes][1] == "n@mail"
    assert outcomes[0].is_new
    assert proxy.count(sha("enqueue")) == 2
    assert q.depths() == {"pending": 2}
    assert {t.id for t in q.take(5)} == {o.task_id for o in outcomes}


def test_a_claim_whose_answer_was_lost_is_never_sent_again_and_found_by_its_nonce(
    q: QueueDriver, proxy: FaultyProxy, new_runs: Any
) -> None:
    sent = q.put_many(3)
    proxy.lose_answer(sha("claim"))
    runs = new_runs(proxy.url)

    with pytest.raises(BrokerUnreachableError, match="no usable connection to the-broker"):
        runs.run(claim("cafe"))

    assert proxy.count(sha("claim")) == 1
    assert q.depths() == {"pending": 1, "running": 2}
    assert runs.run(consumer.release_claim("mail", "cafe")) == 2
    assert [t.id for t in runs.run(claim("beef", 5)).tasks] == sent
    assert all(not q.view(i).history for i in sent)


def test_a_claim_whose_request_was_lost_is_not_sent_again_either(
    q: QueueDriver, proxy: FaultyProxy, new_runs: Any
) -> None:
    q.put_many(3)
    proxy.lose_request(sha("claim"))
    runs = new_runs(proxy.url)

    with pytest.raises(BrokerUnreachableError):
        runs.run(claim("cafe"))

    assert proxy.count(sha("claim")) == 1
    assert runs.run(consumer.release_claim("mail", "cafe")) == 0
    assert q.depths() == {"pending": 3}


def test_a_batch_that_holds_a_claim_is_never_sent_again(q: QueueDriver, proxy: FaultyProxy, new_runs: Any) -> None:
    q.put_many(3)
    task = q.take_one()
    proxy.lose_answer(sha("claim"))
    runs = new_runs(proxy.url)

    with pytest.raises(BrokerUnreachableError):
        runs.run(
            alone(
                Batch(
                    [
                        consumer.complete_step("mail", [consumer.Ack(task, b"1", 1)]),
                        consumer.claim_step("mail", worker_id="n.1", nonce="cafe", limit=1),
                    ]
                )
            )
        )
    assert proxy.count(sha("claim")) == 1
    assert runs.run(consumer.complete("mail", [consumer.Ack(task, b"1", 1)])) == ["K"]
    assert runs.run(consumer.release_claim("mail", "cafe")) == 1
    assert (q.depths(), q.counter("completed")) == ({"pending": 2, "completed": 1}, 1)


def test_acknowledgements_are_sent_again_and_count_once(q: QueueDriver, proxy: FaultyProxy, new_runs: Any) -> None:
    q.put_many(5)
    completed, failed, crashed, extended, _given = q.take(5)
    runs = new_runs(proxy.url)
    for name in ("complete", "fail", "crash", "extend", "give_back"):
        proxy.lose_answer(sha(name))

    assert runs.run(consumer.complete("mail", [consumer.Ack(completed, b"1", 1)])) == ["K"]
    failing = consumer.fail(failed, verdict="retry", reason="error", delay_ms=60_000, duration_ms=1, detail={})
    outcome = runs.run(failing)
    assert (outcome.word, outcome.attempt) == ("retrying", 1)
    assert outcome.due_at_ms == q.view(failed.id).due_at_ms
    assert runs.run(consumer.crash(crashed, detail={})).word == "pending"
    assert runs.run(consumer.extend([("mail", extended.id, extended.token)])) == consumer.Extended()
    runs.run(consumer.give_back(["mail"], "node.1", started_ids=[], detail={}))

    assert [proxy.count(sha(n)) for n in ("complete", "fail", "crash", "extend", "give_back")] == [2] * 5
    counters = q.stats().counters
    assert [counters.get(n, 0) for n in ("completed", "failures", "crashed", "stale")] == [1, 1, 1, 0]
    assert q.depths() == {"completed": 1, "retrying": 1, "pending": 3}


def test_a_release_that_is_sent_again_loses_nothing(q: QueueDriver, proxy: FaultyProxy, new_runs: Any) -> None:
    q.put_one()
    task = q.take_one()
    proxy.lose_answer(sha("release"))

    new_runs(proxy.url).run(consumer.release([task]))

    assert q.depths() == {"pending": 1}


def test_commands_and_batches_of_reads_are_sent_again(q: QueueDriver, proxy: FaultyProxy, new_runs: Any) -> None:
    task_id = q.put_one()
    proxy.lose_answer(b"HGETALL")
    proxy.lose_answer(sha("show"))

    assert new_runs(proxy.url).run(inspector.show_one(task_id)).id == task_id


def test_a_server_that_comes_back_in_time_is_waited_for(q: QueueDriver, server: PrivateServer, new_runs: Any) -> None:
    runs = new_runs(server.tcp_url, retry_for_s=20)
    runs.run(registry.register_queue("mail"))
    server.kill()
    timer = threading.Timer(0.3, server.start)
    timer.start()

    (outcome,) = runs.run(producer.enqueue("mail", [new_task("work", {})]))
    timer.join()
    assert q.state(outcome.task_id) is not None


def test_an_unreachable_server_is_given_up_within_the_time_that_was_set(server: PrivateServer, new_runs: Any) -> None:
    free = FaultyProxy(server.port)
    free.close()
    began = time.monotonic()

    with pytest.raises(BrokerUnreachableError, match=r"no usable connection to the-broker .*is Redis running there"):
        new_runs(free.url, retry_for_s=0.4).run(registry.queue_numbers())
    assert time.monotonic() - began < 3


def test_the_broker_is_named_without_its_secrets(new_runs: Any) -> None:
    with pytest.raises(BrokerUnreachableError) as caught:
        new_runs("redis://ann:s3cret@127.0.0.1:1/0", retry_for_s=0).run(registry.queue_numbers())
    assert "s3cret" not in str(caught.value)


def test_a_server_that_stops_answering_is_given_up(q: QueueDriver, proxy: FaultyProxy, new_runs: Any) -> None:
    q.put_many(2)
    proxy.freeze(sha("claim"))
    runs = new_runs(proxy.url, answer_s=0.2)
    assert answered(runs, lambda: alone(Command(("ECHO", "warm")))) == b"warm"

    with pytest.raises(BrokerUnreachableError):
        runs.run(claim("cafe"))
    assert runs.run(consumer.release_claim("mail", "cafe")) == 0
    assert len(answered(runs, lambda: careful_claim("beef")).tasks) == 2


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_ones(
    q: QueueDriver, proxy: FaultyProxy, server: PrivateServer, new_runs: Any
) -> None:
    runs = new_runs(proxy.url, answer_s=0.3, retry_for_s=0)
    assert answered(runs, lambda: alone(Command(("ECHO", "first")))) == b"first"
    server.freeze()
    try:
        with pytest.raises(BrokerUnreachableError):
            runs.run(alone(Command(("ECHO", "late"))))
    finally:
        server.thaw()

    assert answered(runs, lambda: alone(Command(("ECHO", "next")))) == b"next"
    assert q.depths() == {}


# --- answers that mean: not now ---

NOT_NOW = [
    b"-LOADING Redis is loading the dataset in memory\r\n",
    b"-READONLY You can't write against a read only replica.\r\n",
    b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n",
    b"-MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist on disk.\r\n",
    b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
    b"-CLUSTERDOWN The cluster is down\r\n",
    b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
    b"-ERR Error running script (call to f_abc): @user_script:3: @user_script: 3: -READONLY You can't write.\r\n",
]


@pytest.mark.parametrize("answer", NOT_NOW, ids=lambda a: a[1:10].decode().split()[0])
def test_a_claim_that_the_server_refused_for_now_is_sent_again(
    q: QueueDriver, proxy: FaultyProxy, new_runs: Any, answer: bytes
) -> None:
    q.put_many(2)
    proxy.answer(sha("claim"), answer)

    assert len(new_runs(proxy.url).run(claim()).tasks) == 2
    assert proxy.count(sha("claim")) == 2


@pytest.mark.parametrize("answer", NOT_NOW, ids=lambda a: a[1:10].decode().split()[0])
def test_a_batch_of_claims_of_which_one_was_done_is_not_sent_again(
    q: QueueDriver, proxy: FaultyProxy, new_runs: Any, answer: bytes
) -> None:
    """The first claim has taken its tasks: sent again, it would take more and leave these to their lease."""
    q.put_many(4)
    proxy.rewrite(sha("claim"), b"+PONG\r\n", answer)
    steps = Batch([consumer.claim_step("mail", worker_id="n.1", nonce="cafe", limit=2), Command(("PING",))])
    runs = new_runs(proxy.url)

    with pytest.raises(BrokerError):
        runs.run(alone(steps))

    assert proxy.count(sha("claim")) == 1
    assert runs.run(consumer.release_claim("mail", "cafe")) == 2


def test_a_batch_that_was_refused_as_a_whole_is_sent_again(q: QueueDriver, proxy: FaultyProxy, new_runs: Any) -> None:
    q.put_many(4)
    proxy.answer(sha("claim"), NOT_NOW[1] * 2)
    steps = Batch([consumer.claim_step("mail", worker_id="n.1", nonce=n, limit=2) for n in ("cafe", "beef")])

    first, second = new_runs(proxy.url).run(alone(steps))

    assert len(consumer.decode_claim("mail", first).tasks) == len(consumer.decode_claim("mail", second).tasks) == 2


def test_a_batch_of_repeatable_steps_is_sent_again_when_one_was_refused(
    q: QueueDriver, proxy: FaultyProxy, new_runs: Any
) -> None:
    q.put_one()
    proxy.rewrite(sha("stats"), b"+PONG\r\n", NOT_NOW[1])

    replies = new_runs(proxy.url).run(
        alone(Batch([Script("stats", keys.queue_prefix("mail"), (1, 0, 1)), Command(("PING",))]))
    )
    assert replies[1] in {b"PONG", "PONG", True}


REFUSALS = [
    (b"-READONLY You can't write against a read only replica.\r\n", BrokerRefusedError, "read-only replica"),
    (b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", BrokerRefusedError, "out of memory"),
    (
        b"-MISCONF Redis is configured to save RDB snapshots, but is unable to.\r\n",
        BrokerRefusedError,
        "cannot save to its disk",
    ),
    (b"-NOPERM this user has no permissions\r\n", BrokerRefusedError, "does not allow this user"),
    (
        b"-ERR Error running script (call to f_a): @user_script:3: @user_script: 3: -MISCONF x\r\n",
        BrokerRefusedError,
        "its disk",
    ),
    (b"-LOADING Redis is loading the dataset in memory\r\n", BrokerUnreachableError, "LOADING"),
    (b"-ERR something else\r\n", BrokerError, "answered with an error: something else"),
]


@pytest.mark.parametrize(
    ("answer", "kind", "text"), REFUSALS, ids=[a[0][1:9].decode().strip() + str(n) for n, a in enumerate(REFUSALS)]
)
def test_a_refusal_that_stays_is_named_for_what_it_is(
    q: QueueDriver, proxy: FaultyProxy, new_runs: Any, answer: bytes, kind: type[BrokerError], text: str
) -> None:
    proxy.answer(sha("claim"), answer)

    with pytest.raises(kind, match=text) as caught:
        new_runs(proxy.url, retry_for_s=0).run(claim())
    assert type(caught.value) is kind
    assert q.depths() == {}


def test_a_wrong_password_is_refused_at_once(q: QueueDriver, server: PrivateServer, new_runs: Any) -> None:
    q.raw.execute_command("ACL", "SETUSER", "ann", "on", ">right", "~tq:*", "+@all")
    began = time.monotonic()
    with pytest.raises(BrokerRefusedError, match="does not accept this user and password"):
        new_runs(f"redis://ann:wrong@127.0.0.1:{server.port}/0").run(registry.queue_numbers())
    assert time.monotonic() - began < 2
    assert new_runs(f"redis://ann:right@127.0.0.1:{server.port}/0").run(registry.queue_numbers()) == {}
    q.raw.execute_command("ACL", "DELUSER", "ann")


def test_a_server_that_wants_a_password_refuses_us_without_one(
    q: QueueDriver, server: PrivateServer, new_runs: Any
) -> None:
    q.raw.config_set("requirepass", "secret")
    try:
        with pytest.raises(BrokerRefusedError, match="does not accept this user and password"):
            new_runs(server.tcp_url).run(registry.queue_numbers())
    finally:
        q.raw.config_set("requirepass", "")


def test_a_user_who_may_not_run_scripts_or_touch_other_keys_is_refused(
    q: QueueDriver, server: PrivateServer, new_runs: Any
) -> None:
    url = f"redis://{{}}:x@127.0.0.1:{server.port}/0"
    q.raw.execute_command("ACL", "SETUSER", "noscripts", "on", ">x", "~tq:*", "+@all", "-@scripting")
    q.raw.execute_command("ACL", "SETUSER", "nokeys", "on", ">x", "~other:*", "+@all")
    q.raw.execute_command("ACL", "SETUSER", "nowrites", "on", ">x", "~tq:*", "+@all", "-hdel")
    q.put_one()
    for user in ("noscripts", "nokeys", "nowrites"):
        with pytest.raises(BrokerRefusedError, match="does not allow this user to do that"):
            new_runs(url.format(user)).run(claim())
        q.raw.execute_command("ACL", "DELUSER", user)


@pytest.mark.parametrize(("version", "is_old"), [("5.0.14", True), ("6.0.20", True), ("6.2.0", False), ("10.1", False)])
def test_a_server_below_the_floor_is_refused(
    q: QueueDriver, proxy: FaultyProxy, new_runs: Any, version: str, is_old: bool
) -> None:
    info = f"# Server\r\nredis_version:{version}\r\n".encode()
    proxy.answer(b"$4\r\nINFO\r\n", b"$%d\r\n%s\r\n" % (len(info), info))
    runs = new_runs(proxy.url)
    if is_old:
        with pytest.raises(BrokerTooOldError, match=rf"runs Redis {version}; tq needs 6\.2 or newer"):
            runs.run(registry.queue_numbers())
        assert proxy.count(b"HGETALL") == 0
    else:
        assert runs.run(registry.queue_numbers()) == {}
    assert q.depths() == {}


def test_a_server_that_does_not_tell_its_version_is_accepted(q: QueueDriver, proxy: FaultyProxy, new_runs: Any) -> None:
    proxy.answer(b"$4\r\nINFO\r\n", b"-NOPERM this user has no permissions to run the 'info' command\r\n")

    assert new_runs(proxy.url).run(registry.queue_numbers()) == {}
    assert q.depths() == {}


# --- scripts that the server forgot ---


def test_scripts_are_loaded_again_after_a_flush_also_within_a_batch(
    q: QueueDriver, new_runs: Any, server: PrivateServer
) -> None:
    runs = new_runs(server.tcp_url)
    for _ in range(3):
        q.raw.script_flush()
        runs.run(producer.enqueue("mail", [new_task("work", {}), new_task("work", {})]))
        q.raw.script_flush()
        (task, other) = runs.run(claim()).tasks
        q.raw.script_flush()
        assert runs.run(consumer.extend([("mail", task.id, task.token), ("other", task.id, b"x")])).lost_ids == (
            task.id,
        )
        q.raw.script_flush()
        batch = Batch(
            [
                consumer.complete_step("mail", [consumer.Ack(task, b"1", 1)]),
                Command(("PING",)),
                consumer.complete_step("mail", [consumer.Ack(other, b"1", 1)]),
                consumer.claim_step("mail", worker_id="n.1", nonce="beef", limit=1),
            ]
        )
        replies = runs.run(alone(batch))
        assert [replies[0], replies[2], replies[3][0]] == [[b"OK"], [b"OK"], b"EMPTY"]
    assert q.counter("completed") == 6


def test_a_claim_that_the_server_did_not_know_is_sent_again_and_no_more(
    q: QueueDriver, proxy: FaultyProxy, new_runs: Any
) -> None:
    q.put_many(4)
    q.raw.script_flush()

    assert len(new_runs(proxy.url).run(claim()).tasks) == 2
    assert q.depths() == {"pending": 2, "running": 2}


# --- flows ---


class OwnError(TqError):
    code = "own"


def test_a_flow_may_catch_an_error_and_go_on(q: QueueDriver, proxy: FaultyProxy, new_runs: Any) -> None:
    q.put_many(2)
    proxy.lose_answer(sha("claim"))

    def careful() -> Flow[int]:
        try:
            yield from claim("cafe")
        except BrokerUnreachableError:
            return (yield from consumer.release_claim("mail", "cafe"))
        raise AssertionError("the claim was answered")

    assert new_runs(proxy.url).run(careful()) == 2


def test_a_flow_that_does_not_catch_an_error_cleans_up_and_passes_it_on(
    q: QueueDriver, proxy: FaultyProxy, new_runs: Any
) -> None:
    proxy.lose_answer(sha("claim"))
    cleaned: list[int] = []

    def tidy() -> Flow[None]:
        try:
            yield from claim("cafe")
        finally:
            cleaned.append((yield from consumer.release_claim("mail", "cafe")))

    q.put_one()
    with pytest.raises(BrokerUnreachableError):
        new_runs(proxy.url).run(tidy())
    assert cleaned == [1]


def test_what_a_flow_raises_itself_reaches_the_caller(q: QueueDriver, new_runs: Any) -> None:
    def angry() -> Flow[None]:
        yield Command(("PING",))
        raise OwnError("no")

    runs = new_runs(q.url)
    with pytest.raises(OwnError, match="own: no"):
        runs.run(angry())
    assert runs.run(alone(Command(("ECHO", "x")))) == b"x"


def test_a_flow_without_steps_and_one_with_a_pause_end(q: QueueDriver, new_runs: Any) -> None:
    def nothing() -> Flow[str]:
        yield from ()
        return "done"

    def patient() -> Flow[Any]:
        yield Pause(0.01)
        return (yield Command(("ECHO", "x")))

    runs = new_runs(q.url)
    assert runs.run(nothing()) == "done"
    assert runs.run(patient()) == b"x"


# --- blocking ---


def test_every_wait_has_a_connection_that_outlasts_it(q: QueueDriver) -> None:
    """Whichever wait came first: it is the server that gives up, never the connection."""
    asked: list[float] = []

    def open_sync(timeout_s: float) -> Any:
        asked.append(timeout_s)
        return q.endpoint.open_sync(timeout_s)

    def open_async(timeout_s: float, is_shared: bool) -> Any:
        asked.append(timeout_s)
        return q.endpoint.open_async(timeout_s, is_shared)

    def open_async_line(timeout_s: float) -> Any:
        asked.append(timeout_s)
        assert q.endpoint.open_async_line is not None
        return q.endpoint.open_async_line(timeout_s)

    endpoint = dataclasses.replace(
        q.endpoint,
        open_sync=open_sync,
        open_async=open_async,
        open_async_line=open_async_line if q.endpoint.open_async_line is not None else None,
    )
    for kind in ("sync", "async"):
        runs = Runs(kind, endpoint, 0)
        for timeout_s in (0.01, 1, 30, 29, 400):
            q.raw.rpush("tq:there", "x")
            assert tuple(runs.run(alone(Block(("BLPOP", "tq:there", timeout_s), timeout_s)))) == (b"tq:there", b"x")
            assert asked[-1] > timeout_s + 1
        runs.close()
        waits = [timeout_s for timeout_s in asked if timeout_s != connection.ANSWER_TIMEOUT_S]
        assert len(waits) == 3, "waits of about the same length share a connection"
        asked.clear()


def test_a_thread_that_waits_holds_nobody_up(q: QueueDriver) -> None:
    runner = SyncRunner(q.endpoint)
    found: list[Any] = []
    waiting = threading.Thread(target=lambda: found.append(runner.run(alone(Block(("BLPOP", "tq:x", 20), 20)))))
    waiting.start()
    wait_until(lambda: blocked_clients(q) == 1, 5, "the wait to begin")

    assert runner.run(alone(Command(("RPUSH", "tq:x", "go")))) == 1
    waiting.join(5)
    assert [r[1] for r in found] == [b"go"]
    runner.close()


async def test_a_flow_that_waits_holds_no_other_flow_up(q: QueueDriver) -> None:
    runner = AsyncRunner(q.endpoint)
    waits = [asyncio.create_task(runner.run(alone(Block(("BLPOP", f"tq:x{n}", 20), 20)))) for n in range(5)]
    await wait_until_async(lambda: blocked_clients(q) == 5, 5, "the waits to begin")

    for n in range(5):
        assert await runner.run(alone(Command(("RPUSH", f"tq:x{n}", "go")))) == 1
    assert [r[1] for r in await asyncio.gather(*waits)] == [b"go"] * 5
    await runner.aclose()


def blocked_clients(q: QueueDriver) -> int:
    return int(q.raw.info("clients")["blocked_clients"])


# --- loops and threads ---


def connections(q: QueueDriver) -> int:
    return len(q.raw.client_list()) - 1


def test_one_runner_serves_many_event_loops_one_after_the_other(q: QueueDriver) -> None:
    runner = AsyncRunner(q.endpoint)

    async def main() -> None:
        await runner.run(producer.enqueue("mail", [new_task("work", {})]))
        await runner.run(inspector.stats())
        await runner.run(alone(Block(("BLPOP", "tq:nothing", 0.01), 0.01)))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(5):
            asyncio.run(main())
            wait_until(lambda: connections(q) == 0, 5, "the loop's connections to be closed with it")
    assert q.depths() == {"pending": 5}


def test_loops_that_end_without_notice_leave_no_connection_to_the_next(q: QueueDriver) -> None:
    runner = AsyncRunner(q.endpoint)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        for _ in range(5):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(runner.run(registry.register_queue("mail")))
            loop.close()
            del loop
        asyncio.run(runner.run(registry.register_queue("mail")))
        gc.collect()
    wait_until(lambda: connections(q) == 0, 5, "the connections of the ended loops to be closed")


def test_a_program_that_closes_nothing_ends_without_a_word(q: QueueDriver) -> None:
    program = """
        import asyncio, sys
        from tq_core.roles import producer
        from tq_core.transport import connection, runner

        runner = runner.AsyncRunner(connection.endpoint(sys.argv[1], display="x"))
        for _ in range(2):
            asyncio.run(runner.run(producer.enqueue("mail", [producer.new_task("work", {})])))
    """
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(program), q.url],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert q.depths() == {"pending": 2}


def test_the_server_is_told_who_connects(q: QueueDriver, server: PrivateServer, new_runs: Any) -> None:
    new_runs(server.tcp_url).run(inspector.stats())
    assert f"tq-{os.getpid()}" in {client["name"] for client in q.raw.client_list()}


async def test_a_runner_can_be_closed_and_used_again(q: QueueDriver) -> None:
    runner = AsyncRunner(q.endpoint)
    for _ in range(3):
        await runner.run(inspector.stats())
        await runner.aclose()
        await runner.aclose()
        await wait_until_async(lambda: connections(q) == 0, 5, "the connections to close")
    sync = SyncRunner(q.endpoint)
    for _ in range(3):
        sync.run(inspector.stats())
        sync.close()
        sync.close()
        await wait_until_async(lambda: connections(q) == 0, 5, "the connections to close")


async def test_a_cancelled_flow_leaves_its_answer_to_nobody(q: QueueDriver, server: PrivateServer) -> None:
    runner = AsyncRunner(q.endpoint)
    assert await runner.run(alone(Command(("ECHO", "warm")))) == b"warm"
    server.freeze()
    try:
        flows = [
            asyncio.create_task(runner.run(alone(Command(("ECHO", "lost"))))),
            asyncio.create_task(runner.run(alone(Batch([Command(("ECHO", "lost"))])))),
        ]
        await asyncio.sleep(0.05)
        for flow in flows:
            flow.cancel()
        results = await asyncio.gather(*flows, return_exceptions=True)
    finally:
        server.thaw()
    assert [type(r) for r in results] == [asyncio.CancelledError] * 2

    for n in range(3):
        assert await runner.run(alone(Command(("ECHO", str(n))))) == str(n).encode()
        assert await runner.run(alone(Batch([Command(("ECHO", str(n)))]))) == [str(n).encode()]
    await runner.aclose()


async def test_hundreds_of_flows_at_once_share_a_few_connections(q: QueueDriver) -> None:
    runner = AsyncRunner(q.endpoint)
    ids = q.put_many(300)

    views = await asyncio.gather(*[runner.run(inspector.show_one(i)) for i in ids])

    assert [v.id for v in views] == ids
    assert connections(q) <= 12
    await runner.aclose()


def test_one_sync_runner_serves_many_threads(q: QueueDriver) -> None:
    runner = SyncRunner(q.endpoint)
    problems: list[BaseException] = []

    def work(n: int) -> None:
        try:
            for _ in range(25):
                runner.run(producer.enqueue("mail", [new_task("work", {"n": n})] * 2))
                tasks = runner.run(claim(consumer.new_nonce())).tasks
                runner.run(consumer.complete("mail", [consumer.Ack(t, b"1", 1) for t in tasks]))
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            problems.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    runner.close()

    assert problems == []
    assert q.depths() == {"completed": 400}
    assert q.counter("completed") == 400


@pytest.mark.parametrize("kind", ["name", "unique_key"])
def test_of_many_who_enqueue_the_same_task_at_once_one_is_accepted(q: QueueDriver, kind: str) -> None:
    runner = SyncRunner(q.endpoint)
    outcomes: list[producer.Enqueued] = []
    start = threading.Barrier(16)

    def submit() -> None:
        start.wait()
        for _ in range(20):
            task = new_task("work", {}, name="x") if kind == "name" else new_task("work", {}, unique_key="x")
            outcomes.extend(runner.run(producer.enqueue("mail", [task])))

    threads = [threading.Thread(target=submit) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    runner.close()

    assert len(outcomes) == 320
    assert sum(o.is_new for o in outcomes) == 1
    assert len({o.task_id for o in outcomes}) == 1
    assert q.depths() == {"pending": 1}


def test_workers_that_claim_at_once_never_get_the_same_task(q: QueueDriver) -> None:
    for _ in range(4):
        q.put_many(250)
    runner = SyncRunner(q.endpoint)
    got: list[str] = []
    start = threading.Barrier(8)

    def work(n: int) -> None:
        start.wait()
        flow = consumer.claim("mail", worker_id=f"n.{n}", nonce=consumer.new_nonce(), limit=7)
        while tasks := runner.run(flow).tasks:
            got.extend(t.id for t in tasks)
            flow = consumer.claim("mail", worker_id=f"n.{n}", nonce=consumer.new_nonce(), limit=7)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    runner.close()

    assert len(got) == len(set(got)) == 1000
