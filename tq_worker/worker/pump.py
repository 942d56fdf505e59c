"""The one conversation with the broker that moves tasks.

What has ended goes out and what is claimed comes in, in the same round trip. While one exchange is on its way, ends
collect for the next, so batches grow with the load by themselves, and nothing waits when there is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from tq_core.errors import BrokerError, BrokerRefusedError, BrokerUnreachableError
from tq_core.roles import consumer, registry
from tq_core.transport.runner import AsyncRunner
from tq_core.transport.steps import Flow
from tq_core.transport.together import together
from tq_worker.lifecycle_log import LifecycleLog
from tq_worker.worker import crash_points
from tq_worker.worker.claiming import Claiming
from tq_worker.worker.hold import Hold
from tq_worker.worker.outbox import Delivery, Outbox

FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 1.0
ASK_AGAIN_S = 5.0
"""A claim whose answer was lost may reach the broker after it was released: its tasks are looked for once more."""


class Pump:
    """Sends and claims until it is stopped."""

    def __init__(
        self,
        runner: AsyncRunner,
        *,
        outbox: Outbox,
        hold: Hold,
        claiming: Claiming,
        log: LifecycleLog,
        claimed: Callable[[consumer.Claim, float], None],
        recorded: Callable[[], None],
        dropped: Callable[[Delivery, BrokerError], None],
    ) -> None:
        self._runner, self._outbox, self._hold, self._claiming = runner, outbox, hold, claiming
        self._log, self._claimed, self._recorded, self._dropped = log, claimed, recorded, dropped
        self._lost: list[tuple[str, str, float]] = []
        """Claims whose answer never came: queue, nonce, when to look for what they took."""
        self._wait_s = 0.0
        self._is_idle = asyncio.Event()
        self._not_asking = asyncio.Event()
        self._not_asking.set()
        self.is_reachable = True

    async def run(self) -> None:
        """Never returns; cancel it when nothing is left to say."""
        was_idle = False
        while True:
            if not was_idle:
                # What the last exchange started runs first: short tasks end at once and go along with the next one.
                await asyncio.sleep(0)
            was_idle = False
            self._outbox.changed.clear()
            queue = self._claiming.next_queue() if self._hold.wanted > 0 else None
            lost = self._due_lost()
            if not self._outbox and queue is None and not lost:
                self._is_idle.set()
                if self._hold.wanted > 0:
                    self._claiming.listen()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._until_lost()):
                        await self._outbox.changed.wait()
                was_idle = True
                continue
            self._is_idle.clear()
            if queue is not None:
                self._not_asking.clear()
            try:
                await self._exchange(queue, lost)
            finally:
                self._not_asking.set()
            if self._wait_s:
                await asyncio.sleep(self._wait_s)

    async def settled(self) -> None:
        """Returns when everything that there was to say has been said."""
        while True:
            self._is_idle.clear()
            self._outbox.changed.set()
            await self._is_idle.wait()
            if not self._outbox and not self._due_lost():
                return

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to say, no claim on its way, and none whose answer was lost."""
        return self._is_idle.is_set() and not self._outbox and not self._lost

    async def quiet(self) -> None:
        """Returns when no claim is on its way; with claiming closed none follows."""
        await self._not_asking.wait()

    def wake(self) -> None:
        """Makes the pump look whether it can claim."""
        self._outbox.changed.set()

    async def _exchange(self, queue: str | None, lost: list[tuple[str, str, float]]) -> None:
        deliveries = self._outbox.take()
        if deliveries:
            crash_points.reach("before_ack")
        flows: list[Flow[Any]] = [delivery.flow() for delivery in deliveries]
        flows += [consumer.release_claim(of, nonce) for of, nonce, _ in lost]
        sent = time.monotonic()
        wanted, was_empty = self._hold.wanted, not self._hold.waiting
        limit = wanted if queue is None else self._claiming.portion(wanted)
        nonce = consumer.new_nonce()
        if queue is not None:
            flows.append(self._claiming.claim(queue, nonce=nonce, limit=limit))
        try:
            results = await self._runner.run(together(flows))
        except BrokerError as error:
            if queue is not None:
                self._lost.append((queue, nonce, 0.0))
            if isinstance(error, BrokerUnreachableError | BrokerRefusedError):
                self._outbox.put_back(deliveries)
                self._not_heard(error)
            else:
                await self._one_by_one(deliveries, lost, error, queue)
            return
        except BaseException:
            self._outbox.put_back(deliveries)
            if queue is not None:
                self._lost.append((queue, nonce, 0.0))
            raise
        self._heard()
        if deliveries:
            crash_points.reach("after_ack")
        for delivery, result in zip(deliveries, results, strict=False):
            delivery.told(result)
        self._recorded()
        for entry in lost:
            self._lost.remove(entry)
            if entry[2] == 0.0:
                self._lost.append((entry[0], entry[1], sent + ASK_AGAIN_S))
        if queue is not None:
            claim: consumer.Claim = results[-1]
            self._claiming.note(queue, claim, limit)
            self._hold.fed(is_full=len(claim.tasks) >= limit, was_empty=was_empty)
            if claim.too_new is not None and self._claiming.leave_alone(queue):
                self._log.write("error", "broker", queue=queue, text=registry.too_new(queue, claim.too_new).message)
            if claim.tasks:
                crash_points.reach("after_claim")
                self._claimed(claim, sent)

    def _due_lost(self) -> list[tuple[str, str, float]]:
        if not self._lost:
            return []
        now = time.monotonic()
        return [entry for entry in self._lost if entry[2] <= now]

    def _until_lost(self) -> float | None:
        return max(0.0, min(entry[2] for entry in self._lost) - time.monotonic()) if self._lost else None

    def _not_heard(self, error: BrokerError) -> None:
        self._wait_s = min(self._wait_s * 2, LONGEST_WAIT_S) or FIRST_WAIT_S
        if self.is_reachable:
            self.is_reachable = False
            self._log.write("warning", "broker", text=f"{error.message} (trying again; running tasks go on)")

    def _heard(self) -> None:
        self._wait_s = 0.0
        if not self.is_reachable:
            self.is_reachable = True
            self._claiming.ripen_all()
            self._log.write("info", "broker", text="the broker is back")

    async def _one_by_one(
        self, deliveries: list[Delivery], lost: list[tuple[str, str, float]], error: BrokerError, queue: str | None
    ) -> None:
        """Finds what the broker answers with an error, so that it does not hold up the others."""
        is_found = False
        while deliveries:
            try:
                result = await self._runner.run(together([deliveries[0].flow()]))
            except (BrokerUnreachableError, BrokerRefusedError) as away:
                self._outbox.put_back(deliveries)
                self._not_heard(away)
                return
            except BrokerError as own:
                is_found = True
                self._dropped(deliveries[0], own)
            else:
                deliveries[0].told(result[0])
            deliveries.pop(0)
        for entry in lost:
            try:
                await self._runner.run(consumer.release_claim(entry[0], entry[1]))
            except (BrokerUnreachableError, BrokerRefusedError) as away:
                self._not_heard(away)
                return
            except BrokerError:
                # Of a queue that is broken; the claims of the others must not wait for it.
                is_found = True
                self._lost.remove(entry)
                self._lost.append((entry[0], entry[1], time.monotonic() + ASK_AGAIN_S))
        if queue is not None and not is_found:
            self._claiming.skip(queue)
            self._log.write("error", "broker", queue=queue, text=f"cannot claim: {error.message}")
