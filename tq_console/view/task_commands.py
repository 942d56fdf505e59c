"""The `tq` commands that do to a task what the console's keys do."""

from __future__ import annotations

import shlex

from tq_core.model import TERMINAL_STATES, WAITING_STATES, TaskState, TaskView, priority_label

TaskCommand = tuple[str, str, str]
"""The key, what it does, the command."""


def task_commands(task: TaskView) -> list[TaskCommand]:
    """Those that make sense in the task's state, reading ones first."""
    state, task_id = task.state, task.id
    found = [
        ("d", "show all of it", ("tasks", "show", task_id)),
        ("w", "why it is where it is", ("why", task_id)),
        ("l", "its log", ("tasks", "logs", task_id, *(("--follow",) if state is TaskState.RUNNING else ()))),
    ]
    if task.options.depends_on or state is TaskState.BLOCKED:
        found.append(("", "what it waits for", ("tasks", "tree", task_id)))
    found.append(("V", "with its secrets, which is audited", ("tasks", "show", task_id, "--reveal")))
    found.append(("e", "the same again, with changes", ("submit", task.type, "--from", task_id)))
    if state in TERMINAL_STATES:
        found.append(("r", "run it again", ("tasks", "retry", task_id)))
    else:
        found.append(("X", "cancel it", ("tasks", "cancel", task_id)))
    if state is TaskState.RUNNING:
        found.append(("K", "kill it", ("tasks", "kill", task_id)))
        found.append(("", "where it is in its code", ("workers", "stacks", task.worker_id or "WORKER")))
    if state in WAITING_STATES:
        level = "normal" if priority_label(task.priority) == "high" else "high"
        found.append(("p", "another priority", ("tasks", "reprioritise", task_id, "--priority", level)))
    if state in WAITING_STATES or state is TaskState.FAILED:
        found.append((">", "to another queue", ("tasks", "move", task_id, "--to", "QUEUE")))
    if state is not TaskState.RUNNING:
        verb = ("dlq", "discard") if state is TaskState.FAILED else ("tasks", "delete")
        found.append(("D", "delete it", (*verb, task_id)))
        found.append(("z", "undo that", ("undo",)))
    return [(key, text, shlex.join(("tq", *words))) for key, text, words in found]
