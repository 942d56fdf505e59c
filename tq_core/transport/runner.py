"""Runs flows against Redis, asynchronously or synchronously: the only code that sends anything.

What may be sent again after a broken connection is decided here: idempotent scripts and plain commands, with backoff,
until `retry_for_s` is over. A script that is not idempotent (a claim) is sent again only when the server said that it
did not run: NOSCRIPT, LOADING, READONLY and the like.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import random
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Sequence
from typing import Any, TypeAlias, TypeVar

import redis.exceptions as redis_errors

from tq_core import tracing
from tq_core.errors import BrokerError
from tq_core.keyspace import script_loader
from tq_core.transport import call_spans, connection
from tq_core.transport.async_line import AsyncLine
from tq_core.transport.connection import Endpoint
from tq_core.transport.steps import Batch, Block, Command, Flow, Pause, Script, Step
from tq_core.transport.sync_line import SyncLine

T = TypeVar("T")
_Client: TypeAlias = Any
"""A client of redis-py, whose `execute_command` has no types."""
_FIRST_WAIT_S = 0.05
_LONGEST_WAIT_S = 1.0
_BLOCK_MARGIN_S = 5.0
"""How much longer than a blocking command its connection waits: the server must always be the one to give up."""
_LINE_WAITS = frozenset({"BLPOP", "BZPOPMIN"})
"""Commands that wait, and whose replies are wanted as they are."""
_PIPELINES_AT_ONCE = 4
"""Batches that one event loop has under way: each takes a connection, and more would not make the server faster."""


def _wire(step: Script | Command, now: str) -> tuple[Any, ...]:
    if isinstance(step, Command):
        return tuple(step.args)
    return ("EVALSHA", script_loader.source(step.name).sha, 1, step.prefix, now, *step.args)


def _block_answer_s(step: Block) -> float:
    # In steps of two, so that waits of any length share a few clients.
    return 2.0 ** math.ceil(math.log2(max(step.timeout_s, 1.0))) + _BLOCK_MARGIN_S


def _may_repeat(step: Step) -> bool:
    if isinstance(step, Script):
        return step.is_idempotent
    return not isinstance(step, Batch) or all(_may_repeat(s) for s in step.steps)


class _Attempts:
    """Decides whether one step is sent again, and after which wait."""

    def __init__(self, endpoint: Endpoint, step: Step, retry_for_s: float) -> None:
        self._endpoint, self._step = endpoint, step
        self._deadline = time.monotonic() + retry_for_s
        self._wait_s = _FIRST_WAIT_S
        self._is_revived = False
        # redis-py raises LOADING out of a pipeline, whatever the other commands were answered.
        self._may_be_partly_done = isinstance(step, Batch)

    def checked(self, replies: list[Any]) -> list[Any]:
        """The replies to a batch; raises the first error among them."""
        errors = [reply for reply in replies if isinstance(reply, Exception)]
        if errors:
            self._may_be_partly_done = not all(map(connection.is_transient, errors)) or len(errors) < len(replies)
            raise errors[0]
        return replies

    @property
    def may_revive(self) -> bool:
        """Whether the server is one that we can start again, and has not been tried for this step."""
        first, self._is_revived = not self._is_revived, True
        return first and self._endpoint.revive is not None

    def revive(self) -> None:
        """Starts the server again; that it cannot be is said by the next try."""
        with contextlib.suppress(BrokerError):
            assert self._endpoint.revive is not None
            self._endpoint.revive()

    def wait_s(self, error: BaseException) -> float:
        """Seconds until the next try.

        Raises:
            BrokerError: there is none.
        """
        is_untouched = not self._may_be_partly_done
        self._may_be_partly_done = isinstance(self._step, Batch)
        if connection.is_transient(error):
            again = is_untouched or _may_repeat(self._step)
        else:
            again = connection.is_connection_lost(error) and _may_repeat(self._step)
        if not again or time.monotonic() + self._wait_s > self._deadline:
            raise connection.translate(error, self._endpoint.display) from error
        wait_s, self._wait_s = self._wait_s, min(self._wait_s * 2, _LONGEST_WAIT_S)
        # Many who lost the same server must not come back in step.
        return wait_s * random.uniform(0.5, 1.0)


_SENDABLE = (redis_errors.RedisError, OSError)


class SyncRunner:
    """Runs flows from ordinary code; may be shared by threads."""

    def __init__(
        self, endpoint: Endpoint, *, retry_for_s: float = 5.0, answer_timeout_s: float = connection.ANSWER_TIMEOUT_S
    ) -> None:
        self.endpoint, self._retry_for_s, self._answer_timeout_s = endpoint, retry_for_s, answer_timeout_s
        self._lock = threading.Lock()
        self._client: _Client | None = None
        self._blocking: dict[float, _Client] = {}
        self._lines = threading.local()
        self._all_lines: weakref.WeakSet[SyncLine] = weakref.WeakSet()

    def run(self, flow: Flow[T]) -> T:
        """Drives a flow to its result.

        Raises:
            TqError: what the flow raised, or a BrokerError.
        """
        reply: Any = None
        try:
            step = next(flow)
            while True:
                try:
                    reply = self._do_traced(step) if tracing.is_loaded() else self._do(step)
                except BaseException as error:  # noqa: BLE001 - handed to the flow, which may clean up
                    step = flow.throw(error)
                else:
                    step = flow.send(reply)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    def close(self) -> None:
        """Closes the connections; the next flow opens new ones."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            for client in self._blocking.values():
                client.close()
            self._client, self._blocking = None, {}
            for line in list(self._all_lines):
                line.close()

    def _do_traced(self, step: Step) -> Any:
        span = call_spans.span_of(step)
        if span is None:
            return self._do(step)
        with span:
            return self._do(step)

    def _do(self, step: Step) -> Any:
        if isinstance(step, Script) and step.is_idempotent and self.endpoint.open_line is not None:
            try:
                return self._ask(step)
            except redis_errors.NoScriptError:
                pass
            except _SENDABLE as error:
                # A line may have been cut while it was idle, and nothing tells before it is used.
                if not isinstance(error, redis_errors.ConnectionError):
                    return self._do_patiently(step, error)
        return self._do_patiently(step)

    def _ask(self, step: Script) -> Any:
        """Sends a script on this thread's own line: half of the time that it takes through redis-py's client."""
        self._connected()
        line: SyncLine | None = getattr(self._lines, "line", None)
        if line is None:
            assert self.endpoint.open_line is not None
            line = self._lines.line = SyncLine(
                functools.partial(self.endpoint.open_line, self._answer_timeout_s),
                answer_timeout_s=self._answer_timeout_s,
            )
            self._all_lines.add(line)
        reply = line.ask(_wire(step, self._now()))
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _do_patiently(self, step: Step, failed: BaseException | None = None) -> Any:
        """Sends a step until it is answered, or may not be sent again; `failed`: how the first try ended."""
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        attempts = _Attempts(self.endpoint, step, self._retry_for_s)
        if failed is not None:
            time.sleep(attempts.wait_s(failed))
        while True:
            try:
                if isinstance(step, Block):
                    return self._block(step)
                client = self._connected()
                if isinstance(step, Batch):
                    return attempts.checked(self._batch(client, step.steps))
                try:
                    return client.execute_command(*_wire(step, self._now()))
                except redis_errors.NoScriptError:
                    assert isinstance(step, Script)
                    client.execute_command("SCRIPT LOAD", script_loader.source(step.name).text)
                    return client.execute_command(*_wire(step, self._now()))
            except _SENDABLE as error:
                if connection.is_connection_lost(error) and attempts.may_revive:
                    attempts.revive()
                time.sleep(attempts.wait_s(error))

    def _now(self) -> str:
        return str(self.endpoint.clock_ms()) if self.endpoint.clock_ms else ""

    def _connected(self) -> _Client:
        with self._lock:
            if self._client is None:
                client: _Client = self.endpoint.open_sync(self._answer_timeout_s)
                try:
                    with contextlib.suppress(redis_errors.ResponseError):
                        connection.check_version(client.info("server"), self.endpoint.display)
                except BaseException:
                    client.close()
                    raise
                self._client = client
            return self._client

    def _batch(self, client: _Client, steps: Sequence[Script | Command]) -> list[Any]:
        replies = self._pipeline(client, steps)
        missing = [i for i, r in enumerate(replies) if connection.is_script_missing(r)]
        if missing:
            for name in {steps[i].name for i in missing}:  # type: ignore[union-attr]
                client.execute_command("SCRIPT LOAD", script_loader.source(name).text)
            for i, reply in zip(missing, self._pipeline(client, [steps[i] for i in missing]), strict=True):
                replies[i] = reply
        return replies

    def _pipeline(self, client: _Client, steps: Sequence[Script | Command]) -> list[Any]:
        with client.pipeline(transaction=False) as pipeline:
            now = self._now()
            for step in steps:
                pipeline.execute_command(*_wire(step, now))
            replies: list[Any] = pipeline.execute(raise_on_error=False)
        return replies

    def _block(self, step: Block) -> Any:
        self._connected()
        answer_s = _block_answer_s(step)
        with self._lock:
            client = self._blocking.get(answer_s)
            if client is None:
                client = self._blocking[answer_s] = self.endpoint.open_sync(answer_s)
        return client.execute_command(*step.args)


class AsyncRunner:
    """Runs flows on asyncio; one connection per event loop, opened when first needed.

    A blocking step has connections of its own, so that nothing waits behind it.
    """

    def __init__(self, endpoint: Endpoint, *, retry_for_s: float = 5.0) -> None:
        self.endpoint, self._retry_for_s = endpoint, retry_for_s
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopClients] = weakref.WeakKeyDictionary()

    async def run(self, flow: Flow[T]) -> T:
        """Drives a flow to its result.

        Raises:
            TqError: what the flow raised, or a BrokerError.
        """
        reply: Any = None
        try:
            step = next(flow)
            while True:
                try:
                    reply = await (self._do_traced(step) if tracing.is_loaded() else self._do(step))
                except BaseException as error:  # noqa: BLE001 - handed to the flow, which may clean up
                    step = flow.throw(error)
                else:
                    step = flow.send(reply)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    async def exchange(self, steps: Sequence[Script | Command]) -> list[Any]:
        """The replies to some steps of one round trip, errors among them; for whoever passes them on.

        Nothing is sent again.

        Raises:
            BrokerError: some of it or none may have been done.
        """
        try:
            return await self._batch(await self._connected(), steps)
        except _SENDABLE as error:
            raise connection.translate(error, self.endpoint.display) from error

    async def aclose(self) -> None:
        """Closes this event loop's connections; the next flow opens new ones."""
        clients = self._clients.pop(asyncio.get_running_loop(), None)
        if clients is not None:
            await clients.aclose()

    async def _do_traced(self, step: Step) -> Any:
        span = call_spans.span_of(step)
        if span is None:
            return await self._do(step)
        with span:
            return await self._do(step)

    async def _do(self, step: Step) -> Any:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        attempts = _Attempts(self.endpoint, step, self._retry_for_s)
        while True:
            try:
                clients = await self._connected()
                if isinstance(step, Block):
                    return await clients.block(step)
                if isinstance(step, Batch):
                    return attempts.checked(await self._batch(clients, step.steps))
                if isinstance(step, Script):
                    return await self._script(clients, step)
                return await clients.client.execute_command(*step.args)
            except _SENDABLE as error:
                if connection.is_connection_lost(error) and attempts.may_revive:
                    await asyncio.to_thread(attempts.revive)
                await asyncio.sleep(attempts.wait_s(error))

    def _now(self) -> str:
        return str(self.endpoint.clock_ms()) if self.endpoint.clock_ms else ""

    async def _connected(self) -> _LoopClients:
        loop = asyncio.get_running_loop()
        clients = self._clients.get(loop)
        if clients is None:
            self._forget_closed_loops()
            clients = self._clients[loop] = _LoopClients(self.endpoint)
        if not clients.is_checked:
            async with clients.checking:
                if not clients.is_checked:
                    await clients.close_with_loop()
                    await clients.check()
                    clients.is_checked = True
        return clients

    def _forget_closed_loops(self) -> None:
        # A client refers to its loop, so the dictionary's weak keys alone would keep both for ever.
        for loop, clients in list(self._clients.items()):
            if loop.is_closed():
                clients.abandon()
                del self._clients[loop]

    async def _script(self, clients: _LoopClients, step: Script) -> Any:
        if clients.line is not None:
            (reply,) = await self._sent(clients, [step])
            if isinstance(reply, Exception):
                raise reply
            return reply
        try:
            return await clients.client.execute_command(*_wire(step, self._now()))
        except redis_errors.NoScriptError:
            await clients.client.execute_command("SCRIPT LOAD", script_loader.source(step.name).text)
            return await clients.client.execute_command(*_wire(step, self._now()))

    async def _batch(self, clients: _LoopClients, steps: Sequence[Script | Command]) -> list[Any]:
        if clients.takes(steps):
            return await self._sent(clients, steps)
        async with clients.pipelines:
            return await self._sent(clients, steps)

    async def _sent(self, clients: _LoopClients, steps: Sequence[Script | Command]) -> list[Any]:
        replies = await self._send(clients, steps)
        missing = [i for i, r in enumerate(replies) if connection.is_script_missing(r)]
        if missing:
            for name in {steps[i].name for i in missing}:  # type: ignore[union-attr]
                await clients.client.execute_command("SCRIPT LOAD", script_loader.source(name).text)
            again = await self._send(clients, [steps[i] for i in missing])
            for i, reply in zip(missing, again, strict=True):
                replies[i] = reply
        return replies

    async def _send(self, clients: _LoopClients, steps: Sequence[Script | Command]) -> list[Any]:
        now = self._now()
        if clients.line is not None and clients.takes(steps):
            return await clients.line.ask([_wire(step, now) for step in steps])
        # What redis-py makes of the replies of plain commands is wanted.
        async with clients.client.pipeline(transaction=False) as pipeline:
            for step in steps:
                pipeline.execute_command(*_wire(step, now))
            replies: list[Any] = await pipeline.execute(raise_on_error=False)
        return replies


class _LoopClients:
    """The clients of one event loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.client: _Client = endpoint.open_async(connection.ANSWER_TIMEOUT_S, True)
        self.line = self._new_line(connection.ANSWER_TIMEOUT_S) if endpoint.open_async_line is not None else None
        """Where scripts are sent, with less ado than by the client; None where that cannot be."""
        self._blocking: dict[float, _Client] = {}
        self._resting: dict[float, list[AsyncLine]] = {}
        """Lines on which nobody waits now, by how long their answers may take."""
        self.checking = asyncio.Lock()
        self.pipelines = asyncio.Semaphore(_PIPELINES_AT_ONCE)
        self.is_checked = False
        self._end: AsyncGenerator[None, None] | None = None

    def _new_line(self, answer_s: float) -> AsyncLine:
        assert self._endpoint.open_async_line is not None
        return AsyncLine(functools.partial(self._endpoint.open_async_line, answer_s), answer_timeout_s=answer_s)

    def takes(self, steps: Sequence[Script | Command]) -> bool:
        """Whether all of a batch can be sent on the line."""
        return self.line is not None and all(isinstance(step, Script) for step in steps)

    async def check(self) -> None:
        """Refuses a server that is too old.

        Raises:
            BrokerTooOldError: it is.
        """
        if self.line is not None:
            (told,) = await self.line.ask([("INFO", "server")])
            if isinstance(told, Exception) and not isinstance(told, redis_errors.ResponseError):
                raise told
            connection.check_version(connection.version_told(told), self._endpoint.display)
            return
        with contextlib.suppress(redis_errors.ResponseError):
            connection.check_version(await self.client.info("server"), self._endpoint.display)

    async def block(self, step: Block) -> Any:
        answer_s = _block_answer_s(step)
        if self._endpoint.open_async_line is not None and step.args[0] in _LINE_WAITS:
            resting = self._resting.setdefault(answer_s, [])
            line = resting.pop() if resting else self._new_line(answer_s)
            try:
                (reply,) = await line.ask([step.args])
            except BaseException:
                await line.aclose()  # who is cancelled leaves a wait behind
                raise
            resting.append(line)
            if isinstance(reply, Exception):
                raise reply
            return reply
        if answer_s not in self._blocking:
            self._blocking[answer_s] = self._endpoint.open_async(answer_s, False)
        return await self._blocking[answer_s].execute_command(*step.args)

    async def close_with_loop(self) -> None:
        """Lets asyncio.run close the connections: before a loop ends, it closes the generators that began in it."""
        if self._end is None:
            self._end = self._until_closed()
            await anext(self._end)

    async def _until_closed(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            if self.line is not None:
                await self.line.aclose()
            for line in [line for lines in self._resting.values() for line in lines]:
                await line.aclose()
            self._resting.clear()
            for client in (self.client, *self._blocking.values()):
                await client.aclose()
            self._blocking.clear()

    async def aclose(self) -> None:
        await self.close_with_loop()
        if self._end is not None:
            await self._end.aclose()

    def abandon(self) -> None:
        """Leaves the connections to the garbage collector: their loop is closed."""
        connection.abandon(self.client)
