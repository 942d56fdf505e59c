"""All that one event loop waits for, on one connection a queue: a thousand awaited results are one blocking command."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, cast

from tq_core.errors import BrokerRefusedError, BrokerUnreachableError, TqError
from tq_core.model import TaskView
from tq_core.roles import ends, inspector
from tq_core.transport.steps import Flow

LINGER_S = 0.25
"""How long a connection stays ready after the last wait: results are often awaited one after another."""
CANCEL_AGAIN_S = 0.05

RunFlow = Callable[[Flow[Any]], Awaitable[Any]]


class EndWatch:
    """Waits of one event loop for tasks to end."""

    def __init__(self, run: RunFlow) -> None:
        self._run = run
        self._client = ends.new_client()
        self._waits: dict[str, dict[str, set[asyncio.Future[None]]]] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}

    async def wait(self, task_id: str, *, timeout_s: float | None) -> TaskView:
        """As the flow `ends.wait`.

        Raises:
            WaitTimeoutError: it had not ended in time.
            NotFoundError: it is not there (any more).
        """
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else loop.time() + timeout_s
        queue = await self._run(ends.home(task_id))
        while True:
            future: asyncio.Future[None] = loop.create_future()
            self._waits.setdefault(queue, {}).setdefault(task_id, set()).add(future)
            try:
                if not await self._run(ends.watch(queue, self._client, [task_id])):
                    self._read(queue)
                    left_s = None if deadline is None else max(0.0, deadline - loop.time())
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(future, left_s)
            except BrokerRefusedError:
                left_s = None if deadline is None else max(0.0, deadline - loop.time())
                return cast("TaskView", await self._run(ends.wait(task_id, timeout_s=left_s)))
            finally:
                self._leave(queue, task_id, future)
            (found,) = await self._run(inspector.show([task_id], queue=queue))
            if found is None:
                raise await self._run(inspector.missing(task_id))
            if found.state.is_terminal:
                return cast("TaskView", found)
            # What was told may be an earlier end, of before it was run again.
            if deadline is not None and loop.time() >= deadline:
                raise ends.still_waiting(task_id, found, timeout_s)

    def _leave(self, queue: str, task_id: str, future: asyncio.Future[None]) -> None:
        waits = self._waits[queue]
        waits[task_id].discard(future)
        if future.done() and not future.cancelled():
            future.exception()  # whoever waited may have had an error of its own
        if not waits[task_id]:
            del waits[task_id]
        if not waits:
            asyncio.get_running_loop().call_later(LINGER_S, self._stop_if_idle, queue)

    def _stop_if_idle(self, queue: str) -> None:
        reader = self._readers.get(queue)
        if reader is not None and not self._waits.get(queue):
            del self._readers[queue]
            reader.cancel()

    def _read(self, queue: str) -> None:
        reader = self._readers.get(queue)
        if reader is None or reader.done():
            self._readers[queue] = asyncio.ensure_future(self._tell(queue))

    async def _tell(self, queue: str) -> None:
        """Passes on what the queue tells this client, and looks itself now and then."""
        waits = self._waits[queue]
        while self._readers.get(queue) is asyncio.current_task():
            try:
                told = await self._run(ends.next_ended(queue, self._client, timeout_s=ends.LOOK_AGAIN_S))
                ended = [told] if told else await self._run(ends.watch(queue, self._client, list(waits)))
            except TqError as error:
                _end_all(waits, error)
                return
            for task_id in ended:
                for future in waits.get(task_id, ()):
                    if not future.done():
                        future.set_result(None)

    async def aclose(self) -> None:
        """Stops reading; waits that are under way end with BrokerUnreachableError."""
        readers, self._readers = list(self._readers.values()), {}
        for reader in readers:
            # One that is connecting may swallow the first; one that found the broker gone may be who closes.
            while not reader.done() and reader is not asyncio.current_task():
                reader.cancel()
                await asyncio.wait([reader], timeout=CANCEL_AGAIN_S)
        for waits in self._waits.values():
            _end_all(
                waits, BrokerUnreachableError("the connection was closed while this waited for a task: wait again")
            )


def _end_all(waits: dict[str, set[asyncio.Future[None]]], error: TqError) -> None:
    for future in [f for futures in waits.values() for f in futures if not f.done()]:
        future.set_exception(error)
