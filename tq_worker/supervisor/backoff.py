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

    def died(self, started_at: float) -> float:
        """Seconds to wait, after a worker that was started at that monotonic time."""
        lived_s = time.monotonic() - started_at
        self.quick_deaths = 0 if lived_s >= STEADY_AFTER_S else self.quick_deaths + 1
        return STEPS_S[min(max(0, self.quick_deaths - 1), len(STEPS_S) - 1)]

    @property
    def is_crash_loop(self) -> bool:
        return self.quick_deaths >= LOOP_AFTER
