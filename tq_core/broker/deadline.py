"""A moment by which something must have happened, for code that has to poll for it."""

from __future__ import annotations

import time

_FIRST_PAUSE_S = 0.002
_LONGEST_PAUSE_S = 0.05


class Deadline:
    """A point in time, with pauses that grow while it is waited for and never reach beyond it."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._at_s = time.monotonic() + timeout_s
        self._pause_s = _FIRST_PAUSE_S

    @property
    def remaining_s(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self._at_s - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether no time is left."""
        return time.monotonic() >= self._at_s

    def pause(self) -> None:
        """Sleep a little, longer each time."""
        time.sleep(min(self._pause_s, self.remaining_s))
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
