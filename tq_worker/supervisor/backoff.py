"""How long to wait before a worker that died is started again."""

from __future__ import annotations

import time

STEPS_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
STEADY_AFTER_S = 30.0
"""A worker that lived so long did not die of how it was started."""
LOOP_AFTER = 4
"""So many quick deaths in a row are called a crash loop."""


class Backoff:
    """Follows one seat's deaths."""

    def __init__(self) -> None:
        self.quick_deaths = 0

    def is_quick(self, started_at: float) -> bool:
        """Whether a worker that was started at that monotonic time has not lived long enough to be called steady."""
        return time.monotonic() - started_at < STEADY_AFTER_S

    def died(self, started_at: float, *, is_refused: bool = False) -> float:
        """Seconds to wait, after a worker that was started at that monotonic time.

        Args:
            is_refused: It never ran, however long it took to find that out.
        """
        self.quick_deaths = self.quick_deaths + 1 if is_refused or self.is_quick(started_at) else 0
        return STEPS_S[min(max(0, self.quick_deaths - 1), len(STEPS_S) - 1)]

    @property
    def is_crash_loop(self) -> bool:
        return self.quick_deaths >= LOOP_AFTER
