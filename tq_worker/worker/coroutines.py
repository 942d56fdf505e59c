"""Async handlers, run as tasks of the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from tq_core.errors import SoftTimeoutError
from tq_core.tasks.context import enter
from tq_worker.stray_fork import end_stray_fork
from tq_worker.worker.run import Outcome, Run

Ended = Callable[[Run, Outcome], None]


class CoroutineExecution:
    """One async handler at work."""

    is_alone = False

    def __init__(
        self, run: Run, kwargs: dict[str, Any], ended: Ended, *, context: contextvars.Context | None = None
    ) -> None:
        self._run, self._ended = run, ended
        self._is_ended = False
        self._pid = os.getpid()
        self._warnable: Warnable | None = None
        self.task = asyncio.get_running_loop().create_task(self._drive(kwargs), context=context)

    def cancel(self, why: str) -> None:
        """Cancels the asyncio task: CancelledError is raised where the handler waits."""
        # A task that is cancelled before its first step never reaches `_drive`.
        self.task.add_done_callback(self._ensure_ended)
        self.task.cancel(why)

    def interrupt(self, why: str) -> None:
        """Cancels it, again if need be."""
        self.task.cancel(why)

    def warn(self) -> None:
        """Raises SoftTimeoutError where the handler waits."""
        if self._warnable is not None:
            self._warnable.warn()

    async def _drive(self, kwargs: dict[str, Any]) -> None:
        run = self._run
        definition, context = run.definition, run.context
        assert definition is not None
        assert context is not None
        try:
            # The asyncio task has its own copy of the context variables, so nothing needs to be set back.
            enter(context)
            coroutine = definition.handler(**kwargs)
            if context.soft_timeout_s is not None:
                coroutine = self._warnable = Warnable(coroutine, self.task)
            outcome = Outcome(result=definition.encode_result(await coroutine))
        except BaseException as error:  # noqa: BLE001 - a handler's seam: what it raises ends the attempt, not the process
            outcome = Outcome(error=error)
        end_stray_fork(self._pid, outcome.error)
        self._is_ended = True
        self._ended(run, outcome)

    def _ensure_ended(self, _: asyncio.Task[None]) -> None:
        if not self._is_ended:
            self._is_ended = True
            self._ended(self._run, Outcome(error=asyncio.CancelledError("before its first step")))


class Warnable(Coroutine[Any, Any, Any]):
    """A handler's coroutine in which one cancellation becomes a SoftTimeoutError."""

    def __init__(self, inner: Coroutine[Any, Any, Any], task: asyncio.Task[Any]) -> None:
        self._inner, self._task = inner, task
        self._is_warning = False

    def warn(self) -> None:
        """Raises SoftTimeoutError where the handler waits."""
        if not self._task.done():
            self._is_warning = True
            self._task.cancel()

    def send(self, value: Any) -> Any:
        return self._inner.send(value)

    def throw(self, kind: Any, value: Any = None, trace: Any = None) -> Any:
        error = kind if value is None else value
        if self._is_warning and isinstance(error, asyncio.CancelledError):
            self._is_warning = False
            self._task.uncancel()
            error = SoftTimeoutError("the task has used its soft timeout: finish or give up now")
        if trace is not None:
            error = error.with_traceback(trace)
        return self._inner.throw(error)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self.send(None)
