"""Plain functions, run in threads that can be interrupted.

An exception can be raised inside another thread, but only by the thread's id, and a thread goes from task to task. So
both happen under the thread's lock: the thread takes and gives up its task under it, and who interrupts holds it while
checking that the thread still runs that very task. An interrupted thread is never given another task.
"""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import os
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from tq_core.errors import SoftTimeoutError, TaskInterruptedError
from tq_core.tasks.context import enter
from tq_worker.stray_fork import end_stray_fork
from tq_worker.worker.run import Outcome, Run

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in_thread.argtypes = (ctypes.c_ulong, ctypes.py_object)
_forget_raise = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)(
    ("PyThreadState_SetAsyncExc", ctypes.pythonapi)
)

Ended = Callable[[Run, Outcome], None]


class ThreadExecution:
    """One plain function at work."""

    is_alone = False

    def __init__(self, run: Run, call: Callable[[], bytes]) -> None:
        self.run, self.call = run, call
        self.worker: _Thread | None = None
        self.is_interrupted = False
        self.is_unwanted = False

    def cancel(self, why: str) -> None:
        """Nothing: a plain function is asked by its context's flag, which the caller has set."""

    def interrupt(self, why: str) -> None:  # noqa: ARG002 - as for every kind of execution
        """Raises TaskInterruptedError inside the handler; a handler that waits in C sees it when it comes back."""
        self.is_unwanted = True
        if self.worker is not None and not self.is_interrupted:
            self.is_interrupted = self.worker.interrupt(self, TaskInterruptedError)

    def warn(self) -> None:
        """Raises SoftTimeoutError inside the handler."""
        if self.worker is not None and not self.is_interrupted:
            self.worker.interrupt(self, SoftTimeoutError, retire=False)


class ThreadPool:
    """Threads for plain functions: started when needed, as many at most as tasks run at once."""

    def __init__(self, ended: Ended, context: contextvars.Context | None = None) -> None:
        self._ended = ended
        self.context = context or contextvars.copy_context()
        self._loop = asyncio.get_running_loop()
        self.pid = os.getpid()
        self._work: SimpleQueue[ThreadExecution | None] = SimpleQueue()
        self._idle = 0
        self._started = 0
        self._count = threading.Lock()
        self._results: deque[tuple[Run, Outcome]] = deque()

    def start(self, run: Run, kwargs: dict[str, Any]) -> ThreadExecution:
        """Runs the handler in a free thread."""
        definition, context = run.definition, run.context
        assert definition is not None
        assert context is not None

        def call() -> bytes:
            enter(context)  # the thread runs it in a copy of the context variables
            return definition.encode_result(definition.handler(**kwargs))

        execution = ThreadExecution(run, call)
        with self._count:
            is_needed = self._idle <= self._work.qsize()
            self._started += is_needed
        self._work.put(execution)
        if is_needed:
            _Thread(self, self._started).start()
        return execution

    def close(self) -> None:
        """Ends the threads as soon as they are idle."""
        for _ in range(self._started):
            self._work.put(None)

    def take(self) -> ThreadExecution | None:
        """The next handler for a thread; waits for one. None = the pool is closed."""
        with self._count:
            self._idle += 1
        try:
            return self._work.get()
        finally:
            with self._count:
                self._idle -= 1

    def report(self, run: Run, outcome: Outcome) -> None:
        """Tells the event loop; one call of it may fetch the ends of many."""
        is_first = not self._results
        self._results.append((run, outcome))
        if is_first:
            try:
                self._loop.call_soon_threadsafe(self._fetch)
            except RuntimeError:  # the loop is closed: the process is ending
                return

    def _fetch(self) -> None:
        while self._results:
            run, outcome = self._results.popleft()
            self._ended(run, outcome)


class _Thread(threading.Thread):
    """Runs one handler after the other, until it was interrupted once."""

    def __init__(self, pool: ThreadPool, number: int) -> None:
        super().__init__(name=f"tq-task-{number}", daemon=True)
        self._pool = pool
        self._lock = threading.Lock()
        self._current: ThreadExecution | None = None
        self._is_raised = False
        self._is_retired = False

    def interrupt(self, execution: ThreadExecution, error: type[BaseException], *, retire: bool = True) -> bool:
        """Raises an exception in the handler if this thread still runs it; returns whether it does."""
        with self._lock:
            if self._current is not execution or self.ident is None:
                return False
            self._is_raised = True
            self._is_retired = self._is_retired or retire
            _raise_in_thread(self.ident, error)
            return True

    def run(self) -> None:
        while not self._is_retired:
            execution = self._pool.take()
            if execution is None:
                return
            try:
                # A copy: what one handler sets does not reach the next.
                outcome = self._pool.context.copy().run(self._serve, execution)
            except (TaskInterruptedError, SoftTimeoutError) as late:
                outcome = Outcome(error=late)
            self._pool.report(execution.run, outcome)

    def _serve(self, execution: ThreadExecution) -> Outcome:
        try:
            outcome = self._call(execution)
        except (TaskInterruptedError, SoftTimeoutError) as late:
            # Raised between the handler's end and the moment the lock was taken.
            outcome = Outcome(error=late)
        while True:
            try:
                with self._lock:
                    self._current = None
                if self._is_raised:
                    # Asked for and perhaps not raised yet: it is not meant for what comes next.
                    _forget_raise(self.ident or 0, None)
                    self._is_raised = False
                return outcome
            except (TaskInterruptedError, SoftTimeoutError):
                continue

    def _call(self, execution: ThreadExecution) -> Outcome:
        with self._lock:
            self._current = execution
            execution.worker = self
        if execution.is_unwanted:
            return Outcome(error=TaskInterruptedError("stopped before it started"))
        try:
            outcome = Outcome(result=execution.call())
            end_stray_fork(self._pool.pid, None)
            return outcome
        except BaseException as error:  # noqa: BLE001 - a handler's seam: what it raises ends the attempt, not the thread
            end_stray_fork(self._pool.pid, error)
            return Outcome(error=error)
        finally:
            with self._lock:
                self._current = None
