"""What can be copied of what is under the cursor."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from tq_console.view.secrets import Masker
from tq_console.view.task_page import traceback_lines
from tq_core.ids import is_id
from tq_core.model import TaskView

_COMMANDS = {
    "queues": "tq tasks list --queue",
    "metrics": "tq tasks list --queue",
    "workers": "tq workers stacks",
    "groups": "tq dlq list --group",
    "schedule": "tq cron show",
}
"""Where something is -> the command that tells most of it."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One text."""

    key: str
    name: str
    text: str


def copies_of(
    subject: str | None, *, screen: str, task: TaskView | None, row: Sequence[str], masker: Masker
) -> list[Copy]:
    """The texts, each with the key that takes it; what is not there is left out.

    Args:
        subject: The id or name under the cursor.
        screen: Where it is.
        task: What is known of it, where it is a task.
        row: The cells of its line.
        masker: Hides what is secret.
    """
    found: list[Copy] = []
    if subject:
        found.append(Copy("i", "name" if screen in ("queues", "metrics", "schedule") else "id", subject))
    if task is not None:
        if task.args is not None:
            found.append(Copy("a", "arguments as JSON", _json(masker.masked(task.args))))
        elif task.payload_text:
            found.append(Copy("a", "arguments as they are", task.payload_text))
        if task.result is not None:
            found.append(Copy("o", "result as JSON", _json(masker.masked(task.result))))
        if lines := traceback_lines(task, masker):
            found.append(Copy("t", "traceback", "\n".join(lines)))
    if row:
        found.append(Copy("r", "row, tab separated", "\t".join(" ".join(cell.split()) for cell in row)))
    if subject and (
        command := _command(subject, screen=screen, is_task=task is not None or screen in ("tasks", "dlq"))
    ):
        found.append(Copy("c", "command", command))
    return found


def _command(subject: str, *, screen: str, is_task: bool) -> str:
    name = shlex.quote(subject)
    if is_task or (screen not in _COMMANDS and is_id(subject)):
        return f"tq tasks show {name}"
    return f"{_COMMANDS[screen]} {name}" if screen in _COMMANDS else ""


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
