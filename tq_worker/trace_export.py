"""Sends spans to a collector by OTLP over HTTP, from worker processes and from the processes of isolated tasks.

What is set up here is what the program's own code has not set up; OpenTelemetry's variables (OTEL_...) say the rest.
Spans are sent by a thread in batches; where the collector is away they are dropped, and no task notices.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping

from tq_core import tracing

MODES = ("on", "auto", "off")
INSTALL = "pip install 'tq-console[tracing]'"
FLUSH_S = 1.0
"""How long the end of a process waits for its last spans to be taken."""
_SAY_EVERY_S = 60.0
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def mode(asked: bool | None, environ: Mapping[str, str] = os.environ) -> str:
    """Whether spans are recorded and sent: one of MODES.

    auto: nothing is set up, but a provider that the program's own code has set up is used.

    Args:
        asked: What the node was told; None = as OpenTelemetry's variables suggest.
    """
    if asked is False or environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return "off"
    if asked or (any(map(environ.get, _ENDPOINTS)) and environ.get("OTEL_TRACES_EXPORTER", "otlp") != "none"):
        return "on"
    return "auto"


def is_installed() -> bool:
    """Whether the packages of the extra are there; imports none of them."""
    try:
        return all(
            importlib.util.find_spec(name) is not None
            for name in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
        )
    except ModuleNotFoundError:
        return False


def install(instance: str, say: Callable[[str], None], *, is_forked: bool = False) -> None:
    """Has spans recorded and sent, unless the program's own code has seen to it.

    Args:
        instance: What this process is called in the spans.
        say: Gets what the exporter complains of, once a minute at most; else it would log with every try.
        is_forked: Whether this process is to be forked: then no thread starts before the first span ends.
    """
    if tracing.is_recorded():
        return
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    from tq_worker.late_export import LateExport

    named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    attributes = {"service.instance.id": instance, **({} if named else {"service.name": "tq-worker"})}
    provider = TracerProvider(resource=Resource.create(attributes), shutdown_on_exit=False)
    export = LateExport()
    if not is_forked:
        export.start()
    provider.add_span_processor(export)
    trace.set_tracer_provider(provider)
    complaints = _Complaints(say)
    for name in ("opentelemetry.exporter", "opentelemetry.sdk"):
        logger = logging.getLogger(name)
        logger.addHandler(complaints)
        logger.propagate = False


def flush(within_s: float = FLUSH_S) -> None:
    """Returns when what has ended is sent, or when that takes too long."""
    if not tracing.is_recorded():
        return
    from opentelemetry import trace

    force = getattr(trace.get_tracer_provider(), "force_flush", None)
    if force is None:
        return
    # The exporter tries again for longer than anybody should wait; its thread is left behind.
    sending = threading.Thread(target=force, name="tq-spans", daemon=True)
    sending.start()
    sending.join(within_s)


class _Complaints(logging.Handler):
    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._say = say
        self._again_at = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if time.monotonic() >= self._again_at:
            self._again_at = time.monotonic() + _SAY_EVERY_S
            self._say(f"spans: {record.getMessage()}")
