"""Every metric that a program of tq exposes: its name, what it counts, its labels and the bounds of its buckets.

A node exposes only what it did itself, so that a sum over all nodes is true. What is the same wherever it is asked
(how many tasks wait, how many failed) belongs to whoever speaks for the whole system, and never to a node.

`tq_node_...` is about one node. What is in SPOKEN_FOR_ALL is about the whole: where several gateways say it, take the
maximum and never the sum.
"""

from __future__ import annotations

from typing import Final

import msgspec

MAX_LABELLED: Final = 200
"""Pairs of queue and task type that get series of their own; each costs about 50 lines of a scrape."""
OTHER: Final = "(other)"
"""Queue and task type of all that came after MAX_LABELLED; no name may have parentheses, so it is nobody's."""


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One metric."""

    name: str
    kind: str
    """counter, gauge or histogram."""
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    """Upper bounds of a histogram's buckets, in the metric's unit; one without an end follows."""


PER_TASK: Final = ("queue", "type")
TASK_BOUNDS_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


def _per_task(name: str, text: str) -> Metric:
    return Metric(name=name, kind="counter", help=text, labels=PER_TASK)


COMPLETIONS: Final = _per_task(
    "task_completions_total", "Tasks that completed, counted when the broker had recorded it."
)
FAILURES: Final = _per_task("task_failures_total", "Attempts that failed, whatever followed.")
RETRIES: Final = _per_task("task_retries_total", "Failed attempts that another one follows.")
DEAD_LETTERED: Final = _per_task("task_dead_lettered_total", "Tasks that failed for good: they are in the DLQ.")
CRASHES: Final = _per_task("task_crashes_total", "Runs that ended because their process died.")
CANCELLATIONS: Final = _per_task(
    "task_cancellations_total", "Runs that ended because somebody cancelled or killed them."
)
LOST_LEASES: Final = _per_task("task_lost_leases_total", "Runs whose lease was lost: the task runs again elsewhere.")
STALE_ACKS: Final = _per_task("task_stale_acks_total", "Ends that the broker refused: another claim had the task.")
DURATION: Final = Metric(
    name="task_duration_seconds",
    kind="histogram",
    help="How long handlers ran, however they ended.",
    labels=PER_TASK,
    bounds=TASK_BOUNDS_S,
)
WAIT: Final = Metric(
    name="task_wait_seconds",
    kind="histogram",
    help="From enqueue, with the delay that was asked for, to the start of the first attempt.",
    labels=PER_TASK,
    bounds=TASK_BOUNDS_S,
)

NODE_SLOTS: Final = Metric(name="tq_node_slots", kind="gauge", help="Tasks that the node can run at once.")
NODE_RUNNING: Final = Metric(name="tq_node_running_tasks", kind="gauge", help="Tasks that the node runs.")
NODE_WORKERS: Final = Metric(name="tq_node_workers", kind="gauge", help="Worker processes at work.")
NODE_RESTARTS: Final = Metric(
    name="tq_node_worker_restarts_total", kind="counter", help="Worker processes that died by accident."
)
NODE_LOOP_LAG: Final = Metric(
    name="tq_node_loop_lag_seconds", kind="gauge", help="How late the event loop of the worst worker is."
)
NODE_PAUSED: Final = Metric(name="tq_node_paused", kind="gauge", help="1 while somebody has paused the node.")
NODE_BROKER_UP: Final = Metric(name="tq_node_broker_up", kind="gauge", help="1 while the node reaches the broker.")
NODE_RECONNECTS: Final = Metric(
    name="tq_node_broker_reconnects_total", kind="counter", help="Times that the broker was away and came back."
)
PER_QUEUE: Final = ("queue",)

SUBMISSIONS: Final = Metric(
    name="task_submissions_total",
    kind="counter",
    help="Tasks that a queue accepted, whoever submitted them.",
    labels=PER_QUEUE,
)
PENDING: Final = Metric(
    name="pending_tasks_total", kind="gauge", help="Tasks that could run now and wait for a worker.", labels=PER_QUEUE
)
IN_DLQ: Final = Metric(
    name="tasks_in_dlq_total", kind="gauge", help="Tasks that failed for good and lie in the DLQ.", labels=PER_QUEUE
)
ACTIVE_WORKERS: Final = Metric(
    name="active_workers_total", kind="gauge", help="Worker processes that said within their time that they live."
)
QUEUE_TASKS: Final = Metric(
    name="tq_queue_tasks", kind="gauge", help="Tasks of a queue in each state.", labels=("queue", "state")
)
QUEUE_OLDEST_AGE: Final = Metric(
    name="tq_queue_oldest_pending_age_seconds",
    kind="gauge",
    help="How long ago the oldest pending task was enqueued; 0 where none is pending.",
    labels=PER_QUEUE,
)
QUEUE_LOST: Final = Metric(
    name="tq_queue_lost_leases_total",
    kind="counter",
    help="Tasks that were put back because their worker was silent for a whole lease.",
    labels=PER_QUEUE,
)
QUEUE_PAUSED: Final = Metric(
    name="tq_queue_paused", kind="gauge", help="1 while somebody has paused the queue.", labels=PER_QUEUE
)
NODES: Final = Metric(
    name="tq_nodes", kind="gauge", help="Nodes on the register: live, late or lost.", labels=("health",)
)
BROKER_UP: Final = Metric(
    name="tq_broker_up", kind="gauge", help="1 where the broker answered this scrape; else what it tells is missing."
)
NAMED_BY_OTHERS: Final = (PENDING, IN_DLQ, ACTIVE_WORKERS)
"""Gauges whose names end like a counter's, since dashboards that exist ask for them."""
SPOKEN_FOR_ALL: Final = (
    SUBMISSIONS,
    PENDING,
    IN_DLQ,
    ACTIVE_WORKERS,
    QUEUE_TASKS,
    QUEUE_OLDEST_AGE,
    QUEUE_LOST,
    QUEUE_PAUSED,
    NODES,
    BROKER_UP,
)
"""What is the same wherever it is asked: the gateway says it, and no node."""

BUILD_INFO: Final = Metric(
    name="tq_build_info", kind="gauge", help="1, with the versions that run.", labels=("version", "python")
)
START_TIME: Final = Metric(
    name="process_start_time_seconds", kind="gauge", help="When the process was started, in seconds since 1970."
)
CPU_TIME: Final = Metric(
    name="process_cpu_seconds_total",
    kind="counter",
    help="CPU that this process has used; the workers of a node are not in it.",
)
