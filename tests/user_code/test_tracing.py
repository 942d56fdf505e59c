"""What becomes of an active OpenTelemetry span when tasks are enqueued, run and tried again."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest
from click.testing import CliRunner
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tq_core import RetryPolicy, TaskContext, TaskQueue, current_context, tracing
from tq_core.errors import InvalidInputError, QueueFullError
from tq_core.keyspace import wire
from tq_core.model import TaskOptions
from tq_core.roles import operator, producer
from tq_core.transport import call_spans
from tq_worker import InlineWorker, trace_export
from tq_worker.cli import command

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """The spans that ended in this test, of a provider that the program has set up."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


@pytest.fixture
def tq() -> Iterator[TaskQueue]:
    with TaskQueue("memory://tracing") as queue:
        yield queue


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == name]


def the(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    (found,) = named(spans, name)
    return found


def is_child(span: ReadableSpan, parent: ReadableSpan) -> bool:
    assert span.parent is not None
    return (span.parent.span_id, span.context.trace_id) == (parent.context.span_id, parent.context.trace_id)


def test_request_task_and_what_the_task_submits_are_one_trace(tq: TaskQueue, spans: InMemorySpanExporter) -> None:
    seen: dict[str, object] = {}

    @tq.task(queue="inner")
    async def inner(context: TaskContext) -> str | None:
        seen["inner"] = (context.trace_id, tracing.headers()["traceparent"])
        return context.trace_id

    @tq.task(queue="outer")
    def outer() -> None:
        seen["outer"] = tracing.headers()["traceparent"]
        inner.enqueue_sync()

    with trace.get_tracer("app").start_as_current_span("request"):
        handle = outer.enqueue_sync()
    InlineWorker(tq).run_until_empty()

    request, outer_run, inner_run = (the(spans, name) for name in ("request", "run outer", "run inner"))
    sent = {queue: the(spans, f"enqueue {queue}") for queue in ("outer", "inner")}
    assert is_child(sent["outer"], request)
    assert is_child(outer_run, sent["outer"])
    assert is_child(the(spans, "wait outer"), sent["outer"])
    assert is_child(sent["inner"], outer_run)
    assert is_child(inner_run, sent["inner"])
    assert (sent["outer"].kind, outer_run.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    expected = {
        "messaging.system": "tq",
        "messaging.destination.name": "outer",
        "messaging.operation.name": "run",
        "messaging.operation.type": "process",
        "messaging.message.id": handle.id,
        "tq.task.type": "outer",
        "tq.task.attempt": 1,
        "tq.task.outcome": "completed",
    }
    assert expected.items() <= dict(outer_run.attributes or {}).items()
    assert dict(sent["outer"].attributes or {})["messaging.message.id"] == handle.id
    trace_id = f"{request.context.trace_id:032x}"
    assert seen["outer"] == f"00-{trace_id}-{outer_run.context.span_id:016x}-{outer_run.context.trace_flags:02x}"
    assert seen["inner"] == (
        trace_id,
        f"00-{trace_id}-{inner_run.context.span_id:016x}-{inner_run.context.trace_flags:02x}",
    )
    wait = the(spans, "wait outer")
    assert 0 < (wait.start_time or 0) <= (wait.end_time or 0) <= (outer_run.end_time or 0)
    # Calls within a trace are shown, one span a round trip; the worker's own belong to none.
    calls = [span for span in spans.get_finished_spans() if span.kind is SpanKind.CLIENT]
    assert {"EVALSHA register_queue", "EVALSHA enqueue"} <= {span.name for span in calls}
    assert not {"EVALSHA claim", "EVALSHA complete"} & {span.name for span in calls}
    assert all(
        is_child(call, sent["outer"])
        or is_child(call, sent["inner"])
        or is_child(call, request)
        or is_child(call, outer_run)
        for call in calls
    )


def test_attempts_stand_side_by_side_with_their_errors_and_the_wait_between(
    tq: TaskQueue, spans: InMemorySpanExporter
) -> None:
    @tq.task(retry=RetryPolicy(max_attempts=2, initial_delay_s=30, max_delay_s=30))
    def flaky(context: TaskContext) -> int:
        if not context.is_last_attempt:
            raise ValueError("not \udc80 yet")
        return 1

    with trace.get_tracer("app").start_as_current_span("request"):
        flaky.options(delay_s=20).enqueue_sync()
    InlineWorker(tq).run_until_empty(skip_delays=True)

    first, second = named(spans, "run default")
    sent = the(spans, "enqueue default")
    assert is_child(first, sent)
    assert is_child(second, sent)
    assert (first.status.status_code, second.status.status_code) == (StatusCode.ERROR, StatusCode.UNSET)
    assert [event.name for event in first.events] == ["exception", "retry"]
    said = dict(first.events[0].attributes or {})
    assert (said["exception.type"], said["exception.message"]) == ("ValueError", "not ? yet")
    assert "flaky" in str(said["exception.stacktrace"])
    assert [dict(run.attributes or {})["tq.task.outcome"] for run in (first, second)] == ["retrying", "completed"]
    retry = the(spans, "retry default")
    assert is_child(retry, sent)
    assert retry.start_time == first.end_time
    delay_ms = dict(retry.attributes or {})["tq.task.retry_delay_ms"]
    assert (retry.end_time or 0) - (retry.start_time or 0) == int(str(delay_ms)) * 1_000_000
    # Its delay was asked for, and the second attempt's is the span above: neither is a wait.
    (wait,) = named(spans, "wait default")
    assert (wait.end_time or 0) - (wait.start_time or 0) < 10e9


def test_a_batch_a_chain_and_a_task_that_waits_for_room_are_each_one_span_of_their_call(
    tq: TaskQueue, spans: InMemorySpanExporter
) -> None:
    @tq.task(queue="batch")
    def work(n: int) -> int:
        return n

    with trace.get_tracer("app").start_as_current_span("request") as request:
        work.enqueue_many_sync([{"n": 1}, {"n": 2}])
        tq.chain_sync(work.signature(n=3), work.signature(n=4))  # one of them is blocked
        tq.run_sync(operator.configure_queue("batch", {"max_size": 3}, actor="ann"))
        with pytest.raises(QueueFullError):
            work.options(wait_for_room_s=0.3).enqueue_sync(n=5)
    batch, chain, full = named(spans, "enqueue batch")
    assert [dict(span.attributes or {}).get("messaging.batch.message_count") for span in (batch, chain, full)] == [
        2,
        2,
        None,
    ]
    assert (full.status.status_code, dict(full.attributes or {})["error.type"]) == (StatusCode.ERROR, "QueueFullError")
    InlineWorker(tq).run_until_empty()
    assert {run.context.trace_id for run in named(spans, "run batch")} == {request.get_span_context().trace_id}
    assert sum(is_child(run, batch) for run in named(spans, "run batch")) == 2


def test_the_calls_of_a_worker_itself_are_shown_on_demand(
    tq: TaskQueue, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_spans, "shows_every_call", True)

    InlineWorker(tq).run_until_empty()

    claim = named(spans, "EVALSHA claim")[0]
    expected = {"db.system.name": "redis", "db.operation.name": "EVALSHA", "db.stored_procedure.name": "claim"}
    assert (dict(claim.attributes or {}), claim.kind, claim.parent) == (expected, SpanKind.CLIENT, None)


def test_a_task_without_a_trace_begins_one_with_its_run(tq: TaskQueue, spans: InMemorySpanExporter) -> None:
    @tq.task
    def work() -> str | None:
        context = current_context()
        assert context is not None
        return context.trace_id

    handle = work.enqueue_sync()
    InlineWorker(tq).run_until_empty()

    (run,) = spans.get_finished_spans()
    assert (run.name, run.parent) == ("run default", None)
    assert handle.result_sync() == f"{run.context.trace_id:032x}"


def test_a_trace_that_is_not_sampled_is_passed_on_and_not_recorded(tq: TaskQueue, spans: InMemorySpanExporter) -> None:
    @tq.task
    def work() -> str:
        return tracing.headers()["traceparent"]

    handle = work.options(traceparent=TRACEPARENT[:-1] + "0", tracestate="shop=1").enqueue_sync()
    InlineWorker(tq).run_until_empty()

    assert spans.get_finished_spans() == ()
    passed_on = str(handle.result_sync())
    assert passed_on.startswith(TRACEPARENT[:36])
    assert passed_on.endswith("-00")
    assert handle.status_sync().options.trace_id == TRACEPARENT[3:35]


@pytest.mark.parametrize(
    "bad", ["", "00-1-2-01", TRACEPARENT.upper(), TRACEPARENT + "|", "00-" + "0" * 32 + TRACEPARENT[35:]]
)
def test_a_traceparent_that_is_none_is_refused(bad: str) -> None:
    with pytest.raises(InvalidInputError, match="traceparent"):
        producer.new_task("work", {}, options=TaskOptions(traceparent=bad))
    with pytest.raises(InvalidInputError, match="tracestate"):
        producer.new_task("work", {}, options=TaskOptions(traceparent=TRACEPARENT, tracestate="ä"))


def test_older_and_newer_programs_read_each_others_headers() -> None:
    class OldOptions(msgspec.Struct, frozen=True, omit_defaults=True):
        timeout_s: float | None = None

    traced = TaskOptions(timeout_s=1, traceparent=TRACEPARENT, tracestate="a=1|2", ready_at_ms=5)

    encoded = wire.encode_options(traced)
    assert msgspec.json.decode(encoded, type=OldOptions).timeout_s == 1
    assert wire._options(encoded) == traced
    assert wire._options(b'{"timeout_s":1}') == TaskOptions(timeout_s=1)


def test_without_an_active_span_no_byte_more_is_sent_and_nothing_is_loaded() -> None:
    program = """
import sys
sys.modules["opentelemetry"] = None    # as if it were not installed
from tq_core import TaskQueue
from tq_worker import InlineWorker
from tq_core.keyspace import wire
tq = TaskQueue("memory://plain")
@tq.task
def work() -> int: return 1
handle = work.enqueue_sync()
assert wire.encode_options(handle.status_sync().options) == b""
InlineWorker(tq).run_until_empty()
assert handle.result_sync() == 1
assert not [name for name in sys.modules if name.startswith("opentelemetry.")]
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("asked", "environ", "mode"),
    [
        (None, {}, "auto"),
        (True, {}, "on"),
        (False, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "off"),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "on"),
        (None, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/x", "OTEL_TRACES_EXPORTER": "none"}, "auto"),
        (True, {"OTEL_SDK_DISABLED": "True"}, "off"),
    ],
)
def test_when_a_node_records(asked: bool | None, environ: dict[str, str], mode: str) -> None:
    assert trace_export.mode(asked, environ) == mode


def test_asked_for_without_its_packages_it_is_refused_with_the_command_that_installs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trace_export, "is_installed", lambda: False)
    monkeypatch.delenv("OTEL_SDK_DISABLED", raising=False)

    refused = CliRunner().invoke(command, ["--tracing", "app"])

    assert refused.exit_code == 2
    assert "pip install 'tq-console[tracing]'" in refused.output


def test_what_the_exporter_complains_of_with_every_try_is_said_once() -> None:
    said: list[str] = []
    complaints = trace_export._Complaints(said.append)
    for attempt in range(3):
        complaints.handle(logging.makeLogRecord({"msg": "no collector: %s", "args": (attempt,), "levelno": 30}))

    assert said == ["spans: no collector: 0"]
