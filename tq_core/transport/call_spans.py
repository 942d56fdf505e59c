"""A span for each round trip to Redis, named as OpenTelemetry's conventions for Redis say."""

from __future__ import annotations

from tq_core import tracing
from tq_core.transport.steps import Batch, Command, Script, Step

shows_every_call = False
"""Whether calls that belong to no trace, such as a worker's claims, get spans too."""


def span_of(step: Step) -> tracing.ActiveSpan | None:
    """The span of a step that asks Redis something within a recorded trace; waiting is not shown.

    Only where OpenTelemetry is loaded.
    """
    from opentelemetry import trace

    if not (shows_every_call or trace.get_current_span().is_recording()):
        return None
    count = 1
    if isinstance(step, Batch):
        count = len(step.steps)
        if count == 1:
            (step,) = step.steps
    script = step.name if isinstance(step, Script) else ""
    if isinstance(step, Script):
        operation = "EVALSHA"
    elif isinstance(step, Command):
        operation = str(step.args[0])
    elif isinstance(step, Batch):
        operation = "PIPELINE"
    else:
        return None
    attributes: dict[str, str | int] = {"db.system.name": "redis", "db.operation.name": operation}
    if script:
        attributes["db.stored_procedure.name"] = script
    if count > 1:
        attributes["db.operation.batch.size"] = count
    name = f"{operation} {script}" if script else operation
    return tracing.ActiveSpan(tracing.tracer().start_span(name, kind=trace.SpanKind.CLIENT, attributes=attributes))
