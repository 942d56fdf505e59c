"""What a node has done since it started: the counts of all its workers, those that are gone too, and its own state."""

from __future__ import annotations

import platform
import time
from typing import TYPE_CHECKING

from tq_core import metric_names
from tq_core.exposition import Exposition
from tq_core.metric_names import MAX_LABELLED, OTHER, Metric
from tq_worker import counted, frames
from tq_worker.counted import Row, Series, new_row
from tq_worker.version import tq_version

if TYPE_CHECKING:
    from tq_worker.supervisor.node import Node

_COUNTERS = (
    (metric_names.COMPLETIONS, counted.COMPLETED),
    (metric_names.FAILURES, counted.FAILED),
    (metric_names.RETRIES, counted.RETRIED),
    (metric_names.DEAD_LETTERED, counted.DEAD_LETTERED),
    (metric_names.CRASHES, counted.CRASHED),
    (metric_names.CANCELLATIONS, counted.CANCELLED),
    (metric_names.LOST_LEASES, counted.LOST),
    (metric_names.STALE_ACKS, counted.STALE),
)
_HISTOGRAMS = (
    (metric_names.DURATION, counted.RAN, counted.RAN_S),
    (metric_names.WAIT, counted.WAITED, counted.WAITED_S),
)


class NodeMetrics:
    """Sums that never go back: a worker that dies takes only what it had not said yet, at most its last second."""

    def __init__(self) -> None:
        self._totals: dict[Series, Row] = {}
        self._latest: dict[str, dict[Series, Row]] = {}
        """What each living worker has said, to tell what is new in what it says next."""

    def heard(self, worker_id: str, said: frames.Counted) -> None:
        """Adds what is new in a worker's rows."""
        latest = self._latest.setdefault(worker_id, {})
        for queue, task_type, row in said.rows:
            key = (queue, task_type)
            if len(row) == counted.ROW_LENGTH and (key in latest or len(latest) <= MAX_LABELLED):
                total = self._total(key)
                for i, (new, old) in enumerate(zip(row, latest.get(key) or new_row(), strict=True)):
                    total[i] += max(0, new - old)
                latest[key] = row

    def gone(self, worker_id: str) -> None:
        """Forgets what a dead worker said; what it counted stays."""
        self._latest.pop(worker_id, None)

    def crashed(self, queue: str, task_type: str, *, is_dead_lettered: bool) -> None:
        """A run ended with its worker, which could not count it any more."""
        total = self._total((queue, task_type))
        total[counted.CRASHED] += 1
        total[counted.DEAD_LETTERED] += is_dead_lettered

    def _total(self, key: Series) -> Row:
        if key not in self._totals:
            # Once there is no room, what has no row never gets one: no series goes back.
            if len(self._totals) >= MAX_LABELLED:
                key = (OTHER, OTHER)
            self._totals.setdefault(key, new_row())
        return self._totals[key]

    def text(self, node: Node) -> bytes:
        """All of it, as Prometheus reads it."""
        out = Exposition()
        for metric, place in _COUNTERS:
            out.add(metric, [(key, row[place]) for key, row in self._totals.items()])
        for metric, first, total in _HISTOGRAMS:
            end = first + len(metric.bounds) + 1
            out.add_histogram(metric, [(key, row[first:end], row[total]) for key, row in self._totals.items()])
        out.add(metric_names.BUILD_INFO, [((tq_version(), platform.python_version()), 1)])
        for metric, number in _of_node(node):
            out.add(metric, [((), number)])
        return out.text()


def _of_node(node: Node) -> list[tuple[Metric, float]]:
    children = [seat.child for seat in node.seats if seat.child is not None and seat.child.is_working]
    return [
        (metric_names.NODE_WORKERS, len(children)),
        (metric_names.NODE_SLOTS, len(children) * node.slots),
        (metric_names.NODE_RUNNING, sum(child.running for child in children)),
        (metric_names.NODE_LOOP_LAG, max((child.loop_lag_s for child in children), default=0.0)),
        (metric_names.NODE_RESTARTS, node.restarts),
        (metric_names.NODE_PAUSED, node.is_paused),
        (metric_names.NODE_BROKER_UP, node.pulse.is_reached),
        (metric_names.NODE_RECONNECTS, node.pulse.reconnects),
        (metric_names.START_TIME, node.started_at_ms / 1000),
        (metric_names.CPU_TIME, time.process_time()),
    ]
