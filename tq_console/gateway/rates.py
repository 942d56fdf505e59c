"""How often somebody may ask: one bucket of tokens each, as a single number."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

BURST_S = 1.0
"""A bucket holds what may be asked in so long, and one at least."""
MAX_BUCKETS = 10_000
"""Of addresses and keys; the one that was asked longest ago is forgotten first."""


class Rates:
    """Buckets by name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, name: str, rate_per_s: float, *, burst: float | None = None) -> float:
        """Takes one token; seconds until there is one where there is none, and 0 where it was taken.

        Source: generic cell rate algorithm, ITU-T I.371.
        """
        now, step = self._clock(), 1 / rate_per_s
        holds_s = max(1.0, rate_per_s * BURST_S if burst is None else burst) * step
        full_at = max(now, self._full_at.pop(name, now)) + step
        if full_at - now > holds_s + 1e-9:
            self._full_at[name] = full_at - step
            return full_at - now - holds_s
        self._full_at[name] = full_at
        if len(self._full_at) > MAX_BUCKETS:
            self._full_at.popitem(last=False)
        return 0.0
