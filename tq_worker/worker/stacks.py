"""What a process is doing right now, as text: every thread's stack and every task's."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import Any

from tq_worker.worker.coroutines import CoroutineExecution
from tq_worker.worker.run import Run
from tq_worker.worker.threads import ThreadExecution

MAX_CHARS = 200_000
OWN_THREADS = frozenset({"tq-leases", "tq-log", "tq-channel"})
"""They wait nearly always, and their stacks are longer than what is looked for."""


def describe(runs: Sequence[Run]) -> str:
    """Stacks of the handlers first, then of all threads; of the worker's own threads only where they are."""
    out: list[str] = []
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for run in runs:
        execution = run.execution
        if isinstance(execution, CoroutineExecution):
            out.append(f"task {run.task.id} {run.type_name} (async)")
            out += _of_coroutine(execution.task)
        elif isinstance(execution, ThreadExecution) and execution.worker is not None:
            out.append(f"task {run.task.id} {run.type_name} (thread {execution.worker.name})")
    for ident, frame in sys._current_frames().items():  # noqa: SLF001 - there is no other way
        name = names.get(ident, "?")
        if name in OWN_THREADS:
            out.append(f"thread {name}, of the worker itself: {frame.f_code.co_qualname}")
            continue
        out.append(f"thread {name}")
        out += [line.rstrip() for line in traceback.format_stack(frame)]
    return "\n".join(out)[:MAX_CHARS]


def _of_coroutine(task: asyncio.Task[None]) -> list[str]:
    lines = []
    coroutine: Any = task.get_coro()
    # Task.get_stack shows the outermost frame only while the task waits; the chain of awaits says where.
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is None:
            break
        lines.append(f"  {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}")
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return lines
