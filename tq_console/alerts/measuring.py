"""What a rule is about, as a number from the facts of one instant."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

from tq_console.alerts.rule import DURATION, METRICS, RATE, SHARE, Rule
from tq_console.view.formats import count, duration, percent, rate
from tq_core.model import TaskState
from tq_core.roles.inspector import QueueStats
from tq_core.roles.registry import Fleet, NodeInfo, WorkerInfo

WINDOW_S = 60
_DEPTHS = {
    "depth": TaskState.PENDING,
    "dlq": TaskState.FAILED,
    "running": TaskState.RUNNING,
    "retrying": TaskState.RETRYING,
}
_COUNTERS = {"in": "enqueued", "out": "completed"}


@dataclass(frozen=True, slots=True)
class Measured:
    """A value, and of which queue it is."""

    value: float
    queue: str | None
    """None = of all together."""


def measure(rule: Rule, queues: Sequence[QueueStats], fleet: Fleet) -> Measured | None:
    """What the rule is about now, of a pattern the queue where it is worst; None where nothing is known of it.

    Args:
        queues: With at least the last two minutes.
    """
    if not rule.is_pattern:
        value = _value(rule.metric, rule.queue, [q for q in queues if rule.queue in (None, q.queue)], fleet)
        return None if value is None else Measured(value, rule.queue)
    pattern = rule.queue or "*"
    found = []
    for queue in queues:
        if fnmatch.fnmatchcase(queue.queue, pattern):
            value = _value(rule.metric, queue.queue, [queue], fleet)
            if value is not None:
                found.append(Measured(value, queue.queue))
    if not found:
        return None
    worst = max if rule.operator.startswith(">") else min
    return worst(found, key=lambda measured: measured.value)


def _value(metric: str, queue: str | None, queues: Sequence[QueueStats], fleet: Fleet) -> float | None:
    if metric in ("workers", "nodes"):
        # A queue that nobody serves has no workers, whether or not it ever had a task.
        return float(_members(metric, queue, fleet))
    if queue is not None and not queues:
        return None
    if metric == "oldest":
        return float(max((q.oldest_age_ms or 0 for q in queues), default=0))
    if metric in _DEPTHS:
        return float(sum(q.depths[_DEPTHS[metric]] for q in queues))
    if metric in _COUNTERS:
        return sum(q.rate_per_s(_COUNTERS[metric], window_s=WINDOW_S) for q in queues)
    failed, done = (sum(q.rate_per_s(c, window_s=WINDOW_S) for q in queues) for c in ("failures", "completed"))
    return failed / (failed + done) if failed + done > 0 else None


def _members(metric: str, queue: str | None, fleet: Fleet) -> int:
    members = fleet.workers if metric == "workers" else fleet.nodes
    kind = WorkerInfo if metric == "workers" else NodeInfo
    return sum(
        1
        for member in members
        if member.health != "lost"
        and (queue is None or (isinstance(member.info, kind) and queue in member.info.queues))
    )


def value_words(metric: str, value: float) -> str:
    """A value as people read it."""
    kind = METRICS[metric]
    if kind == DURATION:
        return duration(value)
    if kind == SHARE:
        return percent(value)
    return rate(value) if kind == RATE else count(round(value))
