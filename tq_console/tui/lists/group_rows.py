"""What failed alike: groups as rows, and one group in lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tq_console.tui.look.canvas import Line
from tq_console.tui.look.glyphs import sparkline
from tq_console.tui.look.wrapping import wrapped
from tq_console.tui.table.rows import Cell, Column, Row
from tq_console.view.failure_groups import FailureGroup, failed_per_step
from tq_console.view.formats import age, plural, short_id
from tq_console.view.secrets import Masker
from tq_console.view.task_page import arguments_text, error_text, traceback_lines
from tq_core.model import TaskView
from tq_core.roles.failure_groups import GroupMembers

COLUMNS = (
    Column("COUNT", (7, 8, 9), is_right=True, is_pinned=True),
    Column("ERROR", (24, 36, 40), grows=True),
    Column("TASK", (14, 18, 22)),
    Column("LAST", (5, 5, 5), is_right=True),
    Column("FIRST", (0, 5, 6), is_right=True),
    Column("QUEUES", (0, 16, 20)),
    Column("CODE", (0, 0, 14)),
    Column("GROUP", (0, 0, 16)),
)
ORDERS: dict[str, tuple[Callable[[FailureGroup], Any], bool]] = {
    "COUNT": (lambda group: group.total, True),
    "LAST": (lambda group: group.last_at_ms, True),
    "FIRST": (lambda group: group.first_at_ms, True),
    "TASK": (lambda group: group.type, False),
}
"""By which columns groups can be sorted, and whether the highest comes first; for times that is the latest."""
TREND_STEPS = 24
TREND_STEP_MS = 150_000
"""The last hour."""
SAMPLES = 3


def group_row(group: FailureGroup, now_ms: int, masker: Masker) -> Row:
    """A group as a row under COLUMNS."""
    return Row(
        group.group,
        (
            Cell(f"{group.total:,}", "cell--bold"),
            Cell(group_error(group, masker), "cell--bad"),
            Cell(group.type),
            Cell(_ago(group.last_at_ms, now_ms)),
            Cell(_ago(group.first_at_ms, now_ms), "cell--dim"),
            Cell(_queues(group), "cell--dim"),
            Cell(", ".join(reversed(group.versions)) or "-", "cell--dim"),
            Cell(group.group, "cell--dim"),
        ),
    )


def group_error(group: FailureGroup, masker: Masker) -> str:
    """What its latest task failed with, in one line."""
    return error_text({"reason": group.reason, **group.error}, masker)


def _queues(group: FailureGroup) -> str:
    first = next(iter(group.counts), "-")
    return first if len(group.counts) < 2 else f"{first} +{len(group.counts) - 1}"


def _ago(at_ms: int, now_ms: int) -> str:
    return age(now_ms - at_ms) if at_ms else "-"


def group_lines(
    group: FailureGroup, sample: GroupMembers | None, now_ms: int, masker: Masker, *, width: int, height: int
) -> list[Line]:
    """A group: its error whole, when its tasks failed, some of them, and the traceback of one.

    Args:
        sample: Some of its tasks; None while they have not come.
    """
    lines: list[Line] = [
        [
            (f"{plural(group.total, 'task')} ", "cell--title"),
            ("failed alike  ", "cell--dim"),
            (group.type, "cell--bold"),
        ]
    ]
    lines += wrapped((group_error(group, masker), "cell--bad"), width, 2)
    versions = f" · code {', '.join(reversed(group.versions))}" if group.versions else ""
    when = f"last {_ago(group.last_at_ms, now_ms)} ago · first {_ago(group.first_at_ms, now_ms)} ago{versions}"
    lines.append([(when, ""), (f" · group {group.group}", "cell--dim")])
    queues = ", ".join(f"{queue} {number:,}" for queue, number in group.counts.items())
    lines += wrapped((f"in {queues}", "cell--dim"), width, 2)
    if sample is None:
        return [*lines, [("… asking for its tasks", "cell--dim")]]
    lines.append(_trend(sample, now_ms))
    lines += [_member(task, now_ms, masker) for task in sample.tasks[:SAMPLES]]
    return lines + _traceback(sample.tasks, masker, max(0, height - len(lines)))


def _trend(sample: GroupMembers, now_ms: int) -> Line:
    steps = failed_per_step(sample.failed_at_ms, now_ms, step_ms=TREND_STEP_MS, steps=TREND_STEPS)
    known = len(sample.failed_at_ms)
    of = "" if known >= sample.total else f", of the {known:,} that were enqueued last"
    return [
        ("the last hour ", "cell--dim"),
        (sparkline(steps, TREND_STEPS), "cell--bad"),
        (f" {round(sum(steps)):,} failed{of}", "cell--dim"),
    ]


def _member(task: TaskView, now_ms: int, masker: Masker) -> Line:
    return [
        (f"{_ago(task.finished_at_ms or 0, now_ms):>4} ago  ", "cell--dim"),
        (f"{short_id(task.id)}  ", ""),
        (arguments_text(task, masker), "cell--dim"),
    ]


def _traceback(tasks: Sequence[TaskView], masker: Masker, height: int) -> list[Line]:
    """The end of a traceback, where the cause is."""
    found = next((lines for task in tasks if (lines := traceback_lines(task, masker))), [])
    if not found or height < 2:
        return []
    shown = found[-(height - 1) :]
    cut = f" (its last {len(shown)} of {len(found)} lines)" if len(shown) < len(found) else ""
    return [[(f"traceback of one{cut}", "cell--title")], *([(line, "")] for line in shown)]
