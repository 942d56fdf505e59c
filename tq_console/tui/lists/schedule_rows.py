"""Schedules and tasks that are due, as rows of one list, and a schedule whole."""

from __future__ import annotations

from collections.abc import Mapping

from tq_console.tui.look.canvas import Line
from tq_console.tui.look.glyphs import TASK_SIGNS, Sign
from tq_console.tui.look.wrapping import wrapped
from tq_console.tui.table.rows import Cell, Column, Row
from tq_console.view.formats import age, clock, count, duration, span_ahead
from tq_console.view.schedule_words import (
    fire_text,
    kind_of,
    next_fires_ms,
    option_words,
    origin_words,
    policy_words,
    when_words,
)
from tq_console.view.secrets import Masker
from tq_console.view.text import json_line, visible
from tq_core.model import TaskState, TaskView
from tq_core.roles.schedules import Schedule, ScheduleView

COLUMNS = (
    Column("NEXT", (8, 8, 9), is_right=True, is_pinned=True),
    Column("NAME/TASK", (14, 18, 24), is_pinned=True, grows=True),
    Column("KIND", (5, 5, 5)),
    Column("QUEUE", (8, 10, 14)),
    Column("LAST", (11, 11, 12)),
    Column("STATE", (12, 12, 12)),
    Column("WHEN", (0, 26, 40), grows=True),
    Column("LAST RUN", (0, 8, 9), is_right=True),
    Column("TOOK", (0, 0, 7), is_right=True),
    Column("FIRES", (0, 0, 7), is_right=True),
)
SIGNS = {
    "active": Sign("●", "on", "cell--good"),
    "paused": Sign("‖", "paused", "cell--warn"),
    "late": Sign("!", "late", "cell--bad"),
    "undeclared": Sign("?", "undeclared", "cell--warn"),
    "unreadable": Sign("✗", "unreadable", "cell--bad"),
}
ARGUMENT_LINES = 4


def row_id_of(view: ScheduleView) -> str:
    """What the cursor holds on to; no task is called so."""
    return f"cron:{view.name}@{view.queue}"


def last_task_id(view: ScheduleView) -> str | None:
    """The task that its last fire made."""
    if view.schedule is None or view.fired_at_ms is None:
        return None
    return view.schedule.task_id(view.fired_at_ms)


def schedule_row(view: ScheduleView, last: Mapping[str, TaskView]) -> Row:
    """A schedule as a row under COLUMNS."""
    schedule, sign = view.schedule, SIGNS[view.state]
    task = last.get(last_task_id(view) or "")
    result = TASK_SIGNS[task.state] if task else None
    ahead_ms = None if view.next_at_ms is None else view.next_at_ms - view.now_ms
    return Row(
        row_id_of(view),
        (
            _next(ahead_ms),
            Cell(view.name, "cell--bold"),
            Cell(kind_of(schedule.when) if schedule else "?", "cell--accent"),
            Cell(view.queue),
            Cell(str(result) if result else "-", result.style if result else "cell--dim"),
            Cell(str(sign), sign.style),
            Cell(when_words(schedule.when) if schedule else "a newer tq wrote it"),
            Cell("-" if view.fired_at_ms is None else f"{age(view.now_ms - view.fired_at_ms)} ago"),
            Cell(duration(task.duration_ms) if task and task.duration_ms is not None else "-", "cell--dim"),
            Cell(count(view.fires), "cell--dim"),
        ),
    )


def due_row(task: TaskView, now_ms: int) -> Row:
    """A task that is scheduled or retried, as a row under COLUMNS."""
    is_retry = task.state is TaskState.RETRYING
    sign = TASK_SIGNS[task.state]
    failed = TASK_SIGNS[TaskState.FAILED]
    return Row(
        task.id,
        (
            _next(None if task.due_at_ms is None else task.due_at_ms - now_ms),
            Cell(task.type),
            Cell("retry" if is_retry else "eta", "cell--dim"),
            Cell(task.queue),
            Cell(f"{failed.glyph} attempt {task.failures}", failed.style) if is_retry else Cell("-", "cell--dim"),
            Cell(str(sign), sign.style),
            Cell(
                f"attempt {task.failures + 1} of {task.max_attempts} at {_second(task.due_at_ms)}"
                if is_retry
                else f"once, at {_second(task.due_at_ms)}"
            ),
            Cell("-", "cell--dim"),
            Cell("-", "cell--dim"),
            Cell("-", "cell--dim"),
        ),
    )


def _next(ahead_ms: int | None) -> Cell:
    if ahead_ms is None:
        return Cell("-", "cell--dim")
    if ahead_ms < 0:
        return Cell(f"{age(-ahead_ms)} ago", "cell--warn" if ahead_ms < -5_000 else "")
    return Cell(f"in {age(ahead_ms)}")


def _second(at_ms: int | None) -> str:
    return clock(at_ms)[5:19]


def schedule_lines(view: ScheduleView, last: TaskView | None, *, masker: Masker, width: int, height: int) -> list[Line]:
    """A schedule whole: in words, its next fires, what becomes of missed ones, what it enqueues, who says so."""
    sign = SIGNS[view.state]
    head: Line = [
        (view.name, "cell--title"),
        ("  ", ""),
        (str(sign), sign.style),
        (f"  {origin_words(view)}", "cell--dim"),
    ]
    schedule = view.schedule
    if schedule is None:
        return [head, [("a newer tq wrote it: this one cannot read it, and leaves its fires to others", "cell--warn")]]
    lines: list[Line] = [head]
    if view.paused is not None:
        why = f": {view.paused['why']}" if view.paused.get("why") else ""
        lines.append([(f"‖ paused by {view.paused.get('by', '?')}{why}", "cell--warn")])
    if view.state == "late":
        lines.append([("! it should have fired: no worker serves its queue, or that is full", "cell--bad")])
    fires = _fire_lines(view, schedule)
    text = visible(json_line(masker.masked(schedule.args)))
    told: list[tuple[str, str]] = [
        ("when", when_words(schedule.when) + ("" if schedule.when.every_ms else f"  ({schedule.when.cron})")),
        ("fires", policy_words(schedule)),
        ("task", f"{schedule.task_type} in {schedule.queue}, {option_words(schedule)}"),
        ("args", text),
        ("last", _last_words(view, last)),
    ]
    room = max(20, width - 8)
    body: list[Line] = []
    for word, said in told:
        for i, line in enumerate(wrapped((said, ""), room, ARGUMENT_LINES if word == "args" else 2)):
            body.append([(f"{word if i == 0 else '':<7} ", "cell--dim"), *line])
        if word == "when":
            body += fires
    return [*lines, *body][:height] if height else [*lines, *body]


def _fire_lines(view: ScheduleView, schedule: Schedule) -> list[Line]:
    """The next five fires in its own zone."""
    word = "next" if view.paused is None else "would"
    lines: list[Line] = []
    for at_ms in next_fires_ms(schedule.when, view.now_ms):
        ahead = span_ahead(at_ms - view.now_ms)
        lines.append([(f"{word:<7} ", "cell--dim"), (fire_text(schedule.when, at_ms), ""), (f"  {ahead}", "cell--dim")])
        word = ""
    return lines or [
        [("no next fire can be worked out on this machine: its time zone is not known here", "cell--warn")]
    ]


def _last_words(view: ScheduleView, last: TaskView | None) -> str:
    if view.fired_at_ms is None:
        return "never fired"
    ago = f"{duration(view.now_ms - view.fired_at_ms)} ago, {count(view.fires)} tasks made"
    if last is None:
        return f"{ago}; its task is not kept any more"
    took = f" in {duration(last.duration_ms)}" if last.duration_ms is not None else ""
    return f"{ago}; its task is {last.state}{took}"
