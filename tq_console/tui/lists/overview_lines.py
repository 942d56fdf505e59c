"""The parts of the overview that are only looked at, as lines: queues, throughput, last failures, last acts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
from rich.cells import cell_len

from tq_console.tui.lists.queue_rows import WINDOW_S, drain_ms, minute_rates, queue_sign
from tq_console.tui.look.canvas import Line
from tq_console.tui.look.glyphs import sparkline
from tq_console.view.formats import age, duration, rate, short_id, time_of_day
from tq_console.view.secrets import Masker
from tq_console.view.task_page import error_text
from tq_console.view.text import fit, pad, visible
from tq_core.model import TaskState, TaskView
from tq_core.roles.events import Event
from tq_core.roles.inspector import Minute, QueueStats
from tq_core.roles.operator import Audited
from tq_core.roles.registry import Fleet
from tq_core.roles.serving import UNSERVED, Served, served_queues

MINUTES = 15
_QUEUE_FACTS = 11 + 8 + 7 + 9 + 9
"""Cells that the numbers of a queue take."""


def queue_lines(queues: Sequence[QueueStats], fleet: Fleet, *, width: int, height: int) -> list[Line]:
    """The queues whose oldest pending task is the oldest, under a heading."""
    order = sorted(queues, key=lambda q: (-(q.oldest_age_ms or -1), -q.depths[TaskState.PENDING], q.queue))
    shown = order[: max(0, height - 1)]
    more = len(order) - len(shown)
    name = max(10, min(32, width - _QUEUE_FACTS - 2))
    heading = f"{'── queues, oldest first' if width >= 64 else '── queues':<{name + 1}}"
    rest = f" of {len(order):,}" if more else ""
    lines: list[Line] = [
        [
            (fit(heading, name + 1).ljust(name + 1), "cell--title"),
            (f"{rest:<11}{'DEPTH':>8}{'OLDEST':>7}{'OUT':>9}{'DRAIN':>9}", "cell--dim"),
        ]
    ]
    if not shown:
        lines.append([(" no queue yet", "cell--dim")])
    served = served_queues(fleet)
    return lines + [_queue_line(queue, served.get(queue.queue, UNSERVED), name) for queue in shown]


def _queue_line(queue: QueueStats, served: Served, name: int) -> Line:
    sign = queue_sign(queue, served)
    depth = queue.depths[TaskState.PENDING]
    drain = drain_ms(queue)
    drains = "-" if drain == 0 else "∞" if drain is None else duration(drain).replace(" ", "")
    return [
        (f" {pad(fit(visible(queue.queue), name), name)}", "cell--bold"),
        (f"{sign!s:<11}", sign.style),
        (f"{depth:>8,}", "" if depth else "cell--dim"),
        (f"{age(queue.oldest_age_ms) if depth else '-':>7}", "" if depth else "cell--dim"),
        (f"{rate(queue.rate_per_s('completed', window_s=WINDOW_S)):>9}", ""),
        (f"{drains:>9}", "cell--warn" if drains == "∞" else ""),
    ]


def summed(queues: Sequence[QueueStats]) -> QueueStats | None:
    """All queues as if they were one: its minutes are theirs added up. None where there is no queue."""
    if not queues:
        return None
    by_start: dict[int, Counter[str]] = {}
    for queue in queues:
        for minute in queue.minutes:
            by_start.setdefault(minute.start_ms, Counter()).update(minute.counts)
    minutes = tuple(Minute(start_ms, dict(counts)) for start_ms, counts in sorted(by_start.items()))
    return msgspec.structs.replace(queues[0], queue="", minutes=minutes)


def rate_lines(queues: Sequence[QueueStats], *, width: int) -> list[Line]:
    """Throughput and failures of the past minutes, and how long tasks ran and waited."""
    lines: list[Line] = [[(f"── the last {MINUTES} minutes", "cell--title")]]
    together = summed(queues)
    if together is None:
        return [*lines, [(" nothing measured yet", "cell--dim")]]
    for word, counter, style in (("completed", "completed", "cell--good"), ("failures", "failures", "cell--bad")):
        minutes = minute_rates(together, counter, MINUTES)
        number = round(sum(minutes))
        lines.append(
            [
                (f" {word:<10}", "cell--dim"),
                (sparkline(minutes, MINUTES), style if number else "cell--dim"),
                (f" {rate(together.rate_per_s(counter, window_s=WINDOW_S)):>9}", style if number else "cell--dim"),
                (f"  {number:,}" if width >= 48 else "", "cell--dim"),
            ]
        )
    return lines + [
        [
            (f" {kind:<10}", "cell--dim"),
            ("p50 ", "cell--dim"),
            (f"{at_most(together, kind, 0.5):<10}", ""),
            ("p95 ", "cell--dim"),
            (at_most(together, kind, 0.95), ""),
        ]
        for kind in ("run", "wait")
    ]


def at_most(queue: QueueStats, kind: str, share: float) -> str:
    """A time that was measured in steps: what is known is that it is no longer than this."""
    ms = queue.latency_ms(kind, share)
    return duration(ms) if ms is None else f"≤{duration(ms)}"


def failure_lines(failures: Sequence[TaskView], now_ms: int, masker: Masker, *, width: int, height: int) -> list[Line]:
    """The latest failed tasks, the newest first, under a heading."""
    lines: list[Line] = [[("── last failures", "cell--title")]]
    if not failures:
        lines.append([(" nothing has failed for good", "cell--dim")])
    shown = failures[: max(0, height - 1)]
    kind, queue = (24, 14) if width >= 100 else (16, 10)
    kind = _widest((task.type for task in shown), kind)
    queue = _widest((task.queue for task in shown), queue)
    for task in shown:
        ended = age(now_ms - task.finished_at_ms) if task.finished_at_ms is not None else "-"
        lines.append(
            [
                (f" {ended:>4} ago  ", "cell--dim"),
                (f"{pad(fit(visible(task.type), kind), kind)}  ", ""),
                (f"{pad(fit(visible(task.queue), queue), queue)}  ", "cell--dim"),
                (error_text(task.error, masker)[:width], "cell--bad"),
            ]
        )
    return lines


def act_lines(acts: Sequence[Audited], now_ms: int, *, width: int, height: int) -> list[Line]:
    """The latest acts of people, the newest first, under a heading."""
    lines: list[Line] = [[("── last acts of people", "cell--title")]]
    if not acts:
        lines.append([(" nobody has changed anything yet", "cell--dim")])
    shown = acts[: max(0, height - 1)]
    who = _widest((act.by for act in shown), 22 if width >= 70 else 14)
    return lines + [
        [
            (f" {age(now_ms - act.at_ms):>4} ago  ", "cell--dim"),
            (f"{pad(fit(visible(act.by), who), who)}  ", "cell--accent"),
            (f"{act.action} ", ""),
            (_target(act), "cell--bold"),
            (_tasks_of(act), "cell--dim"),
        ]
        for act in shown
    ]


EVENT_STYLES = {
    **dict.fromkeys(("failed", "crashed", "lost", "dropped"), "cell--bad"),
    **dict.fromkeys(("retrying", "cancelled", "expired", "paused", "left", "discarded", "released"), "cell--warn"),
    **dict.fromkeys(("completed", "joined", "resumed"), "cell--good"),
    "claimed": "cell--busy",
}


def event_lines(events: Sequence[Event], *, width: int, height: int) -> list[Line]:
    """What has just happened, the newest first, under a heading."""
    lines: list[Line] = [[("── events", "cell--title")]]
    shown = list(reversed(events[-max(0, height - 1) :])) if height > 1 else []
    if not shown:
        lines.append([(" nothing has happened yet", "cell--dim")])
    kind = _widest((event.word for event in shown), 12)
    queue = _widest((event.queue or "fleet" for event in shown), 14)
    for event in shown:
        # Of the fleet they are nodes and workers, which are called so.
        named = "".join(map(short_id, event.ids)) if event.queue else ", ".join(event.ids)
        tasks = f"{len(event.ids):,} tasks" if event.queue and len(event.ids) > 1 else named
        why = " ".join(part for part in (event.reason, f"by {event.by}" if event.by else "") if part)
        lines.append(
            [
                (f" {time_of_day(event.at_ms)[:8]}  ", "cell--dim"),
                (f"{pad(fit(visible(event.word), kind), kind)}  ", EVENT_STYLES.get(event.kind, "")),
                (f"{pad(fit(visible(event.queue or 'fleet'), queue), queue)}  ", "cell--dim"),
                (f"{tasks:<9}  ", ""),
                (" ".join(part for part in (why, event.worker_id) if part)[:width], "cell--dim"),
            ]
        )
    return lines


def _tasks_of(act: Audited) -> str:
    if act.count > 1:
        return f"  {act.count:,} tasks"
    return f"  {short_id(act.ids[0])}" if act.ids else ""


def _widest(texts: Iterable[str], most: int) -> int:
    """The cells of the widest text, up to a number."""
    return min(most, max((cell_len(visible(text)) for text in texts), default=0))


def _target(act: Audited) -> str:
    """What it was done to: a queue, or, for orders to nodes, what they name."""
    if act.target != "fleet":
        return act.target
    if act.action == "unlock":
        return str(act.detail.get("why", ""))
    args = act.detail.get("args")
    worker_id = args.get("worker_id") if isinstance(args, dict) else None
    return str(worker_id or "a node")
