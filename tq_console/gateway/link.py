"""The gateway's way to the broker: flows that read, flows that change, waits, and what is known of the task types."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TypeVar

from tq_console.gateway.problems import ProblemError
from tq_core import ids
from tq_core.model import TaskView
from tq_core.roles import registry
from tq_core.roles.registry import PublishedType
from tq_core.tasks.end_watch import EndWatch
from tq_core.transport.connection import Endpoint
from tq_core.transport.runner import AsyncRunner
from tq_core.transport.steps import Flow

T = TypeVar("T")
RETRY_FOR_S = 2.0
"""How long a broker that is away is tried: a client waits, and can ask again."""
TYPES_KEPT_S = 5.0
LOOK_AGAIN_S = 0.5
"""Not sooner than that are the types read again because one was not among them, or did not fit."""


class Link:
    """One broker, for one event loop."""

    def __init__(self, endpoint: Endpoint, *, refusal: str = "") -> None:
        """Connects with the first flow.

        Args:
            endpoint: The broker.
            refusal: Why nothing may be changed; "" = it may.
        """
        self.runner = AsyncRunner(endpoint, retry_for_s=RETRY_FOR_S)
        self._refusal = refusal
        self._types: Mapping[str, PublishedType] = {}
        self._types_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self.queue_numbers: dict[str, int] = {}
        """Of queues that were written to; one that is not right any more is noticed by whoever uses it."""
        self._ends = EndWatch(self.runner.run)

    async def run(self, flow: Flow[T]) -> T:
        """Runs a flow that reads.

        Raises:
            TqError: what the flow raised, or a BrokerError.
        """
        return await self.runner.run(flow)

    async def change(self, flow: Flow[T]) -> T:
        """Runs a flow that writes.

        Raises:
            ProblemError: 403, the context is for reading only.
            TqError: what the flow raised, or a BrokerError.
        """
        self.must_be_writable()
        return await self.runner.run(flow)

    @property
    def is_writable(self) -> bool:
        """Whether the configuration allows changes."""
        return not self._refusal

    def must_be_writable(self) -> None:
        """Refuses changes where the configuration does.

        Raises:
            ProblemError: 403.
        """
        if self._refusal:
            raise ProblemError(403, f"{self._refusal}: nothing done", code="read_only")

    async def end_of(self, task_id: str, *, timeout_s: float) -> TaskView:
        """Waits until a task has ended, without asking for it.

        Raises:
            WaitTimeoutError: it had not ended in time.
            NotFoundError: it is not there (any more).
        """
        return await self._ends.wait(task_id, timeout_s=timeout_s)

    async def number_of(self, queue: str) -> int:
        """The queue's number, which saves each submit a round trip.

        Raises:
            SchemaTooNewError: a newer tq wrote the queue.
        """
        if queue not in self.queue_numbers:
            self.queue_numbers[queue] = await self.run(registry.register_queue(queue))
        return self.queue_numbers[queue]

    def learn_number(self, queue: str, task_id: str) -> None:
        """Takes the queue's number from the id of a task that it accepted: the server may have been emptied since."""
        home = ids.home_of(task_id)
        if isinstance(home, int):
            self.queue_numbers[queue] = home

    async def types(self) -> Mapping[str, PublishedType]:
        """The published task types, as they were a moment ago."""
        age_s = time.monotonic() - self._types_at
        if age_s > TYPES_KEPT_S:
            await self._read_types()
        return self._types

    async def newer_types(self) -> Mapping[str, PublishedType] | None:
        """The published task types as they are now; None where they were just read."""
        if time.monotonic() - self._types_at < LOOK_AGAIN_S:
            return None
        await self._read_types()
        return self._types

    async def _read_types(self) -> None:
        # Whoever comes meanwhile waits for the same answer, also when the first one gives up.
        if self._reading is None or self._reading.done():
            self._reading = asyncio.ensure_future(self._do_read_types())
        await asyncio.shield(self._reading)

    async def _do_read_types(self) -> None:
        self._types = await self.run(registry.published_types())
        self._types_at = time.monotonic()

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._ends.aclose()
        if self._reading is not None:
            self._reading.cancel()
        await self.runner.aclose()
