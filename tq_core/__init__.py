"""tq: a task queue on Redis. What programs need is here; see `tq_core.tasks.task_queue`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tq_core.errors import (
        DuplicateTaskError,
        FatalError,
        InvalidArgumentsError,
        NotFoundError,
        QueueFullError,
        TaskCancelledError,
        TaskExpiredError,
        TaskFailedError,
        TqError,
        UnknownParentError,
        WaitTimeoutError,
    )
    from tq_core.model import RetryPolicy, TaskState, TaskView
    from tq_core.roles.limits import Breaker
    from tq_core.tasks.context import TaskContext, current_context
    from tq_core.tasks.handle import ChainHandle, GroupHandle, TaskHandle
    from tq_core.tasks.task_queue import TaskQueue
    from tq_core.tasks.workflow import TaskSignature

_HOMES = {
    "Breaker": "roles.limits",
    "ChainHandle": "tasks.handle",
    "DuplicateTaskError": "errors",
    "FatalError": "errors",
    "GroupHandle": "tasks.handle",
    "InvalidArgumentsError": "errors",
    "NotFoundError": "errors",
    "QueueFullError": "errors",
    "RetryPolicy": "model",
    "TaskCancelledError": "errors",
    "TaskContext": "tasks.context",
    "TaskExpiredError": "errors",
    "TaskFailedError": "errors",
    "TaskHandle": "tasks.handle",
    "TaskQueue": "tasks.task_queue",
    "TaskSignature": "tasks.workflow",
    "TaskState": "model",
    "TaskView": "model",
    "TqError": "errors",
    "UnknownParentError": "errors",
    "WaitTimeoutError": "errors",
    "current_context": "tasks.context",
}

__all__ = [
    "Breaker",
    "ChainHandle",
    "DuplicateTaskError",
    "FatalError",
    "GroupHandle",
    "InvalidArgumentsError",
    "NotFoundError",
    "QueueFullError",
    "RetryPolicy",
    "TaskCancelledError",
    "TaskContext",
    "TaskExpiredError",
    "TaskFailedError",
    "TaskHandle",
    "TaskQueue",
    "TaskSignature",
    "TaskState",
    "TaskView",
    "TqError",
    "UnknownParentError",
    "WaitTimeoutError",
    "current_context",
]


def __getattr__(name: str) -> Any:
    # Each is imported when first used: a command that only reads a name from here must start fast.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
