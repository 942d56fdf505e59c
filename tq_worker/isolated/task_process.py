"""Runs one task in this process, and tells the worker how it went."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import sys
import threading
from collections.abc import Mapping
from typing import Any

import msgspec

from tq_core import tracing
from tq_core.errors import SoftTimeoutError, TaskInterruptedError
from tq_core.model import RetryPolicy
from tq_core.tasks.context import TaskContext, running_in
from tq_core.tasks.registered_task import Task
from tq_core.tasks.task import TaskDefinition
from tq_worker import trace_export
from tq_worker.isolated import messages
from tq_worker.stray_fork import end_stray_fork, let_forks_be_terminated
from tq_worker.verdict import classify

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in_thread.argtypes = (ctypes.c_ulong, ctypes.py_object)


def _flush() -> None:
    """Has what was printed leave this process, also by libraries that use C's own buffers."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).fflush(None)


class TaskProcess:
    """One task, alone in its process."""

    def __init__(self, line: socket.socket, tasks: Mapping[str, TaskDefinition]) -> None:
        self._line, self._tasks = line, tasks
        self._incoming = line.makefile("rb")
        self._sending = threading.Lock()
        self._main = threading.get_ident()
        self._guard = threading.Lock()
        self._is_at_work = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._context: TaskContext | None = None

    def run(self) -> None:
        """Runs the task that the worker names, to its end."""
        self._send(messages.Begun(pid=os.getpid()))
        first = self._incoming.readline()
        if not first:
            return
        spec = messages.to_task.decode(first)
        assert isinstance(spec, messages.Spec)
        let_forks_be_terminated()
        outcome = self._outcome(spec)
        _flush()
        self._send(outcome)
        trace_export.flush()  # the end is told, so only this process waits

    def _outcome(self, spec: messages.Spec) -> messages.Succeeded | messages.Failed:
        definition = self._tasks.get(spec.task_type)
        own_pid = os.getpid()
        try:
            try:
                result = self._call(self._tasks[spec.task_type], spec)
                end_stray_fork(own_pid, None)
            finally:
                with self._guard:
                    self._is_at_work = False
        except BaseException as error:  # noqa: BLE001 - a handler's seam: what it raises ends the attempt, not us
            end_stray_fork(own_pid, error)
            retry = msgspec.convert(spec.retry, RetryPolicy) if spec.retry is not None else None
            verdict = classify(error, definition, spec.attempt, retry=retry)
            return messages.Failed(
                verdict=verdict.verdict, reason=verdict.reason, detail=verdict.detail, delay_ms=verdict.delay_ms
            )
        return messages.Succeeded(result=result)

    def _call(self, definition: TaskDefinition, spec: messages.Spec) -> bytes:
        kwargs = definition.bind(spec.payload)
        context = self._context = TaskContext(
            task_id=spec.task_id,
            task_type=spec.task_type,
            queue=spec.queue,
            attempt=spec.attempt,
            max_attempts=spec.max_attempts,
            token=spec.token,
            worker_id=spec.worker_id,
            timeout_s=spec.timeout_s,
            soft_timeout_s=spec.soft_timeout_s,
            task_queue=definition.task_queue if isinstance(definition, Task) else None,
            trace=tracing.continued(spec.traceparent, spec.tracestate) if tracing.is_recorded() else None,
            trace_id=spec.traceparent[3:35] if spec.traceparent is not None else None,
            progress=lambda fraction, text: self._send(messages.Progress(fraction=fraction, text=text)),
            log=lambda text: self._send(messages.Said(text=text)),
        )
        if definition.context_parameter is not None:
            kwargs[definition.context_parameter] = context
        self._is_at_work = True
        if definition.is_async:
            return asyncio.run(self._call_async(definition, kwargs, context))
        self._listen()
        if spec.soft_timeout_s is not None:
            self._after(spec.soft_timeout_s, lambda: self._interrupt(SoftTimeoutError))
        with running_in(context):
            return definition.encode_result(definition.handler(**kwargs))

    async def _call_async(self, definition: TaskDefinition, kwargs: dict[str, Any], context: TaskContext) -> bytes:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._listen()
        with running_in(context):
            if context.soft_timeout_s is None:
                return definition.encode_result(await definition.handler(**kwargs))
            from tq_worker.worker.coroutines import Warnable

            assert self._task is not None
            coroutine = Warnable(definition.handler(**kwargs), self._task)
            self._loop.call_later(context.soft_timeout_s, coroutine.warn)
            return definition.encode_result(await coroutine)

    # --- what the worker says meanwhile ---

    def _listen(self) -> None:
        threading.Thread(target=self._hear, name="tq-line", daemon=True).start()

    def _after(self, delay_s: float, do: Any) -> None:
        timer = threading.Timer(delay_s, do)
        timer.daemon = True
        timer.start()

    def _hear(self) -> None:
        while raw := self._incoming.readline():
            message = messages.to_task.decode(raw)
            if isinstance(message, messages.Stop):
                self._stop(message)
        # The worker is gone, and with it whoever would take a result.
        os._exit(1)

    def _stop(self, message: messages.Stop) -> None:
        if self._context is not None:
            self._context.request_cancel(message.why)
        if self._loop is not None and self._task is not None:
            try:
                self._loop.call_soon_threadsafe(self._task.cancel, message.why)
            except RuntimeError:
                return
        elif message.is_firm:
            self._interrupt(TaskInterruptedError)

    def _interrupt(self, error: type[BaseException]) -> None:
        with self._guard:
            if self._is_at_work:
                _raise_in_thread(self._main, error)

    def _send(self, message: messages.FromTask) -> None:
        try:
            with self._sending:
                self._line.sendall(messages.line(message))
        except OSError:
            os._exit(1)
