"""A task's trace: where it comes from when the task is enqueued, and where it goes on from its handler.

W3C Trace Context in the task's options carries it. OpenTelemetry is never imported here unless the program has loaded
it already: who never did has no active span. Spans are named as OpenTelemetry's conventions for messaging say.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from tq_core.errors import InvalidInputError
from tq_core.model import NewTask, TaskOptions

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, SpanContext, Tracer, TracerProvider

SYSTEM = "tq"
MAX_TRACESTATE_CHARS = 512
"""What W3C asks every system to pass on; a longer one is left out."""

_API = "opentelemetry.trace"
_MAX_STATUS_CHARS = 300
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TRACESTATE = re.compile(rf"[\x20-\x7e]{{1,{MAX_TRACESTATE_CHARS}}}")


def is_loaded() -> bool:
    """Whether this program has loaded OpenTelemetry, so that there can be an active span."""
    return _API in sys.modules


def check_options(options: TaskOptions) -> None:
    """Refuses a trace context that is none.

    Raises:
        InvalidInputError: traceparent or tracestate is not as W3C writes it.
    """
    if options.traceparent is not None and not _TRACEPARENT.fullmatch(options.traceparent):
        raise InvalidInputError(
            f"traceparent {options.traceparent!r}: must be like 00-TRACE-SPAN-01, with 32 and 16 hexadecimal digits"
        )
    if options.tracestate is not None and not _TRACESTATE.fullmatch(options.tracestate):
        raise InvalidInputError(
            f"a tracestate of {len(options.tracestate)} characters: must be 1 to {MAX_TRACESTATE_CHARS} of ASCII"
        )


class Trace:
    """The place in a trace that a handler's code is in."""

    __slots__ = ("_context", "trace_id", "traceparent", "tracestate")

    def __init__(self, context: Context, span_context: SpanContext) -> None:
        self._context = context
        self.trace_id = f"{span_context.trace_id:032x}"
        self.traceparent, self.tracestate = _written(span_context)

    def enter(self) -> object:
        """Makes it the active one in the running context; returns what `leave` needs."""
        from opentelemetry.context import attach

        return attach(self._context)

    @staticmethod
    def leave(token: Any) -> None:
        """Makes active what was so before."""
        from opentelemetry.context import detach

        detach(token)


def continued(traceparent: str | None, tracestate: str | None = None) -> Trace | None:
    """A trace that began in another process; None where there is none. Loads OpenTelemetry's API."""
    context = context_of(traceparent, tracestate)
    if context is None:
        return None
    from opentelemetry import trace

    return Trace(context, trace.get_current_span(context).get_span_context())


def context_of(traceparent: str | None, tracestate: str | None = None) -> Context | None:
    """The context that a task carries, as OpenTelemetry wants it; None where it carries none that can be read."""
    if traceparent is None or not _TRACEPARENT.fullmatch(traceparent):
        return None
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {"traceparent": traceparent, **({"tracestate": tracestate} if tracestate else {})}
    context = TraceContextTextMapPropagator().extract(carrier, Context())
    return context if trace.get_current_span(context).get_span_context().is_valid else None


def headers() -> dict[str, str]:
    """What a request must carry to continue the active trace; nothing where there is none."""
    if not is_loaded():
        return {}
    from opentelemetry import trace

    active = trace.get_current_span().get_span_context()
    if not active.is_valid:
        return {}
    traceparent, tracestate = _written(active)
    return {"traceparent": traceparent, **({"tracestate": tracestate} if tracestate else {})}


def _written(span_context: SpanContext) -> tuple[str, str | None]:
    traceparent = f"00-{span_context.trace_id:032x}-{span_context.span_id:016x}-{span_context.trace_flags:02x}"
    tracestate = span_context.trace_state.to_header()
    return traceparent, tracestate if 0 < len(tracestate) <= MAX_TRACESTATE_CHARS else None


_tracer: tuple[TracerProvider, Tracer] | None = None


def tracer() -> Tracer:
    """Where spans of tq are made, by whichever provider the program has chosen."""
    global _tracer  # noqa: PLW0603 - to make one anew for each span costs more than the span
    from opentelemetry import trace

    provider = trace.get_tracer_provider()
    if _tracer is None or _tracer[0] is not provider:
        _tracer = provider, provider.get_tracer(SYSTEM)
    return _tracer[1]


def is_recorded() -> bool:
    """Whether the program has set up a provider that keeps spans."""
    if not is_loaded():
        return False
    from opentelemetry import trace

    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider | trace.NoOpTracerProvider)


class ActiveSpan:
    """A span that is active for a block of code, and that tells how the block failed."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._token: Any = None

    def __enter__(self) -> Self:
        from opentelemetry import context, trace

        self._token = context.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from opentelemetry import context

        context.detach(self._token)
        if error is not None:
            mark_failed(self._span, type(error).__qualname__, str(error))
        self._span.end()


def mark_failed(span: Span, error_type: str, message: str, stacktrace: str | None = None) -> None:
    """Writes down an error as OpenTelemetry wants it: status, error.type and an event of an exception."""
    from opentelemetry.trace import Status, StatusCode

    message = writable(message)
    span.set_status(Status(StatusCode.ERROR, f"{error_type}: {message}"[:_MAX_STATUS_CHARS]))
    span.set_attribute("error.type", error_type)
    said = {"exception.type": error_type, "exception.message": message}
    span.add_event("exception", said if stacktrace is None else {**said, "exception.stacktrace": writable(stacktrace)})


def writable(text: str) -> str:
    """Text as an exporter can write it: one lone surrogate would cost it the whole batch."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


class EnqueueSpan(ActiveSpan):
    """The span of one call that enqueues."""

    def carried(self, tasks: Sequence[NewTask]) -> list[NewTask]:
        """The tasks, each carrying this span's context unless it carries one already."""
        traceparent, tracestate = _written(self._span.get_span_context())
        return [
            task if task.options.traceparent is not None else carrying(task, traceparent, tracestate) for task in tasks
        ]

    def enqueued(self, task_ids: Sequence[str]) -> None:
        """Notes what became of them."""
        if len(task_ids) == 1:
            self._span.set_attribute("messaging.message.id", task_ids[0])


def is_context(traceparent: str, tracestate: str | None = None) -> bool:
    """Whether this is a trace context as W3C writes it."""
    return _TRACEPARENT.fullmatch(traceparent) is not None and (
        tracestate is None or _TRACESTATE.fullmatch(tracestate) is not None
    )


def carrying(task: NewTask, traceparent: str, tracestate: str | None) -> NewTask:
    """The task as a part of a trace, which tells also when it is due, so that its delay is not shown as a wait."""
    ready_at_ms = _ready_at_ms(task, time.time() * 1000)
    options = msgspec.structs.replace(
        task.options, traceparent=traceparent, tracestate=tracestate, ready_at_ms=ready_at_ms
    )
    return msgspec.structs.replace(task, options=options)


def _ready_at_ms(task: NewTask, now_ms: float) -> int | None:
    if task.at_ms is not None:
        return task.at_ms
    delay_ms = task.delay_ms or (task.options.debounce_s or 0) * 1000
    return round(now_ms + delay_ms) if delay_ms else None


def enqueue_span(queue: str, tasks: Sequence[NewTask]) -> EnqueueSpan | None:
    """A span for a call that enqueues; None where no span is active, or where the tasks have their traces already."""
    from opentelemetry import trace

    if not trace.get_current_span().get_span_context().is_valid:
        return None
    if all(task.options.traceparent is not None for task in tasks):
        return None
    attributes: dict[str, str | int] = {
        "messaging.system": SYSTEM,
        "messaging.destination.name": queue,
        "messaging.operation.name": "enqueue",
        "messaging.operation.type": "send",
    }
    types = {task.task_type for task in tasks}
    if len(types) == 1:
        attributes["tq.task.type"] = types.pop()
    if len(tasks) != 1:
        attributes["messaging.batch.message_count"] = len(tasks)
    span = tracer().start_span(f"enqueue {queue}", kind=trace.SpanKind.PRODUCER, attributes=attributes)
    return EnqueueSpan(span)
