"""From which queue to claim next, and when to look again at the empty ones.

A queue is *ripe* while it may have pending tasks: after its marker was taken, when a delayed task is due, when the last
claim came back full, and now and then on suspicion. Only ripe queues are claimed from.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable

from tq_core.errors import BrokerError
from tq_core.roles import consumer, waking
from tq_core.transport.runner import AsyncRunner
from tq_core.transport.steps import Flow
from tq_worker.worker.turns import Turns
from tq_worker.worker.wear import Wear

POLL_S = 1.0
POLL_JITTER = 0.25
TOO_NEW_LOOK_S = 60.0
_AFTER_ERROR_S = 0.5
_LONGEST_DUE_S = 3600.0


class Claiming:
    """Which queues are ripe."""

    def __init__(
        self, runner: AsyncRunner, queues: tuple[str, ...], *, worker_id: str, lease_ms: int, turns: Turns
    ) -> None:
        self._runner, self._queues, self._turns = runner, queues, turns
        self._worker_id, self._lease_ms = worker_id, lease_ms
        self._ripe = set(queues)
        self._too_new: dict[str, float] = {}
        """When a queue that a newer tq wrote is looked at again, by our monotonic clock."""
        self._due: dict[str, float] = {}
        """When the next delayed task of a queue is due, by our monotonic clock."""
        self.taken = 0
        """Tasks that were claimed so far."""
        self.wear: Wear | None = None
        self._is_open = False
        self._may_listen = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None
        self.clock_offset_ms: float | None = None
        """The server's clock minus our monotonic one; None until it is known."""

    # --- what the pump asks ---

    @property
    def is_open(self) -> bool:
        """Whether this process takes tasks at all."""
        return self._is_open

    def next_queue(self) -> str | None:
        """The queue to claim from now; None when there is none."""
        if not self._ripe or not self._is_open:
            return None
        return self._turns.next(self._ripe)

    def portion(self, wanted: int) -> int:
        """How many of the wanted tasks to claim at once from the next queue."""
        return self._turns.portion(self._ripe, wanted)

    def claim(self, queue: str, *, nonce: str, limit: int) -> Flow[consumer.Claim]:
        """The claim itself."""
        return consumer.claim(queue, worker_id=self._worker_id, nonce=nonce, limit=limit, lease_ms=self._lease_ms)

    def note(self, queue: str, claim: consumer.Claim, limit: int) -> None:
        """Learns from the answer whether the queue may have more."""
        self.taken += len(claim.tasks)
        if self.wear is not None:
            self.wear.taken(self.taken)
        self._turns.took(queue, len(claim.tasks))
        if len(claim.tasks) >= limit:
            return
        self._ripe.discard(queue)
        self._due.pop(queue, None)
        if claim.next_due_ms is not None and self.clock_offset_ms is not None:
            self._due[queue] = (claim.next_due_ms - self.clock_offset_ms) / 1000

    def skip(self, queue: str) -> None:
        """Leaves a queue alone until everything is looked at again."""
        self._ripe.discard(queue)

    def leave_alone(self, queue: str) -> bool:
        """Leaves a queue alone that a newer tq wrote, but for a look now and then; whether that is news."""
        is_news = queue not in self._too_new
        self._too_new[queue] = time.monotonic() + TOO_NEW_LOOK_S
        self._ripe.discard(queue)
        return is_news

    def listen(self) -> None:
        """Waits on the markers: nothing is ripe, and a task could be taken at once.

        Never otherwise, because a marker taken by a busy worker would not wake an idle one.
        """
        self._may_listen.set()

    # --- opening and closing ---

    def open(self, wake: Callable[[], None]) -> None:
        """Takes tasks from now on; `wake` is called when a queue has become ripe."""
        self._is_open = True
        self.ripen_all()
        if self._listener is None or self._listener.done():
            self._listener = asyncio.get_running_loop().create_task(self._listen(wake))
        wake()

    def close(self) -> None:
        """Takes none any more."""
        self._is_open = False
        self._may_listen.set()

    def ripen_all(self) -> None:
        """Looks at every queue again."""
        self._ripe.update(self._queues)
        if self._too_new:
            now = time.monotonic()
            self._ripe.difference_update(queue for queue, until in self._too_new.items() if now < until)

    async def _listen(self, wake: Callable[[], None]) -> None:
        # A cancellation may be lost (tq_worker.ending), so it is not relied on alone.
        while self._is_open:
            await self._may_listen.wait()
            self._may_listen.clear()
            if self._ripe or not self._is_open:
                continue
            try:
                queue = await self._runner.run(waking.wait_for_work(self._queues, timeout_s=self._timeout_s()))
            except BrokerError:
                await asyncio.sleep(_AFTER_ERROR_S)
                queue = None
            await self._woken(queue)
            wake()

    async def _woken(self, queue: str | None) -> None:
        if queue is None or (self._is_open and self._runner.endpoint.is_cluster):
            # Of several nodes more than one may have had a marker, and one is told.
            self.ripen_all()
        elif self._is_open:
            if queue not in self._too_new:
                self._ripe.add(queue)
        else:
            with contextlib.suppress(BrokerError):
                await self._runner.run(waking.pass_on(queue))

    def _timeout_s(self) -> float:
        poll_s = POLL_S * (1 + random.uniform(-POLL_JITTER, POLL_JITTER))
        now = time.monotonic()
        due_s = min((due - now for due in self._due.values()), default=_LONGEST_DUE_S)
        return max(0.005, min(poll_s, due_s))
