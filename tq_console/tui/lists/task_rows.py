"""Tasks as rows: the same columns for every state, the time that matters in each."""

from __future__ import annotations

from collections.abc import Sequence

from tq_console.tui.look.glyphs import TASK_SIGNS
from tq_console.tui.table.rows import Cell, Column, Row
from tq_console.view.formats import age, duration, short_id
from tq_console.view.secrets import Masker
from tq_console.view.task_page import arguments_text, error_text
from tq_core.model import TaskState, TaskView, priority_label

TEXT_MAX = 400
"""Characters of a long value that a row keeps: more are never seen."""

_TIMES = {
    TaskState.BLOCKED: "WAITS",
    TaskState.PENDING: "WAITS",
    TaskState.SCHEDULED: "DUE IN",
    TaskState.RETRYING: "DUE IN",
    TaskState.RUNNING: "RUNS",
    TaskState.COMPLETED: "AGO",
    TaskState.FAILED: "AGO",
    TaskState.CANCELLED: "AGO",
}


def columns(states: Sequence[TaskState]) -> tuple[Column, ...]:
    """The columns of a list of tasks, of one state or several."""
    return _of_one(states[0]) if len(states) == 1 else _OF_SEVERAL


_OF_SEVERAL = (
    Column("ID", (8, 8, 12), is_pinned=True),
    Column("STATE", (10, 12, 12)),
    Column("TYPE", (14, 18, 20), full=30),
    Column("AGE", (5, 6, 7), is_right=True),
    Column("ATT", (5, 5, 5), is_right=True),
    Column("QUEUE", (0, 11, 12), full=24),
    Column("PRIO", (0, 7, 8)),
    Column("TOOK", (0, 0, 0), is_right=True, full=8),
    Column("WORKER", (0, 0, 0), full=30),
    Column("ERROR or ARGUMENTS", (12, 20, 24), grows=True, full=80),
)


def _of_one(state: TaskState) -> tuple[Column, ...]:
    has_error = state in _WITH_ERROR
    return (
        Column("ID", (8, 8, 12), is_pinned=True),
        Column("TYPE", (14, 18, 20), full=30),
        Column(_TIMES[state], (6, 6, 7), is_right=True),
        Column("ATT", (5, 5, 5), is_right=True),
        Column("QUEUE", (9, 11, 12), full=24),
        *((Column("TOOK", (0, 7, 8), is_right=True),) if state.is_terminal else ()),
        Column("PRIO", (0, 0 if state.is_terminal else 7, 8 if has_error or not state.is_terminal else 0), full=8),
        Column("WORKER", (0, 0 if has_error else 19, 0 if has_error else 22), full=30),
        *((Column("ERROR", (12, 20, 24), grows=True, full=80),) if has_error else ()),
        Column("ARGUMENTS", (0, 0, 0) if has_error else (12, 20, 24), grows=not has_error, full=80),
    )


_WITH_ERROR = (TaskState.FAILED, TaskState.RETRYING, TaskState.CANCELLED)


def task_row(task: TaskView, now_ms: int, masker: Masker, *, is_mixed: bool = False) -> Row:
    """A task as a row under `columns` of its state, or of several."""
    sign = TASK_SIGNS[task.state]
    attempt = f"{task.attempt}/{task.max_attempts}"
    is_last = task.attempt >= task.max_attempts > 1 and task.state in (TaskState.RUNNING, TaskState.RETRYING)
    took = duration(task.duration_ms).replace(" ", "") if task.duration_ms is not None else "-"
    task_id, task_type = Cell(short_id(task.id), sign.style), Cell(task.type)
    attempts = Cell(attempt, "cell--warn" if is_last else "cell--dim" if task.attempt <= 1 else "")
    queue, worker = Cell(task.queue, "cell--dim"), Cell(task.worker_id or "-", "cell--dim")
    duration_cell, priority = Cell(took, "cell--dim"), Cell(priority_label(task.priority), "cell--dim")
    words = last_words(task, masker)
    if is_mixed:
        state = Cell(str(sign), sign.style)
        since = Cell(age(max(0, now_ms - task.created_at_ms)), "cell--dim")
        cells = (task_id, state, task_type, since, attempts, queue, priority, duration_cell, worker, words)
        return Row(task.id, cells)
    return Row(
        task.id,
        (
            *(task_id, task_type, Cell(age(time_shown_ms(task, now_ms)), _age_style(task, now_ms)), attempts, queue),
            *((duration_cell,) if task.state.is_terminal else ()),
            *(priority, worker, words),
            *((Cell(arguments_text(task, masker)[:TEXT_MAX], "cell--dim"),) if task.state in _WITH_ERROR else ()),
        ),
    )


def last_words(task: TaskView, masker: Masker) -> Cell:
    """What is most worth reading of a task in one line: its error where it has one, else its arguments."""
    if task.state in _WITH_ERROR:
        error = task.error or (task.history[-1].detail if task.history else None)
        text = error_text(error, masker)
        if text:
            return Cell(text[:TEXT_MAX], "cell--bad" if task.state is TaskState.FAILED else "cell--warn")
    return Cell(arguments_text(task, masker)[:TEXT_MAX], "cell--dim")


def time_shown_ms(task: TaskView, now_ms: int) -> int | None:
    """The time of `columns`: how long it waits or runs, when it is due, how long ago it ended."""
    if task.state in (TaskState.SCHEDULED, TaskState.RETRYING):
        return None if task.due_at_ms is None else max(0, task.due_at_ms - now_ms)
    if task.state is TaskState.RUNNING:
        since_ms = task.started_at_ms
    elif task.state.is_terminal:
        since_ms = task.finished_at_ms
    else:
        since_ms = task.created_at_ms
    return None if since_ms is None else max(0, now_ms - since_ms)


def _age_style(task: TaskView, now_ms: int) -> str:
    if task.state is TaskState.RUNNING and task.lease_end_ms is not None and task.lease_end_ms < now_ms:
        return "cell--bad"
    return ""
