"""What an exception that ended an attempt means for its task: the same answer wherever the task was run."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from tq_core.errors import (
    FatalError,
    HardTimeoutError,
    InvalidArgumentsError,
    InvalidResultError,
    MemoryLimitError,
    PayloadRefusedError,
    SoftTimeoutError,
    TaskInterruptedError,
)
from tq_core.model import RetryPolicy
from tq_core.tasks.task import TaskDefinition
from tq_worker.error_detail import error_detail

_DEFAULT_POLICY = RetryPolicy()


class Verdict(NamedTuple):
    """How an attempt is recorded: the arguments of `consumer.fail` that follow from its exception."""

    verdict: str
    """retry (while attempts are left), fatal (to the DLQ) or cancel (somebody asked for it)."""
    reason: str
    """error, timeout, fatal, bad_arguments, payload_refused, bad_result, memory_limit, cancelled or killed."""
    detail: dict[str, Any]
    delay_ms: int
    """The wait before the next attempt; 0 unless the verdict is retry."""


def classify(
    error: BaseException,
    definition: TaskDefinition | None,
    attempt: int,
    *,
    retry: RetryPolicy | None = None,
    asked: str | None = None,
) -> Verdict:
    """Decides what becomes of a task whose attempt raised.

    SystemExit, KeyboardInterrupt and the like are failures as any other: what a handler raises ends its attempt, never
    the process. A handler may refuse its arguments itself by raising InvalidArgumentsError.

    Args:
        definition: None where the type is not known to this process.
        attempt: The attempt that failed, from 1.
        retry: The task's own policy (`header.options.retry`); beats the type's.
        asked: What somebody asked of the running task, `cancel` or `kill`; None for nothing.
    """
    handler = definition.handler if definition else None
    detail = error_detail(
        error,
        module=getattr(handler, "__module__", None) or "",
        handler=getattr(handler, "__qualname__", None) or "",
    )
    if asked and isinstance(error, TaskInterruptedError | asyncio.CancelledError):
        return Verdict("cancel", "killed" if asked == "kill" else "cancelled", detail, 0)
    if isinstance(error, InvalidArgumentsError):
        if error.problems:
            detail["problems"] = error.problems
        return Verdict("fatal", "bad_arguments", detail, 0)
    if isinstance(error, PayloadRefusedError):
        return Verdict("fatal", "payload_refused", detail, 0)
    if isinstance(error, InvalidResultError):
        return Verdict("fatal", "bad_result", detail, 0)
    if _is_fatal(error):
        return Verdict("fatal", "fatal", detail, 0)
    policy = retry or (definition.retry if definition else _DEFAULT_POLICY)
    reason = "timeout" if isinstance(error, HardTimeoutError | SoftTimeoutError) else "error"
    if isinstance(error, MemoryLimitError):
        reason = "memory_limit"
        detail |= {"limit_mb": error.limit_mb, "used_mb": error.used_mb}
    return Verdict("retry", reason, detail, policy.delay_ms(attempt))


def _is_fatal(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_is_fatal(inner) for inner in error.exceptions)
    return isinstance(error, FatalError)
