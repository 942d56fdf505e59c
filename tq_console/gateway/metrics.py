"""What Prometheus is told: what is the same wherever it is asked, and this process."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from importlib.metadata import version

from tq_console.gateway.numbers import Numbers
from tq_core import metric_names as names
from tq_core.exposition import Exposition
from tq_core.metric_names import Metric
from tq_core.model import TaskState
from tq_core.roles.inspector import QueueStats

_OF_QUEUE: tuple[tuple[Metric, Callable[[QueueStats], float]], ...] = (
    (names.SUBMISSIONS, lambda queue: queue.counters.get("enqueued", 0)),
    (names.PENDING, lambda queue: queue.depths[TaskState.PENDING]),
    (names.IN_DLQ, lambda queue: queue.depths[TaskState.FAILED]),
    (names.QUEUE_OLDEST_AGE, lambda queue: (queue.oldest_age_ms or 0) / 1000),
    (names.QUEUE_LOST, lambda queue: queue.counters.get("lost", 0)),
    (names.QUEUE_PAUSED, lambda queue: queue.paused is not None),
)


def text(numbers: Numbers | None, *, started_at_s: float) -> bytes:
    """One answer to a scrape; without numbers the broker did not answer, and what it tells is missing."""
    out = Exposition()
    out.add(names.BROKER_UP, [((), numbers is not None)])
    if numbers is not None:
        for metric, number in _OF_QUEUE:
            out.add(metric, [((queue.queue,), number(queue)) for queue in numbers.queues])
        out.add(
            names.QUEUE_TASKS,
            [((queue.queue, str(state)), queue.depths[state]) for queue in numbers.queues for state in TaskState],
        )
        out.add(names.ACTIVE_WORKERS, [((), numbers.live_workers)])
        healths = [node.health for node in numbers.fleet.nodes]
        out.add(names.NODES, [((health,), healths.count(health)) for health in ("live", "late", "lost")])
    out.add(names.BUILD_INFO, [((version("tq-console"), platform.python_version()), 1)])
    out.add(names.START_TIME, [((), started_at_s)])
    out.add(names.CPU_TIME, [((), time.process_time())])
    return out.text()
