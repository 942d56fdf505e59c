"""Runs flows against Redis, asynchronously or synchronously: the only code that sends anything.

What may be sent again after a broken connection is decided here: idempotent scripts and plain commands, with backoff,
until `retry_for_s` is over. A script that is not idempotent (a claim) is sent again only when the server said that it
did not run: NOSCRIPT, LOADING, READONLY and the like.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

import redis.exceptions as redis_errors

from tq_core import connection, script_loader
from tq_core.connection import Endpoint
from tq_core.steps import Batch, Block, Command, Flow, Pause, Script, Step

T = TypeVar("T")
_Client: TypeAlias = Any
"""A client of redis-py, whose `execute_command` has no types."""
_FIRST_WAIT_S = 0.05
_LONGEST_WAIT_S = 1.0
_BLOCK_MARGIN_S = 5.0
"""How much longer than a blocking command its connection waits: the server must always be the one to give up."""


def _wire(step: Script | Command, now: str) -> tuple[Any, ...]:
    if isinstance(step, Command):
        return tuple(step.args)
    return ("EVALSHA", script_loader.source(step.name).sha, 1, step.prefix, now, *step.args)


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

    def wait_s(self, error: BaseException) -> float:
        """Seconds until the next try.

        Raises:
            BrokerError: there is none.
        """
        again = connection.is_transient(error) or (connection.is_connection_lost(error) and _may_repeat(self._step))
        if not again or time.monotonic() + self._wait_s > self._deadline:
            raise connection.translate(error, self._endpoint.display) from error
        wait_s, self._wait_s = self._wait_s, min(self._wait_s * 2, _LONGEST_WAIT_S)
        return wait_s


_SENDABLE = (redis_errors.RedisError, OSError)


class SyncRunner:
    """Runs flows from ordinary code; may be shared by threads."""

    def __init__(self, endpoint: Endpoint, *, retry_for_s: float = 5.0) -> None:
        self.endpoint, self._retry_for_s = endpoint, retry_for_s
        self._lock = threading.Lock()
        self._client: _Client | None = None
        self._blocking: _Client | None = None

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
                    reply = self._do(step)
                except BaseException as error:  # noqa: BLE001 - handed to the flow, which may clean up
                    step = flow.throw(error)
                else:
                    step = flow.send(reply)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    def close(self) -> None:
        """Closes the connections; the next flow opens new ones."""
        with self._lock:
            for client in (self._client, self._blocking):
                if client is not None:
                    client.close()
            self._client = self._blocking = None

    def _do(self, step: Step) -> Any:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        attempts = _Attempts(self.endpoint, step, self._retry_for_s)
        while True:
            try:
                if isinstance(step, Block):
                    return self._block(step)
                client = self._connected()
                if isinstance(step, Batch):
                    return self._batch(client, step.steps)
                try:
                    return client.execute_command(*_wire(step, self._now()))
                except redis_errors.NoScriptError:
                    assert isinstance(step, Script)
                    client.execute_command("SCRIPT LOAD", script_loader.source(step.name).text)
                    return client.execute_command(*_wire(step, self._now()))
            except _SENDABLE as error:
                time.sleep(attempts.wait_s(error))

    def _now(self) -> str:
        return str(self.endpoint.clock_ms()) if self.endpoint.clock_ms else ""

    def _connected(self) -> _Client:
        with self._lock:
            if self._client is None:
                client: _Client = self.endpoint.open_sync(connection.ANSWER_TIMEOUT_S)
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
        return _checked(replies)

    def _pipeline(self, client: _Client, steps: Sequence[Script | Command]) -> list[Any]:
        with client.pipeline(transaction=False) as pipeline:
            now = self._now()
            for step in steps:
                pipeline.execute_command(*_wire(step, now))
            replies: list[Any] = pipeline.execute(raise_on_error=False)
        return replies

    def _block(self, step: Block) -> Any:
        self._connected()
        with self._lock:
            if self._blocking is None:
                self._blocking = self.endpoint.open_sync(step.timeout_s + _BLOCK_MARGIN_S)
        return self._blocking.execute_command(*step.args)


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
                    reply = await self._do(step)
                except BaseException as error:  # noqa: BLE001 - handed to the flow, which may clean up
                    step = flow.throw(error)
                else:
                    step = flow.send(reply)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        """Closes this event loop's connections; the next flow opens new ones."""
        clients = self._clients.pop(asyncio.get_running_loop(), None)
        if clients is not None:
            await clients.aclose()

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
                    return await self._batch(clients.client, step.steps)
                try:
                    return await clients.client.execute_command(*_wire(step, self._now()))
                except redis_errors.NoScriptError:
                    assert isinstance(step, Script)
                    await clients.client.execute_command("SCRIPT LOAD", script_loader.source(step.name).text)
                    return await clients.client.execute_command(*_wire(step, self._now()))
            except _SENDABLE as error:
                await asyncio.sleep(attempts.wait_s(error))

    def _now(self) -> str:
        return str(self.endpoint.clock_ms()) if self.endpoint.clock_ms else ""

    async def _connected(self) -> _LoopClients:
        loop = asyncio.get_running_loop()
        clients = self._clients.get(loop)
        if clients is None:
            clients = self._clients[loop] = _LoopClients(self.endpoint)
        if not clients.is_checked:
            async with clients.checking:
                if not clients.is_checked:
                    with contextlib.suppress(redis_errors.ResponseError):
                        connection.check_version(await clients.client.info("server"), self.endpoint.display)
                    clients.is_checked = True
        return clients

    async def _batch(self, client: _Client, steps: Sequence[Script | Command]) -> list[Any]:
        replies = await self._pipeline(client, steps)
        missing = [i for i, r in enumerate(replies) if connection.is_script_missing(r)]
        if missing:
            for name in {steps[i].name for i in missing}:  # type: ignore[union-attr]
                await client.execute_command("SCRIPT LOAD", script_loader.source(name).text)
            again = await self._pipeline(client, [steps[i] for i in missing])
            for i, reply in zip(missing, again, strict=True):
                replies[i] = reply
        return _checked(replies)

    async def _pipeline(self, client: _Client, steps: Sequence[Script | Command]) -> list[Any]:
        async with client.pipeline(transaction=False) as pipeline:
            now = self._now()
            for step in steps:
                pipeline.execute_command(*_wire(step, now))
            replies: list[Any] = await pipeline.execute(raise_on_error=False)
        return replies


class _LoopClients:
    """The clients of one event loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.client: _Client = endpoint.open_async(connection.ANSWER_TIMEOUT_S, True)
        self._blocking: _Client | None = None
        self.checking = asyncio.Lock()
        self.is_checked = False

    async def block(self, step: Block) -> Any:
        if self._blocking is None:
            self._blocking = self._endpoint.open_async(step.timeout_s + _BLOCK_MARGIN_S, False)
        return await self._blocking.execute_command(*step.args)

    async def aclose(self) -> None:
        for client in (self.client, self._blocking):
            if client is not None:
                await client.aclose()


def _checked(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies
