"""What this process holds: claimed tasks that wait for a slot, run, or have ended and are not recorded yet."""

from __future__ import annotations

import asyncio
from collections import deque

from tq_worker.worker.run import Run, Stage

SHORT_RUN_MS = 50.0
_WEIGHT = 0.05


class Hold:
    """The tasks of one process and its slots; changed by the event loop only."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.runs: dict[str, Run] = {}
        """By task id; other threads read a copy: `list(hold.runs.values())` is one step of the interpreter."""
        self.waiting: deque[Run] = deque()
        self.running = 0
        self.ended = asyncio.Event()
        """Set whenever a handler has ended."""
        self.completed = 0
        self.failed = 0
        self._mean_ms = SHORT_RUN_MS * 2

    @property
    def free_slots(self) -> int:
        return self.slots - self.running - len(self.waiting)

    @property
    def wanted(self) -> int:
        """How many tasks to claim: as many as slots are free.

        One more while tasks are so short that fetching one would leave a slot idle; more would keep them from others.
        """
        free = self.free_slots
        return free + 1 if free > 0 and self._mean_ms < SHORT_RUN_MS else free

    def note_duration(self, duration_ms: int) -> None:
        """Follows how long tasks run."""
        self._mean_ms += (duration_ms - self._mean_ms) * _WEIGHT

    def add(self, run: Run) -> Run | None:
        """Holds a claimed task; returns the older run of the same task, whose lease must have been lost."""
        older = self.runs.get(run.task.id)
        self.runs[run.task.id] = run
        self.waiting.append(run)
        return older

    def drop(self, run: Run) -> None:
        """Forgets a task: its end is recorded, or somebody else has it."""
        run.stage = Stage.GONE
        if self.runs.get(run.task.id) is run:
            del self.runs[run.task.id]
