"""When a worker process has run enough tasks and should be replaced by a fresh one."""

from __future__ import annotations

import random
from collections.abc import Callable

JITTER = 0.1
"""Processes that were started together must not all be replaced together."""


class Wear:
    """Says once that the limit is reached; the limit is drawn from its upper tenth."""

    def __init__(self, max_tasks: int, tell: Callable[[str], None]) -> None:
        self._limit = max(1, max_tasks - random.randint(0, int(max_tasks * JITTER)))
        self._tell = tell
        self._is_told = False

    def taken(self, count: int) -> None:
        """Learns how many tasks the process has claimed so far."""
        if count >= self._limit and not self._is_told:
            self._is_told = True
            self._tell(f"it has taken {count} tasks")
