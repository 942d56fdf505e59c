"""Queues as rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tq_console.tui.look.glyphs import QUEUE_SIGNS, Sign, sparkline
from tq_console.tui.table.rows import Cell, Column, Row
from tq_console.view.formats import age, duration, rate
from tq_console.view.limits import breakers, rule_words
from tq_core.model import TaskState
from tq_core.roles.inspector import QueueStats
from tq_core.roles.serving import Served, Serving

WINDOW_S = 60
TREND_MINUTES = 12
COLUMNS = (
    Column("QUEUE", (16, 20, 26), is_pinned=True, grows=True),
    Column("STATE", (11, 11, 11)),
    Column("DEPTH", (8, 9, 10), is_right=True),
    Column("OLDEST", (6, 6, 7), is_right=True),
    Column("OUT", (8, 8, 9), is_right=True),
    Column("DRAIN", (7, 8, 9), is_right=True),
    Column("DLQ", (6, 6, 7), is_right=True),
    Column("IN", (0, 8, 9), is_right=True),
    Column("TREND", (0, 12, 12)),
    Column("RUN", (0, 5, 6), is_right=True),
    Column("RETRY", (0, 6, 7), is_right=True),
    Column("SCHED", (0, 6, 7), is_right=True),
    Column("SLOTS", (0, 0, 6), is_right=True),
    Column("WAIT P95", (0, 0, 9), is_right=True),
    Column("RUN P95", (0, 0, 9), is_right=True),
    Column("LIMIT", (0, 0, 22)),
)


ORDERS: dict[str, tuple[Callable[[QueueStats], Any], bool]] = {
    "QUEUE": (lambda q: q.queue, False),
    "DEPTH": (lambda q: q.depths[TaskState.PENDING], True),
    "OLDEST": (lambda q: q.oldest_age_ms or -1, True),
    "OUT": (lambda q: q.rate_per_s("completed", window_s=WINDOW_S), True),
    "DRAIN": (lambda q: math.inf if (ms := drain_ms(q)) is None else ms, True),
    "DLQ": (lambda q: q.depths[TaskState.FAILED], True),
    "IN": (lambda q: q.rate_per_s("enqueued", window_s=WINDOW_S), True),
    "RUN": (lambda q: q.depths[TaskState.RUNNING], True),
    "RETRY": (lambda q: q.depths[TaskState.RETRYING], True),
    "SCHED": (lambda q: q.depths[TaskState.SCHEDULED], True),
    "WAIT P95": (lambda q: q.latency_ms("wait", 0.95) or -1, True),
    "RUN P95": (lambda q: q.latency_ms("run", 0.95) or -1, True),
}
"""By which columns queues can be sorted, and whether the highest comes first."""
_WORTH_SEEING = (TaskState.RUNNING, TaskState.RETRYING, TaskState.FAILED, TaskState.SCHEDULED, TaskState.COMPLETED)


def queue_sign(queue: QueueStats, served: Served) -> Sign:
    """What is the matter with a queue, if anything."""
    limit = queue.limits.get("max_size")
    if queue.paused:
        return QUEUE_SIGNS["paused"]
    if limit is not None and queue.waiting >= limit:
        return QUEUE_SIGNS["full"]
    if not served.slots:
        return QUEUE_SIGNS["unserved" if queue.depths[TaskState.PENDING] else "idle"]
    if breakers(queue, "open"):
        return QUEUE_SIGNS["breaker"]
    if queue.depths[TaskState.PENDING] and served.serving is not Serving.TAKEN:
        return QUEUE_SIGNS["nodes_paused"]
    return QUEUE_SIGNS["open"]


def drain_ms(queue: QueueStats) -> float | None:
    """How long the pending tasks take at the rate of the last minute; None where that says nothing."""
    depth = queue.depths[TaskState.PENDING]
    per_s = queue.rate_per_s("completed", window_s=WINDOW_S)
    if not depth:
        return 0.0
    return depth / per_s * 1000 if per_s > 0 and not queue.paused else None


def queue_row(queue: QueueStats, served: Served) -> Row:
    """A queue as a row under COLUMNS."""
    depths = queue.depths
    sign = queue_sign(queue, served)
    drain = drain_ms(queue)
    trend = minute_rates(queue, "completed", TREND_MINUTES)
    return Row(
        queue.queue,
        (
            Cell(queue.queue, "cell--bold"),
            Cell(str(sign), sign.style),
            Cell(f"{depths[TaskState.PENDING]:,}"),
            Cell(age(queue.oldest_age_ms) if depths[TaskState.PENDING] else "-"),
            Cell(rate(queue.rate_per_s("completed", window_s=WINDOW_S))),
            Cell("-" if drain == 0 else "∞" if drain is None else duration(drain).replace(" ", "")),
            _number(depths[TaskState.FAILED], "cell--bad"),
            Cell(rate(queue.rate_per_s("enqueued", window_s=WINDOW_S))),
            Cell(sparkline(trend, TREND_MINUTES), "cell--accent"),
            _number(depths[TaskState.RUNNING], "cell--busy"),
            _number(depths[TaskState.RETRYING], "cell--warn"),
            _number(depths[TaskState.SCHEDULED], ""),
            Cell(str(served.slots) if served.slots else "-"),
            Cell(duration(queue.latency_ms("wait", 0.95)).replace(" ", ""), "cell--dim"),
            Cell(duration(queue.latency_ms("run", 0.95)).replace(" ", ""), "cell--dim"),
            Cell(", ".join(rule_words(queue)) or "-", "cell--dim"),
        ),
    )


def minute_rates(queue: QueueStats, counter: str, minutes: int) -> list[float]:
    """What was counted in each of the past minutes, the present one last."""
    by_start = {minute.start_ms: minute.counts.get(counter, 0) for minute in queue.minutes}
    this = queue.now_ms // 60_000 * 60_000
    return [float(by_start.get(this - back * 60_000, 0)) for back in reversed(range(minutes))]


def _number(number: int, style: str) -> Cell:
    return Cell(f"{number:,}" if number else "-", style if number else "cell--dim")


def worth_seeing(queue: QueueStats) -> TaskState:
    """The state whose tasks are shown when somebody goes to a queue: what waits, else what there is."""
    if queue.depths[TaskState.PENDING]:
        return TaskState.PENDING
    return next((state for state in _WORTH_SEEING if queue.depths[state]), TaskState.PENDING)
