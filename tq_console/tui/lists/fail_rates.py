"""How often tasks failed in each worker of late, from what its heartbeats said while the console looked."""

from __future__ import annotations

from collections import deque

from tq_core.roles.registry import Fleet, WorkerInfo

WINDOW_MS = 60_000
STEP_MS = 10_000
"""As often as that what they say is remembered."""


class FailRates:
    """What workers said in the last minute or so; workers only count, so a rate needs two looks."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, dict[str, tuple[int, int]]]] = deque()
        """When, and of each worker how many failed and when it started."""

    def look(self, fleet: Fleet) -> None:
        """Remembers what they say now, if it is time to."""
        seen = self._seen
        if seen and fleet.now_ms < seen[-1][0]:
            seen.clear()
        if seen and fleet.now_ms - seen[-1][0] < STEP_MS:
            return
        said = {m.id: (m.info.failed, m.info.started_at_ms) for m in fleet.workers if isinstance(m.info, WorkerInfo)}
        seen.append((fleet.now_ms, said))
        while len(seen) > 1 and fleet.now_ms - seen[1][0] >= WINDOW_MS:
            seen.popleft()

    def per_minute(self, info: WorkerInfo, now_ms: int) -> float | None:
        """Failures a minute; None while it is not known yet."""
        for at_ms, said in self._seen:
            before = said.get(info.worker_id)
            if before is not None and before[1] == info.started_at_ms and info.failed >= before[0]:
                passed_ms = now_ms - at_ms
                return (info.failed - before[0]) * 60_000 / passed_ms if passed_ms >= STEP_MS else None
        return None
