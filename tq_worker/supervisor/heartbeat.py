"""Says that the node lives and what it is; at once when that changes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tq_core.errors import BrokerError, BrokerUnreachableError, RefusedError
from tq_core.roles import limits, registry, schedules
from tq_core.roles.registry import NodeInfo, PublishedType
from tq_core.roles.schedules import Schedule
from tq_worker.supervisor.broker_pulse import BrokerPulse

if TYPE_CHECKING:
    from tq_core.transport.runner import AsyncRunner

PUBLISH_EVERY_S = 3600.0


class NodeHeartbeat:
    """Sends a node's heartbeats and keeps its task types and schedules known."""

    def __init__(
        self,
        runner: AsyncRunner,
        *,
        every_s: float,
        describe: Callable[[], NodeInfo],
        types: Sequence[PublishedType],
        schedules: Sequence[Schedule],
        pulse: BrokerPulse,
    ) -> None:
        self._runner, self._every_s, self._describe = runner, every_s, describe
        self._types, self._schedules = types, schedules
        self._pulse = pulse
        self._changed = asyncio.Event()
        self._published_at: float | None = None

    def beat_soon(self) -> None:
        """Does not wait for the next turn: something changed that people watch."""
        self._changed.set()

    def publish(self, types: Sequence[PublishedType], schedules: Sequence[Schedule]) -> None:
        """Says at once what the code has now, as at the start."""
        self._types, self._schedules = types, schedules
        self._published_at = None
        self.beat_soon()

    async def beat(self) -> None:
        """One heartbeat; the first, and one an hour, publish the types and declare the schedules.

        Raises:
            BrokerError: the broker was not reached.
            RefusedError: a queue has too many schedules.
        """
        await self._runner.run(registry.heartbeat(self._describe()))
        self._pulse.heard()
        now = time.monotonic()
        if self._published_at is None or now - self._published_at >= PUBLISH_EVERY_S:
            await self._runner.run(registry.publish_types(self._types))
            await self._runner.run(schedules.declare(self._schedules, is_start=self._published_at is None))
            if self._published_at is None:
                await self._runner.run(limits.declare_breakers(self._types))
            self._published_at = now

    async def run(self) -> None:
        """Never returns."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await self._changed.wait()
            self._changed.clear()
            try:
                await self.beat()
            except BrokerUnreachableError:
                self._pulse.missed()
            except (BrokerError, RefusedError):
                continue
