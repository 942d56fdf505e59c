"""What a running handler can know and do about its own task.

A handler asks for it by a parameter annotated `TaskContext`, or anywhere below it by `current_context()`.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tq_core.errors import RefusedError, SoftTimeoutError, TaskInterruptedError
from tq_core.tasks import parent_results
from tq_core.tasks.parent_results import ParentResults

if TYPE_CHECKING:
    from tq_core.tasks.task_queue import TaskQueue
    from tq_core.tracing import Trace

MAX_TEXT_CHARS = 200
MAX_LOG_CHARS = 2_000

ProgressSink = Callable[[float, str], None]
LogSink = Callable[[str], None]


_waking = threading.Lock()
"""Held while a handler begins to wait or is woken. Few do: an event made for each task would be a third of its cost."""


def _nowhere(*_: object) -> None:
    """Where progress and log lines go when nobody runs a worker."""


class TaskContext:
    """One attempt of one task, as its handler sees it; safe to use from any thread.

    Whoever runs the task makes it, with sinks that must not block, and calls `request_cancel` when it is to stop.
    """

    __slots__ = (
        "_log",
        "_progress",
        "_soft_deadline",
        "_task_queue",
        "_waking",
        "attempt",
        "cancel_reason",
        "deadline",
        "is_cancelled",
        "max_attempts",
        "queue",
        "soft_timeout_s",
        "task_id",
        "task_type",
        "token",
        "trace",
        "trace_id",
        "worker_id",
    )

    def __init__(
        self,
        *,
        task_id: str,
        task_type: str,
        queue: str,
        attempt: int = 1,
        max_attempts: int = 1,
        token: str = "",
        worker_id: str = "",
        timeout_s: float | None = None,
        soft_timeout_s: float | None = None,
        task_queue: TaskQueue | None = None,
        trace: Trace | None = None,
        trace_id: str | None = None,
        progress: ProgressSink = _nowhere,
        log: LogSink = _nowhere,
    ) -> None:
        now = time.monotonic()
        self.task_id, self.task_type, self.queue = task_id, task_type, queue
        self.attempt, self.max_attempts = attempt, max_attempts
        self.token = token
        """New with each claim: what a handler gives to outside systems that must refuse an outdated run."""
        self.worker_id = worker_id
        self.deadline = now + timeout_s if timeout_s is not None else None
        """When the attempt is ended, by time.monotonic(); None = never."""
        self.soft_timeout_s = soft_timeout_s
        """After so long SoftTimeoutError is raised inside the handler; None = never."""
        self.cancel_reason = ""
        self.trace_id = trace_id
        """The trace that this run is part of, 32 hexadecimal digits; None where it is part of none."""
        self.trace = trace
        """What becomes active in the handler, where traces are recorded here."""
        self._soft_deadline = now + soft_timeout_s if soft_timeout_s is not None else None
        self._task_queue = task_queue
        self.is_cancelled = False
        """Whether the handler should stop: cancelled, killed, out of time or its lease lost."""
        self._waking: threading.Event | None = None
        self._progress, self._log = progress, log

    def __repr__(self) -> str:
        return f"<TaskContext {self.task_type} {self.task_id} attempt {self.attempt}/{self.max_attempts}>"

    @property
    def is_last_attempt(self) -> bool:
        return self.attempt >= self.max_attempts

    @property
    def remaining_s(self) -> float | None:
        """Seconds until the attempt is ended, never below 0; None = no limit."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def check_cancelled(self) -> None:
        """Ends the handler here if it should stop; to be called now and then by long plain functions.

        Raises:
            TaskInterruptedError: it should stop. Derives from BaseException: `except Exception` lets it pass.
            SoftTimeoutError: its time is nearly up; raised once.
        """
        if self.is_cancelled:
            raise TaskInterruptedError(self.cancel_reason or "cancelled")
        if self._soft_deadline is not None and time.monotonic() >= self._soft_deadline:
            self._soft_deadline = None
            raise SoftTimeoutError(f"the task {self.task_id} has used its soft timeout: finish or give up now")

    def wait_cancelled(self, timeout_s: float) -> bool:
        """Sleeps in a plain function, but wakes at once when the task is cancelled; returns whether it is."""
        with _waking:
            if self._waking is None:
                self._waking = threading.Event()
            if self.is_cancelled:
                self._waking.set()
        return self._waking.wait(timeout_s)

    def progress(self, fraction: float, text: str = "") -> None:
        """Shows how far the task is.

        Args:
            fraction: From 0 to 1; values outside are clipped.
            text: What it is doing, up to MAX_TEXT_CHARS.
        """
        share = 0.0 if math.isnan(fraction) else min(1.0, max(0.0, float(fraction)))
        self._progress(share, str(text)[:MAX_TEXT_CHARS])

    def log(self, text: str) -> None:
        """Adds a line to what is shown of the task, up to MAX_LOG_CHARS."""
        self._log(str(text)[:MAX_LOG_CHARS])

    async def parent_results(self) -> ParentResults:
        """What the tasks returned that this one waited for, by id, in the order of `depends_on`; read now.

            total = sum((await context.parent_results()).values())

        Looking up one that did not complete, or is gone, raises what its handle would.

        Raises:
            RefusedError: nobody runs this as a task.
            NotFoundError: this task is not there any more.
        """
        task_queue = self._queue_of_parents()
        return ParentResults(task_queue, await task_queue.run(parent_results.fetch(self.task_id)))

    def parent_results_sync(self) -> ParentResults:
        """As `parent_results`, in a plain function."""
        task_queue = self._queue_of_parents()
        return ParentResults(task_queue, task_queue.run_sync(parent_results.fetch(self.task_id)))

    def _queue_of_parents(self) -> TaskQueue:
        if self._task_queue is None:
            raise RefusedError("this code runs in no task, so no task was waited for: enqueue it")
        return self._task_queue

    def request_cancel(self, reason: str) -> None:
        """Makes the task stop at its next check; for whoever runs it."""
        self.cancel_reason = self.cancel_reason or reason
        self.is_cancelled = True
        with _waking:
            if self._waking is not None:
                self._waking.set()


_current: contextvars.ContextVar[TaskContext | None] = contextvars.ContextVar("tq_task", default=None)


def current_context() -> TaskContext | None:
    """The task that this code runs in; None outside of one."""
    return _current.get()


def enter(context: TaskContext) -> None:
    """Makes a context the current one for good, where the context variables are the task's own."""
    _current.set(context)
    if context.trace is not None:
        context.trace.enter()


@contextlib.contextmanager
def running_in(context: TaskContext) -> Iterator[TaskContext]:
    """Makes a context the current one, for whoever runs the task."""
    reset = _current.set(context)
    trace = context.trace
    if trace is None:
        try:
            yield context
        finally:
            _current.reset(reset)
        return
    token = trace.enter()
    try:
        yield context
    finally:
        trace.leave(token)
        _current.reset(reset)
