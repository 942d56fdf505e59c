"""Tasks, queues, nodes and events as plain records for programs: the same fields from every way in, stable."""

from __future__ import annotations

from typing import Any

import msgspec

from tq_console.view.secrets import Masker
from tq_core.model import TaskView
from tq_core.roles.events import Event
from tq_core.roles.inspector import QueueStats
from tq_core.roles.operator import Audited
from tq_core.roles.registry import Autoscale, Fleet, Member, NodeInfo, WorkerInfo

TASK_FIELDS = (
    "id",
    "type",
    "queue",
    "state",
    "priority",
    "attempt",
    "max_attempts",
    "args",
    "result",
    "error",
    "worker_id",
    "created_at_ms",
    "started_at_ms",
    "finished_at_ms",
)
"""The fields of a task, in order; promised from the first release on."""

RATE_WINDOW_S = 60


def task_record(task: TaskView, masker: Masker) -> dict[str, Any]:
    """A task with exactly TASK_FIELDS; times are ms since the epoch, null where there is none."""
    return {
        "id": task.id,
        "type": task.type,
        "queue": task.queue,
        "state": str(task.state),
        "priority": task.priority,
        "attempt": task.attempt,
        "max_attempts": task.max_attempts,
        "args": masker.masked(task.args),
        "result": masker.masked(task.result),
        "error": masker.masked(task.error),
        "worker_id": task.worker_id,
        "created_at_ms": task.created_at_ms,
        "started_at_ms": task.started_at_ms,
        "finished_at_ms": task.finished_at_ms,
    }


def task_detail(task: TaskView, why: str, masker: Masker) -> dict[str, Any]:
    """A task with everything that is known of it: TASK_FIELDS first, then the rest."""
    return {
        **task_record(task, masker),
        "result_note": task.result_note or None,
        "progress": msgspec.structs.asdict(task.progress) if task.progress else None,
        "why": masker.masked(why),
        "due_at_ms": task.due_at_ms,
        "expires_at_ms": task.expires_at_ms,
        "lease_end_ms": task.lease_end_ms,
        "duration_ms": task.duration_ms,
        "position": task.position,
        "failures": task.failures,
        "crashes": task.crashes,
        "lost": task.lost,
        "runs_alone": task.runs_alone,
        "unique_key": task.unique_key,
        "unique_until": task.options.unique_until,
        "unique_for_s": task.options.unique_for_s,
        "debounce_s": task.options.debounce_s,
        "debounce_max_s": task.options.debounce_max_s,
        "payload_bytes": task.payload_bytes,
        "timeout_s": task.options.timeout_s,
        "soft_timeout_s": task.options.soft_timeout_s,
        "memory_limit_mb": task.options.memory_limit_mb,
        "linked_to": task.options.linked_to,
        "depends_on": list(task.options.depends_on),
        "blocked_by": list(task.blocked_by),
        "limit_key": task.options.limit_key,
        "gate": msgspec.to_builtins(task.gate) if task.gate else None,
        "submitted_by": task.options.submitted_by,
        "trace_id": task.options.trace_id,
        "cancel_asked": task.cancel_asked,
        "history": [
            {**msgspec.to_builtins(attempt), "detail": masker.masked(attempt.detail)} for attempt in task.history
        ],
    }


def queue_record(queue: QueueStats) -> dict[str, Any]:
    """A queue in numbers."""
    return {
        "queue": queue.queue,
        "is_paused": queue.paused is not None,
        "paused": msgspec.to_builtins(queue.paused) if queue.paused else None,
        "depths": {str(state): depth for state, depth in queue.depths.items()},
        "oldest_age_ms": queue.oldest_age_ms,
        "next_due_at_ms": queue.next_due_at_ms,
        "enqueued_per_s": round(queue.rate_per_s("enqueued", window_s=RATE_WINDOW_S), 3),
        "completed_per_s": round(queue.rate_per_s("completed", window_s=RATE_WINDOW_S), 3),
        "failures_per_s": round(queue.rate_per_s("failures", window_s=RATE_WINDOW_S), 3),
        "wait_p95_ms": queue.latency_ms("wait", 0.95),
        "run_p50_ms": queue.latency_ms("run", 0.5),
        "run_p95_ms": queue.latency_ms("run", 0.95),
        "counters": queue.counters,
        "limits": {**queue.limits, **queue.rules},
    }


def node_record(node: Member | None, node_id: str, workers: list[Member]) -> dict[str, Any]:
    """A node with its workers; what it did not say is null."""
    info = node.info if node and isinstance(node.info, NodeInfo) else None
    return {
        "node_id": node_id,
        "health": node.health if node else "lost",
        "silent_ms": node.silent_ms if node else None,
        "state": info.state if info else None,
        "host": info.host if info else None,
        "pid": info.pid if info else None,
        "processes": info.processes if info else None,
        "slots": info.slots if info else None,
        "queues": list(info.queues) if info else [],
        "weights": {queue: info.weights.get(queue, 1) for queue in info.queues} if info else {},
        "order": info.order if info else None,
        "types": list(info.types) if info else [],
        "tags": list(info.tags) if info else [],
        "max_tasks": info.max_tasks if info else None,
        "is_burst": info.is_burst if info else None,
        "autoscale": _autoscale_record(info.autoscale) if info and info.autoscale else None,
        "started_at_ms": info.started_at_ms if info else None,
        "tq_version": info.tq_version if info else None,
        "code_version": info.code_version if info else None,
        "restarts": info.restarts if info else None,
        "trouble": (info.trouble or None) if info else None,
        "workers": [_worker_record(member) for member in workers],
    }


def _autoscale_record(scaled: Autoscale) -> dict[str, Any]:
    decision = {"at_ms": scaled.at_ms, "processes": scaled.processes, "why": scaled.why} if scaled.at_ms else None
    return {"min": scaled.least, "max": scaled.most, "last": decision}


def _worker_record(member: Member) -> dict[str, Any]:
    info = member.info if isinstance(member.info, WorkerInfo) else None
    return {
        "worker_id": member.id,
        "health": member.health,
        "silent_ms": member.silent_ms,
        "state": info.state if info else None,
        "pid": info.pid if info else None,
        "slots": info.slots if info else None,
        "running": [
            {
                "task_id": s.task_id,
                "type": s.type,
                "queue": s.queue,
                "started_at_ms": s.started_at_ms,
                "progress": s.progress,
            }
            for s in (info.running if info else ())
        ],
        "completed": info.completed if info else None,
        "failed": info.failed if info else None,
        "rss_bytes": info.rss_bytes if info else None,
        "cpu_percent": info.cpu_percent if info else None,
        "loop_lag_ms": info.loop_lag_ms if info else None,
        "started_at_ms": info.started_at_ms if info else None,
    }


def fleet_records(fleet: Fleet) -> list[dict[str, Any]]:
    """Every node with its workers; workers whose node is gone stand under its id."""
    by_node: dict[str, list[Member]] = {node.id: [] for node in fleet.nodes}
    for worker in fleet.workers:
        by_node.setdefault(worker.id.rpartition(".")[0], []).append(worker)
    nodes = {node.id: node for node in fleet.nodes}
    return [
        node_record(nodes.get(node_id), node_id, sorted(workers, key=lambda w: w.id))
        for node_id, workers in by_node.items()
    ]


def event_record(event: Event) -> dict[str, Any]:
    """One event: what happened to which tasks."""
    return {
        "at_ms": event.at_ms,
        "queue": event.queue or None,
        "word": event.word,
        "kind": event.kind,
        "ids": list(event.ids),
        "worker_id": event.worker_id or None,
        "attempt": event.attempt or None,
        "reason": event.reason or None,
        "by": event.by or None,
        "cursor": event.cursor,
    }


def audited_record(entry: Audited) -> dict[str, Any]:
    """One write of a person."""
    return {
        "at_ms": entry.at_ms,
        "by": entry.by,
        "action": entry.action,
        "target": entry.target,
        "count": entry.count,
        "detail": entry.detail,
        "ids": list(entry.ids),
    }
