"""Tasks and workers as the clients of the root and of /api/v1 know them: our states and priorities in their words."""

from __future__ import annotations

from typing import Any

from tq_console.gateway.models import iso
from tq_console.gateway.submitting import shown_priority
from tq_console.view.secrets import Masker
from tq_core.model import TaskState, TaskView, parse_priority
from tq_core.roles.registry import Fleet, WorkerInfo

STATUS = {TaskState.RUNNING: "processing", TaskState.SCHEDULED: "pending", TaskState.BLOCKED: "pending"}
"""Where their word is not ours."""
STATES_OF: dict[str, tuple[TaskState, ...]] = {
    "pending": (TaskState.PENDING, TaskState.SCHEDULED, TaskState.BLOCKED),
    "processing": (TaskState.RUNNING,),
    **{str(state): (state,) for state in TaskState if state is not TaskState.PENDING},
}
"""The states behind each word that a client may ask for."""
PREVIEW_BYTES = 4096
"""Of the arguments of each task of a list."""


def status_of(task: TaskView) -> str:
    """Its state in their words."""
    return STATUS.get(task.state, str(task.state))


def asked_priority(task: TaskView) -> int | str:
    """The priority in the form in which it was asked for."""
    asked = task.options.asked_priority
    if asked is not None and parse_priority(asked) == task.priority:
        return asked
    return shown_priority(task.priority)


def retries_of(task: TaskView) -> tuple[int, int]:
    """How often it was tried again, and how often it may be."""
    most = max(0, task.max_attempts - 1)
    return min(task.failures, most), most


def root_task(task: TaskView, masker: Masker) -> dict[str, Any]:
    """A task for clients of the root."""
    retry_count, max_retries = retries_of(task)
    shown: dict[str, Any] = {
        "id": task.id,
        "type": task.type,
        "data": _data(task, masker),
        "status": status_of(task),
        "priority": asked_priority(task),
        "created_at": iso(task.created_at_ms),
        "worker_id": task.worker_id,
        "retry_count": retry_count,
        "max_retries": max_retries,
    }
    if task.due_at_ms is not None:
        shown["execute_after"] = iso(task.due_at_ms)
    if task.started_at_ms is not None:
        shown["started_at"] = iso(task.started_at_ms)
    if task.finished_at_ms is not None:
        shown["completed_at"] = iso(task.finished_at_ms)
    if task.state is TaskState.COMPLETED:
        shown["result"] = masker.masked(task.result)
    if task.error is not None:
        shown["error"] = masker.masked(task.error)
    return shown


def _data(task: TaskView, masker: Masker) -> Any:
    if task.args is None:
        return task.payload_text
    args = masker.masked(task.args)
    return args["data"] if set(args) == {"data"} else args


def api_task(task: TaskView, masker: Masker) -> dict[str, Any]:
    """A task for clients of /api/v1; its type is in its payload, where it was."""
    retry_count, max_retries = retries_of(task)
    args = {"data": task.payload_text} if task.args is None else masker.masked(task.args)
    due_at_ms = task.due_at_ms if task.state is TaskState.SCHEDULED else None
    return {
        "task_id": task.id,
        "priority": task.priority,
        "status": status_of(task),
        "created_at": task.created_at_ms / 1000,
        "execute_after": None if due_at_ms is None else due_at_ms / 1000,
        "retry_count": retry_count,
        "max_retries": max_retries,
        "payload": args if "type" in args else {"type": task.type, **args},
    }


def workers_of(fleet: Fleet) -> list[dict[str, Any]]:
    """The workers that live, for clients of the root."""
    shown = []
    for member in fleet.workers:
        info = member.info
        if member.health == "lost" or not isinstance(info, WorkerInfo):
            continue
        state = info.state if info.state != "running" else "busy" if info.running else "idle"
        shown.append(
            {
                "id": member.id,
                "status": state,
                "tasks_processed": info.completed + info.failed,
                "last_heartbeat": iso(member.seen_at_ms),
            }
        )
    return shown
