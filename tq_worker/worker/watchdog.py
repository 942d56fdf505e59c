"""Notices an event loop that hangs: an async handler that computes or waits without awaiting holds up all others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from tq_worker.worker.coroutines import CoroutineExecution
from tq_worker.worker.hold import Hold
from tq_worker.worker.run import Run, Stage

BEAT_S = 0.25
STALLED_AFTER_S = 1.0
OVERDUE_AFTER_S = 2.0
"""How long past its end a task may run because the loop could not stop it."""


class Hanging(NamedTuple):
    """The loop hangs, and somebody has waited too long for it."""

    stalled_s: float
    overdue: tuple[Run, ...]
    """Runs past their timeout, or killed, that cannot be ended any other way."""
    blocker: Run | None
    """The one that holds up the loop, where it can be told."""


class Watchdog:
    """Looks at the loop from outside."""

    def __init__(self, loop: asyncio.AbstractEventLoop, hold: Hold, leave_by: Callable[[], float | None]) -> None:
        self._loop, self._hold, self._leave_by = loop, hold, leave_by
        self._beat_at = time.monotonic()
        self._is_warned = False

    def beat(self) -> None:
        """Called by the loop, again and again."""
        self._beat_at = time.monotonic()
        self._loop.call_later(BEAT_S, self.beat)

    @property
    def lag_s(self) -> float:
        """How late the loop is."""
        return max(0.0, time.monotonic() - self._beat_at - BEAT_S)

    def look(self) -> Hanging | None:
        """Says whether the process must end because its loop hangs; called from another thread."""
        lag_s = self.lag_s
        if lag_s < STALLED_AFTER_S:
            self._is_warned = False
            return None
        now = time.monotonic()
        running = [run for run in list(self._hold.runs.values()) if run.stage is Stage.RUNNING]
        overdue = tuple(run for run in running if _is_overdue(run, now))
        leave_by = self._leave_by()
        if not overdue and (leave_by is None or now < leave_by + OVERDUE_AFTER_S):
            return None
        return Hanging(lag_s, overdue, self.blocker(running))

    def should_warn(self) -> bool:
        """Whether the loop has begun to hang since the last question."""
        if self.lag_s < STALLED_AFTER_S or self._is_warned:
            return False
        self._is_warned = True
        return True

    def blocker(self, running: list[Run]) -> Run | None:
        """The task whose handler the loop is in."""
        current = asyncio.current_task(self._loop)
        for run in running:
            if isinstance(run.execution, CoroutineExecution) and run.execution.task is current:
                return run
        return None


def _is_overdue(run: Run, now: float) -> bool:
    if run.execution is not None and run.execution.is_alone:
        return False
    if run.hard_deadline is not None and now > run.hard_deadline + OVERDUE_AFTER_S:
        return True
    return run.kill_asked is not None and now > run.kill_asked + OVERDUE_AFTER_S
