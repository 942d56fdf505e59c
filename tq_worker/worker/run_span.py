"""The spans of a run: how long its task waited, what the handler did, and how long until it is tried again.

All three are children of the span that enqueued the task, so that the attempts of a task stand side by side below it.
A task that came without a trace begins one with its run.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tq_core import tracing
from tq_core.keyspace import wire

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from tq_core.roles.consumer import Outcome
    from tq_worker.verdict import Verdict
    from tq_worker.worker.run import Run

_NS_PER_MS = 1_000_000


class RunTracing:
    """Makes the spans of the runs of one worker; only where traces are recorded."""

    def __init__(self, worker_id: str) -> None:
        # The propagator too: loaded with the first task, it would hold that one up.
        import opentelemetry.trace.propagation.tracecontext  # noqa: F401
        from opentelemetry import trace

        self._worker_id = worker_id
        self._trace = trace
        self.tracer = tracing.tracer()

    def begin(self, run: Run) -> None:
        """Gives a run its span, from now on; its `trace` is for the context of the handler."""
        from opentelemetry.context import Context

        task, kinds = run.task, self._trace.SpanKind
        header = task.header
        assert header is not None
        parent = tracing.context_of(header.options.traceparent, header.options.tracestate)
        now_ns = time.time_ns()
        attributes: dict[str, str | int] = {
            "messaging.system": tracing.SYSTEM,
            "messaging.destination.name": task.queue,
            "messaging.message.id": task.id,
            "messaging.client.id": self._worker_id,
            "tq.task.type": header.task_type,
            "tq.task.attempt": task.attempt,
        }
        if task.trail == wire.NO_TRAIL and parent is not None:
            ready_at_ms = max(header.created_at_ms, header.options.ready_at_ms or 0)
            # Both by the server's clock; what passed since the claim is measured here.
            waited_ms = max(0.0, task.claimed_at_ms - ready_at_ms) + (time.monotonic() - run.claimed_at) * 1000
            began_ns = now_ns - int(waited_ms * _NS_PER_MS)
            self.child(f"wait {task.queue}", parent, {**attributes, "messaging.operation.name": "wait"}, began_ns).end(
                now_ns
            )
        span = self.tracer.start_span(
            f"run {task.queue}",
            context=parent or Context(),
            kind=kinds.CONSUMER,
            attributes={
                **attributes,
                "messaging.operation.name": "run",
                "messaging.operation.type": "process",
                "tq.task.max_attempts": header.max_attempts,
            },
            start_time=now_ns,
        )
        run.span = RunSpan(self, span, parent, attributes)
        run.labels = None  # a trace that begins here was not known to the lines before

    def child(self, name: str, parent: Context, attributes: dict[str, str | int], began_ns: int) -> Span:
        """A span of time in which nobody works on the task."""
        return self.tracer.start_span(name, context=parent, attributes=attributes, start_time=began_ns)


class RunSpan:
    """The span of one run; ended once, when it is known what became of the run."""

    __slots__ = ("_attributes", "_delay_ms", "_ended_ns", "_is_over", "_parent", "_span", "_tracing", "trace")

    def __init__(self, owner: RunTracing, span: Span, parent: Context | None, attributes: dict[str, str | int]) -> None:
        from opentelemetry import trace
        from opentelemetry.context import Context

        self._tracing, self._span, self._parent, self._attributes = owner, span, parent, attributes
        here = trace.set_span_in_context(span, parent or Context())
        self.trace = tracing.Trace(here, span.get_span_context())
        self._ended_ns: int | None = None
        self._delay_ms = 0
        self._is_over = False

    def succeeded(self) -> None:
        """The handler returned."""
        self._stop("completed")

    def failed(self, verdict: Verdict) -> None:
        """The handler raised, or was stopped."""
        detail = verdict.detail
        self._delay_ms = verdict.delay_ms
        if verdict.verdict == "cancel":
            self._stop("cancelled")
            return
        self._stop("failed")
        self._span.set_attribute("tq.task.reason", verdict.reason)
        self._mark(detail, verdict.reason)

    def crashed(self, detail: dict[str, Any]) -> None:
        """Its own process died."""
        self._stop("crashed")
        self._span.set_attribute("tq.task.reason", "crash")
        self._mark(detail, "crash")

    def released(self, why: str) -> None:
        """It is given back."""
        self._stop("released")
        self._span.set_attribute("tq.task.reason", tracing.writable(why))

    def lost(self, why: str) -> None:
        """Whatever it brings no longer counts."""
        self._stop("lost")
        tracing.mark_failed(self._span, "LeaseLost", why)

    def decided(self, outcome: Outcome) -> None:
        """What the broker made of a run without a result; a span shows the wait that a retry begins with."""
        self._span.set_attribute("tq.task.outcome", outcome.word)
        if outcome.word != "retrying" or self._ended_ns is None:
            return
        self._span.add_event("retry", {"tq.task.retry_delay_ms": self._delay_ms})
        beside = self._parent or self._tracing_parent()
        attributes = {**self._attributes, "messaging.operation.name": "retry", "tq.task.retry_delay_ms": self._delay_ms}
        waiting = self._tracing.child(
            f"retry {self._attributes['messaging.destination.name']}", beside, attributes, self._ended_ns
        )
        waiting.end(self._ended_ns + self._delay_ms * _NS_PER_MS)

    def end(self) -> None:
        """Hands the span over, with the time at which the handler ended; nothing the second time."""
        if not self._is_over:
            self._is_over = True
            self._span.end(self._ended_ns)

    def _tracing_parent(self) -> Context:
        from opentelemetry import trace

        return trace.set_span_in_context(self._span)

    def _stop(self, outcome: str) -> None:
        self._ended_ns = time.time_ns()
        self._span.set_attribute("tq.task.outcome", outcome)

    def _mark(self, detail: dict[str, Any], reason: str) -> None:
        trace = detail.get("traceback")
        tracing.mark_failed(
            self._span,
            str(detail.get("type", reason)),
            str(detail.get("message", "")),
            trace if isinstance(trace, str) else None,
        )
