"""Whose turn it is among the queues that may have tasks: by share, or strictly in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

PORTION = 16
"""Smaller claims would cost more round trips than a smoother order is worth."""


class Turns:
    """Gives each queue its share of the tasks that are claimed, or the first one all that it has.

    Shares are kept in tasks, not in claims: a claim may bring one task or a hundred. Each queue has its own time, which
    a task moves on by 1 / weight; the one whose time is earliest is next. One that had nothing for a while begins at
    the present, so that it makes up for nothing. As every time but that of the chosen one stands still, none starves.

    Source: stride scheduling, C. A. Waldspurger and W. E. Weihl, MIT/LCS/TM-528, 1995.
    """

    def __init__(self, queues: Sequence[str], weights: Mapping[str, int], *, is_strict: bool) -> None:
        self._queues, self._is_strict = tuple(queues), is_strict
        self._strides = {queue: 1 / weights.get(queue, 1) for queue in queues}
        self._times = dict.fromkeys(queues, 0.0)
        self._present = 0.0

    def next(self, ripe: AbstractSet[str]) -> str | None:
        """The queue to claim from, of those that may have tasks; None when there is none."""
        if self._is_strict:
            return next((queue for queue in self._queues if queue in ripe), None)
        present, times = self._present, self._times
        first, earliest = None, 0.0
        for queue in self._queues:
            if queue in ripe and (first is None or times[queue] < earliest):
                first, earliest = queue, times[queue]
                if earliest <= present:  # nobody can be earlier: who was away begins at the present
                    return queue
        if first is not None:
            self._present = earliest
        return first

    def portion(self, ripe: AbstractSet[str], wanted: int) -> int:
        """How many of the wanted tasks to claim at once: not all from one queue while others may have tasks too."""
        return wanted if self._is_strict or len(ripe) == 1 else min(wanted, PORTION)

    def took(self, queue: str, count: int) -> None:
        """Counts tasks that were claimed."""
        self._times[queue] = max(self._present, self._times[queue]) + count * self._strides[queue]
