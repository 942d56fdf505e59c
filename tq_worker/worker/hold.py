"""What this process holds: claimed tasks that wait for a slot, run, or have ended and are not recorded yet."""

from __future__ import annotations

import asyncio
from collections import deque

from tq_worker.worker.run import Run, Stage

SHORT_RUN_MS = 50.0
MAX_AHEAD = 100
"""How many tasks may wait here for a slot, claimed before there is one."""
LONGEST_WAIT_S = 0.02
"""How long a task should wait here at most: another worker might have run it meanwhile."""
_WEIGHT = 0.05


class Hold:
    """The tasks of one process and its slots; changed by the event loop only."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.runs: dict[str, Run] = {}
        """By task id; other threads read a copy: `list(hold.runs.values())` is one step of the interpreter."""
        self.waiting: deque[Run] = deque()
        self.running = 0
        self.ahead = 0
        """How many more tasks to hold than there are slots; follows how soon they start."""
        self._longest_wait_s = 0.0
        """Of those that started since the last claim."""
        self.ended = asyncio.Event()
        """Set whenever a handler has ended."""
        self.completed = 0
        self.failed = 0
        self._mean_ms = SHORT_RUN_MS * 2

    @property
    def wanted(self) -> int:
        """How many tasks to claim: as many as slots are free, and some ahead while tasks are short.

        To run the next batch while the last one is recorded and another is fetched is what makes short tasks fast. Long
        ones are claimed one by one as slots become free: what waits here is kept from others.
        """
        ahead = self.ahead if self._mean_ms < SHORT_RUN_MS else 0
        return self.slots + ahead - self.running - len(self.waiting)

    def fed(self, *, is_full: bool, was_empty: bool) -> None:
        """Learns from a claim.

        Args:
            is_full: It brought as many as were wanted: the queue has a backlog.
            was_empty: Nothing was waiting here any more when it was sent.
        """
        if not is_full:
            self.ahead = 0
        elif self._longest_wait_s > LONGEST_WAIT_S:
            self.ahead //= 2
        elif was_empty:
            self.ahead = min(MAX_AHEAD, self.ahead * 2 + 1)
        self._longest_wait_s = 0.0

    def take_stranded(self, *, claimed_before: float) -> list[Run]:
        """Lets go of those that wait here for so long; this process must not claim them ahead again and again."""
        stranded = []
        while self.waiting and self.waiting[0].claimed_at < claimed_before:
            stranded.append(self.waiting.popleft())
            self.ahead = 0
        return stranded

    def note_wait(self, waited_s: float) -> None:
        """Follows how long tasks wait here for a slot."""
        self._longest_wait_s = max(self._longest_wait_s, waited_s)

    def note_duration(self, duration_ms: float) -> None:
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
