"""The whole at a glance, as text: totals, queues, workers, what needs attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tq_console.view.attention import standing_facts
from tq_console.view.formats import age, count, duration, plural, rate, size
from tq_console.view.limits import breakers
from tq_console.view.records import RATE_WINDOW_S
from tq_console.view.tables import Cell, Column, Paint, plain, render
from tq_console.view.text import visible
from tq_core.model import TaskState
from tq_core.roles.inspector import QueueStats
from tq_core.roles.registry import Fleet, NodeInfo, WorkerInfo

QUEUE_COLUMNS = (
    Column("QUEUE", is_flexible=True),
    Column("PENDING", is_right=True),
    Column("RUNNING", is_right=True),
    Column("SCHEDULED", is_right=True, is_optional=True),
    Column("RETRYING", is_right=True),
    Column("BLOCKED", is_right=True, is_optional=True),
    Column("FAILED", is_right=True),
    Column("COMPLETED", is_right=True),
    Column("CANCELLED", is_right=True, is_optional=True),
    Column("DONE", is_right=True, is_optional=True),
    Column("RUN P95", is_right=True, is_optional=True),
    Column("OLDEST", is_right=True, is_optional=True),
    Column("STATE", is_flexible=True),
)


def queue_row(queue: QueueStats) -> list[str | Cell]:
    """A queue as a row under QUEUE_COLUMNS."""
    depths = queue.depths
    paused = f"paused by {queue.paused.by}" if queue.paused else ""
    limit = queue.limits.get("max_size")
    is_full = limit is not None and queue.waiting >= limit
    state = Cell("full", "red") if is_full else Cell("breaker open", "red") if breakers(queue, "open") else ""
    return [
        queue.queue,
        count(depths[TaskState.PENDING]),
        _number(depths[TaskState.RUNNING], "cyan"),
        count(depths[TaskState.SCHEDULED]),
        _number(depths[TaskState.RETRYING], "yellow"),
        count(depths[TaskState.BLOCKED]),
        _number(depths[TaskState.FAILED], "red"),
        count(depths[TaskState.COMPLETED]),
        count(depths[TaskState.CANCELLED]),
        rate(queue.rate_per_s("completed", window_s=RATE_WINDOW_S)),
        duration(queue.latency_ms("run", 0.95)),
        age(queue.oldest_age_ms),
        Cell(paused, "yellow") if paused else state,
    ]


def _number(number: int, style: str) -> Cell:
    return Cell(count(number), style if number else "")


WORKER_COLUMNS = (
    Column("WORKER"),
    Column("HOST", is_flexible=True, is_optional=True),
    Column("PID", is_right=True, is_optional=True),
    Column("STATE"),
    Column("BUSY", is_right=True),
    Column("COMPLETED", is_right=True),
    Column("FAILED", is_right=True),
    Column("MEMORY", is_right=True, is_optional=True),
    Column("CPU", is_right=True, is_optional=True),
    Column("LAG", is_right=True, is_optional=True),
    Column("SEEN", is_right=True, is_optional=True),
    Column("UP", is_right=True, is_optional=True),
)


def attention_lines(stats: Sequence[QueueStats], fleet: Fleet) -> list[str]:
    """What somebody should look at; safe text."""
    return [visible(fact.text + fact.hint) for fact in standing_facts(stats, fleet)]


def totals(stats: Sequence[QueueStats], fleet: Fleet) -> dict[str, Any]:
    """The numbers of all queues and workers added up."""
    live = [member for member in fleet.workers if member.health != "lost" and isinstance(member.info, WorkerInfo)]
    slots = sum(member.info.slots for member in live if isinstance(member.info, WorkerInfo))
    return {
        "queues": len(stats),
        "depths": {str(state): sum(queue.depths[state] for queue in stats) for state in TaskState},
        "enqueued_per_s": round(sum(q.rate_per_s("enqueued", window_s=RATE_WINDOW_S) for q in stats), 3),
        "completed_per_s": round(sum(q.rate_per_s("completed", window_s=RATE_WINDOW_S) for q in stats), 3),
        "failures_per_s": round(sum(q.rate_per_s("failures", window_s=RATE_WINDOW_S) for q in stats), 3),
        "nodes": sum(1 for member in fleet.nodes if member.health != "lost"),
        "lost_nodes": sum(1 for member in fleet.nodes if member.health == "lost"),
        "workers": len(live),
        "slots": slots,
        "busy_slots": sum(len(member.info.running) for member in live if isinstance(member.info, WorkerInfo)),
    }


def _summary(sums: dict[str, Any]) -> list[str]:
    depths = sums["depths"]
    live = sum(depths[str(state)] for state in TaskState if not state.is_terminal)
    tasks = f"{plural(sums['queues'], 'queue')}, {plural(live, 'live task')} ({depths['running']:,} running)"
    workers = f"{plural(sums['nodes'], 'node')}, {plural(sums['workers'], 'worker')}"
    slots = f"{sums['busy_slots']:,} of {plural(sums['slots'], 'slot')} busy"
    rates = f"{rate(sums['enqueued_per_s'])} enqueued, {rate(sums['completed_per_s'])} completed"
    failures = f"{rate(sums['failures_per_s'])} failed attempts"
    return [f"{tasks}, {workers}, {slots}", f"in the last minute: {rates}, {failures}"]


def dashboard(
    stats: Sequence[QueueStats], fleet: Fleet, *, broker: str, width: int | None = None, paint: Paint = plain
) -> list[str]:
    """The lines of the dashboard."""
    sums = totals(stats, fleet)
    lines = [f"{paint('tq', 'bold')}  {visible(broker)}", *_summary(sums), ""]
    if stats:
        lines += render(QUEUE_COLUMNS, map(queue_row, stats), width=width, paint=paint)
    else:
        lines.append("no queue yet: `tq submit TYPE` makes one, `tq-worker --samples` runs the sample tasks")
    lines.append("")
    rows = worker_rows(fleet)
    if rows:
        lines += render(WORKER_COLUMNS, rows, width=width, paint=paint)
    else:
        lines.append("no worker: start one with `tq-worker MODULE`")
    attention = attention_lines(stats, fleet)
    if attention:
        lines += ["", *(f"{paint('!', 'yellow')} {line}" for line in attention)]
    return lines


def worker_rows(fleet: Fleet) -> list[list[str | Cell]]:
    """Workers as rows under WORKER_COLUMNS, lost ones last."""
    hosts = {node.id: node.info.host for node in fleet.nodes if isinstance(node.info, NodeInfo)}
    rows: list[list[str | Cell]] = []
    for member in sorted(fleet.workers, key=lambda m: (m.health == "lost", m.id)):
        info = member.info if isinstance(member.info, WorkerInfo) else None
        state = info.state if info and member.health == "live" else member.health
        style = {"late": "yellow", "lost": "red", "paused": "yellow", "draining": "yellow"}.get(state, "green")
        rows.append(
            [
                member.id,
                hosts.get(member.id.rpartition(".")[0], ""),
                str(info.pid) if info else "",
                Cell(state, style),
                f"{len(info.running)}/{info.slots}" if info else "",
                count(info.completed) if info else "",
                count(info.failed) if info else "",
                size(info.rss_bytes) if info else "",
                f"{info.cpu_percent:.0f}%" if info else "",
                f"{info.loop_lag_ms} ms" if info else "",
                age(member.silent_ms),
                age(fleet.now_ms - info.started_at_ms) if info and info.started_at_ms else "",
            ]
        )
    return rows
