"""What a worker counts of each queue and task type, as one row of numbers: the same on both ends of its line.

A row only grows while its worker lives, and is sent as it stands, not as a difference: a frame that comes late or never
loses nothing, and the supervisor adds what is new in it.
"""

from __future__ import annotations

from typing import Final

from tq_core.metric_names import DURATION, WAIT

COMPLETED: Final = 0
FAILED: Final = 1
RETRIED: Final = 2
DEAD_LETTERED: Final = 3
CRASHED: Final = 4
CANCELLED: Final = 5
LOST: Final = 6
STALE: Final = 7
RAN_S: Final = 8
WAITED_S: Final = 9
RAN: Final = 10
"""From here on the buckets of durations, each with how many fell into it alone."""
WAITED: Final = RAN + len(DURATION.bounds) + 1
"""And those of waits."""
ROW_LENGTH: Final = WAITED + len(WAIT.bounds) + 1

Series = tuple[str, str]
"""Queue and task type."""
Row = list[float]


def new_row() -> Row:
    """Nothing counted yet; whole numbers, but for the two sums of seconds."""
    row: Row = [0] * ROW_LENGTH
    row[RAN_S] = row[WAITED_S] = 0.0
    return row
