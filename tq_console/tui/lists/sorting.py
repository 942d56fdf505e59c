"""By which columns a list of tasks can be sorted, and why it sometimes cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tq_console.tui.lists.task_rows import columns
from tq_console.view.secrets import Masker
from tq_console.view.task_page import arguments_text, error_text
from tq_core.model import TaskState, TaskView

SORTED_MAX = 5_000
Order = Callable[[TaskView], Any]


def sortable(states: Sequence[TaskState], masker: Masker) -> dict[str, Order]:
    """Heading -> what its column is sorted by."""
    return {column.title: _order(column.title, masker) for column in columns(states)}


def _order(title: str, masker: Masker) -> Order:
    match title:
        case "ID":
            return lambda task: task.id
        case "TYPE":
            return lambda task: task.type
        case "QUEUE":
            return lambda task: task.queue
        case "STATE":
            return lambda task: task.state
        case "ATT":
            return lambda task: task.attempt
        case "PRIO":
            return lambda task: task.priority
        case "TOOK":
            return lambda task: -1 if task.duration_ms is None else task.duration_ms
        case "WORKER":
            return lambda task: task.worker_id or ""
        case "DUE IN":
            return lambda task: task.due_at_ms or 0
        case "RUNS":
            return lambda task: -(task.started_at_ms or 0)
        case "AGO":
            return lambda task: -(task.finished_at_ms or 0)
        case "AGE" | "WAITS":
            return lambda task: -task.created_at_ms
        case "ARGUMENTS":
            return lambda task: arguments_text(task, masker)
    return lambda task: error_text(task.error, masker) or arguments_text(task, masker)
