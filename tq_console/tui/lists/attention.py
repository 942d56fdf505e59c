"""What needs attention as rows: a sign, the words, and where enter goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tq_console.tui.look.glyphs import Sign
from tq_console.tui.table.rows import Cell, Column, Row
from tq_console.view.attention import Fact, Urgency
from tq_console.view.formats import age, plural, rate
from tq_core.model import TaskState
from tq_core.roles.inspector import QueueStats
from tq_core.roles.registry import Fleet, WorkerInfo

if TYPE_CHECKING:
    from tq_console.alerts.book import AlertState

COLUMNS = (
    Column("NEEDS ATTENTION", (30, 36, 40), is_pinned=True, grows=True),
    Column("⏎ GOES TO", (10, 12, 14)),
)
SIGNS = {
    Urgency.NOW: Sign("✗", "now", "cell--bad"),
    Urgency.SOON: Sign("!", "soon", "cell--warn"),
    Urgency.SOME_TIME: Sign("·", "some time", ""),
}
WELL = "all-well"
FACTS_MAX = 200
"""More facts than these are counted, not listed."""
_TITLES = {"workers": "3 Workers", "queues": "2 Queues", "tasks": "4 Tasks", "dlq": "5 DLQ"}


def alert_facts(alerts: Sequence[AlertState], now_ms: int) -> list[Fact]:
    """The user's alerts that fire, as facts."""
    return [
        Fact(
            "alert",
            f"{alert.alert.rule.text} {alert.alert.name}",
            f"alert {alert.text}, for {age(now_ms - (alert.since_ms or now_ms))}",
            Urgency.NOW,
            _SCREENS.get(alert.alert.rule.metric, "queues"),
            alert.measured.queue if alert.measured else None,
            _STATES.get(alert.alert.rule.metric),
        )
        for alert in alerts
    ]


_SCREENS = {
    "oldest": "tasks",
    "depth": "tasks",
    "running": "tasks",
    "retrying": "tasks",
    "failures": "tasks",
    "dlq": "dlq",
    "workers": "workers",
    "nodes": "workers",
}
_STATES = {
    "oldest": TaskState.PENDING,
    "depth": TaskState.PENDING,
    "running": TaskState.RUNNING,
    "retrying": TaskState.RETRYING,
    "failures": TaskState.RETRYING,
}


def attention_rows(facts: Sequence[Fact], queues: Sequence[QueueStats], fleet: Fleet) -> list[Row]:
    """A row for each fact; where there is none, what that rests on; on an empty system, what to do next."""
    if facts:
        rows = [_fact_row(fact) for fact in facts[:FACTS_MAX]]
        if len(facts) > FACTS_MAX:
            rows.append(_text_row("more", f"… and {len(facts) - FACTS_MAX:,} more", "cell--warn"))
        return rows
    if not queues and not fleet.nodes and not fleet.workers:
        return [
            _text_row("empty", "no queue and no worker yet", "cell--bold"),
            _text_row("next-worker", "`tq-worker --samples` runs the sample tasks; W on 3 starts it", "", "workers"),
            _text_row("next-task", "n submits a task, which makes its queue", "", "n"),
        ]
    rows = [
        _text_row(WELL, "✓ all is well: no failed task, nothing stuck, nobody silent", "cell--good"),
        _text_row("numbers", f"  {', '.join(_well(queues, fleet))}", "", "queues"),
    ]
    if not queues:
        rows.append(_text_row("next-task", "no queue yet: n submits a task, which makes one", "", "n"))
    if not fleet.nodes:
        rows.append(
            _text_row(
                "next-worker", "no worker yet: `tq-worker --samples` runs sample tasks, W on 3 starts it", "", "workers"
            )
        )
    return rows


def _fact_row(fact: Fact) -> Row:
    sign = SIGNS[fact.urgency]
    where = Cell(_TITLES.get(fact.screen, fact.screen), "cell--dim")
    return Row(fact.id, (Cell(f"{sign.glyph} {fact.text}", sign.style), where))


def _text_row(row_id: str, text: str, style: str, screen: str = "") -> Row:
    return Row(row_id, (Cell(text, style), Cell(_TITLES.get(screen, screen), "cell--dim")))


def _well(queues: Sequence[QueueStats], fleet: Fleet) -> list[str]:
    """The numbers on which it rests that all is well."""
    pending = sum(queue.depths[TaskState.PENDING] for queue in queues)
    oldest = max((q.oldest_age_ms for q in queues if q.oldest_age_ms is not None), default=None)
    live = [m.info for m in fleet.workers if m.health != "lost" and isinstance(m.info, WorkerInfo)]
    busy, slots = sum(len(info.running) for info in live), sum(info.slots for info in live)
    out = sum(queue.rate_per_s("completed", window_s=60) for queue in queues)
    return [
        plural(len(queues), "queue"),
        f"{pending:,} pending" + (f", the oldest {age(oldest)}" if oldest is not None else ""),
        f"{busy:,} of {plural(slots, 'slot')} busy",
        f"{rate(out)} out",
    ]
