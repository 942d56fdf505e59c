"""The exporter's thread, started by the first span that ends: a process that is to be forked must have none."""

from __future__ import annotations

import threading

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor


class LateExport(SpanProcessor):
    """Batches of spans by OTLP over HTTP."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._batches: BatchSpanProcessor | None = None

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing: only what has ended is sent."""

    def on_end(self, span: ReadableSpan) -> None:
        """Puts a span into the next batch; never waits for the collector."""
        if self._batches is None:
            with self._starting:
                self.start()
        if self._batches is not None:
            self._batches.on_end(span)

    def start(self) -> None:
        """Starts the thread now: with the first span it would be at the cost of a task."""
        if self._batches is None:
            self._batches = BatchSpanProcessor(OTLPSpanExporter())

    def shutdown(self) -> None:
        """Sends what is left."""
        if self._batches is not None:
            self._batches.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Sends what has ended, now."""
        return self._batches is None or self._batches.force_flush(timeout_millis)
