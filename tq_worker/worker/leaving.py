"""How a worker process comes to its end on purpose: what runs may finish, what does not is given back at no cost."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable

from tq_worker.worker.claiming import Claiming
from tq_worker.worker.execution import Floor
from tq_worker.worker.hold import Hold
from tq_worker.worker.pump import Pump
from tq_worker.worker.reports import Reports
from tq_worker.worker.run import Ending, Run, Stage

STOP_WAIT_S = 1.0
"""How long handlers that are told to stop may take before the process goes without them."""
SETTLE_S = 5.0
"""How long the broker may take to hear the last of it; the supervisor says the rest."""
_LOOK_EVERY_S = 0.5


class Leaving:
    """Empties one process."""

    def __init__(self, *, hold: Hold, floor: Floor, reports: Reports, pump: Pump, claiming: Claiming) -> None:
        self._hold, self._floor, self._reports, self._pump, self._claiming = hold, floor, reports, pump, claiming
        self._is_hurried = False
        self.victims: set[Run] = set()
        """Runs that do not stop: the process ends because of them."""
        self.deadline: float | None = None
        """By the monotonic clock; None while nobody leaves."""

    def hurry(self) -> None:
        """Waits for nobody any more."""
        self._is_hurried = True
        self.deadline = time.monotonic()
        self._hold.ended.set()

    async def stop_claiming(self, why: str) -> None:
        """Takes no more tasks, and gives those back that have not started."""
        self._claiming.close()
        await self._pump.quiet()
        self._give_back_waiting(why)

    def _give_back_waiting(self, why: str) -> None:
        while self._hold.waiting:
            self._reports.released(self._hold.waiting.popleft(), why)

    def leave_by(self, deadline: float) -> None:
        """Sets when to stop waiting for what runs; a later time than the one that is set changes nothing."""
        self.deadline = deadline if self.deadline is None else min(self.deadline, deadline)

    async def leave(self, why: str) -> None:
        """Returns when this process holds nothing any more, or has tried for long enough."""
        assert self.deadline is not None
        await self.stop_claiming(why)
        while self._working() and time.monotonic() < self.deadline and not self._is_hurried:
            await self._one_ends(self.deadline)
        for run in self._working():
            self._floor.stop(run, Ending("release", why))
        self._give_back_waiting(why)
        give_up_at = time.monotonic() + STOP_WAIT_S
        while self._working() and time.monotonic() < give_up_at:
            await self._one_ends(give_up_at)
        for run in self._working():
            self._floor.abandon(run, why)
        for run in self.victims:
            self._floor.convict(run)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                await self._pump.settled()

    async def _one_ends(self, until: float) -> None:
        self._hold.ended.clear()
        with contextlib.suppress(TimeoutError):
            # The deadline may be moved meanwhile, so it is looked at now and then.
            async with asyncio.timeout(min(_LOOK_EVERY_S, max(0.0, until - time.monotonic()))):
                await self._hold.ended.wait()

    def _working(self) -> list[Run]:
        return [r for r in self._hold.runs.values() if r.stage is Stage.RUNNING and r not in self.victims]

    def neighbours_of(self, victims: Iterable[Run]) -> int:
        """How many other tasks run in this process, not counting those with a process of their own."""
        out = set(victims)
        return sum(
            1
            for run in self._hold.runs.values()
            if run.stage is Stage.RUNNING and run not in out and not (run.execution and run.execution.is_alone)
        )
