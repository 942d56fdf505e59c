"""Tasks that call a server and submit another task, as handlers of every kind do, below the span that is active."""

from __future__ import annotations

import os
import urllib.request

from opentelemetry import propagate, trace

from tq_core import RetryPolicy, TaskContext, TaskQueue, current_context

tq = TaskQueue()
_trace = os.open(os.environ["TRACE_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
once = RetryPolicy(max_attempts=1)


def note() -> None:
    context = current_context()
    assert context is not None
    os.write(_trace, f"start {context.task_id} {os.getpid()}\n".encode())


@tq.task(retry=once)
def inner(kind: str) -> str:
    note()
    return kind


def call(url: str, kind: str) -> None:
    note()
    with trace.get_tracer("app").start_as_current_span(f"step of {kind}"):
        headers: dict[str, str] = {}
        propagate.inject(headers)
        with urllib.request.urlopen(urllib.request.Request(f"{url}/{kind}", headers=headers), timeout=5):
            pass


@tq.task(retry=once)
async def in_loop(context: TaskContext, url: str) -> str | None:
    call(url, "in_loop")
    await inner.enqueue(kind="in_loop")
    return context.trace_id


@tq.task(retry=once)
def in_thread(context: TaskContext, url: str) -> str | None:
    call(url, "in_thread")
    inner.enqueue_sync(kind="in_thread")
    return context.trace_id


@tq.task(retry=once, isolate=True)
def in_process(context: TaskContext, url: str) -> str | None:
    call(url, "in_process")
    inner.enqueue_sync(kind="in_process")
    return context.trace_id


@tq.task(retry=RetryPolicy(max_attempts=2, initial_delay_s=0.01), isolate=True)
def fails_once(context: TaskContext) -> int:
    note()
    if context.attempt == 1:
        raise ValueError("the first time")
    return os.getppid()
