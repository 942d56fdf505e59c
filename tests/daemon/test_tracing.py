"""Traces through real processes, to a collector that is there and to one that is not."""

from __future__ import annotations

import http.server
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.daemon.site import Site
from tq_core.model import TaskOptions

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PRODUCER_ID = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{PRODUCER_ID}-01"
KINDS = ("in_loop", "in_thread", "in_process")


class Collector:
    """An OTLP receiver, which also answers the calls that tasks make, and keeps what both brought."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.called: dict[str, str] = {}
        """The traceparent of each call of a task, by its path."""
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.requests.append(self.rfile.read(int(self.headers["content-length"])))
                self._answer()

            def do_GET(self) -> None:
                collector.called[self.path] = self.headers.get("traceparent", "")
                self._answer()

            def _answer(self) -> None:
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Not on the terminal."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def spans(self) -> list[dict[str, Any]]:
        return [
            {
                "name": span.name,
                "trace": span.trace_id.hex(),
                "id": span.span_id.hex(),
                "parent": span.parent_span_id.hex(),
                "service": {a.key: a.value.string_value for a in resource.resource.attributes}["service.name"],
                "status": span.status.code,
                **{a.key: a.value.string_value for a in span.attributes if a.value.HasField("string_value")},
            }
            for raw in list(self.requests)
            for resource in ExportTraceServiceRequest.FromString(raw).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    one = Collector()
    yield one
    one.close()


def test_a_trace_goes_from_its_producer_through_every_kind_of_handler_to_what_they_call_and_submit(
    site: Site, collector: Collector
) -> None:
    node = site.start(
        *("--log-format", "json"),
        app="spanned_tasks",
        env={
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_SERVICE_NAME": "shop",
        },
    )
    options = {"options": TaskOptions(traceparent=TRACEPARENT)}
    ids = {kind: site.put_with(options, kind, url=collector.url) for kind in KINDS}
    for again in ("fails_once", "fails_too"):
        ids[again] = site.put_with({**options, "max_attempts": 2}, "fails_once")
    site.all_ended()
    node.signal(signal.SIGTERM)
    assert node.wait() == 0, node.log

    spans = collector.spans()
    assert {(span["trace"], span["service"]) for span in spans} == {(TRACE_ID, "shop")}

    def children(parent: str, name: str) -> list[dict[str, Any]]:
        return [span for span in spans if (span["parent"], span["name"]) == (parent, name)]

    runs = {span["messaging.message.id"]: span for span in children(PRODUCER_ID, "run default")}
    assert {span["messaging.message.id"] for span in children(PRODUCER_ID, "wait default")} == set(ids.values())
    for kind in KINDS:
        run = runs[ids[kind]]
        assert site.view(ids[kind]).result == TRACE_ID
        (step,) = children(run["id"], f"step of {kind}")
        assert collector.called[f"/{kind}"].split("-")[1:3] == [TRACE_ID, step["id"]]
        (sent,) = children(run["id"], "enqueue default")
        (inner,) = children(sent["id"], "run default")
        assert (inner["tq.task.type"], site.view(inner["messaging.message.id"]).args) == ("inner", {"kind": kind})
        assert children(sent["id"], "wait default")
        assert children(sent["id"], "EVALSHA enqueue")
    attempts = [s for s in children(PRODUCER_ID, "run default") if s["messaging.message.id"] == ids["fails_once"]]
    assert [(s["tq.task.outcome"], s["status"]) for s in attempts] == [("retrying", 2), ("completed", 0)]
    assert len(children(PRODUCER_ID, "retry default")) == 2
    # Recording starts no thread where tasks are forked: both are of one parent.
    assert site.view(ids["fails_once"]).result == site.view(ids["fails_too"]).result
    lines = [json.loads(line) for line in node.log.splitlines() if line.startswith("{")]
    assert {line["trace_id"] for line in lines if "task_id" in line} == {TRACE_ID}


def test_a_collector_that_does_not_answer_holds_up_no_task_and_no_end(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        node = site.start(
            "--tracing", env={"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "10"}
        )
        ids = [site.put(kind, n=1) for kind in ("count", "count_plain", "count_isolated", "count")]
        assert site.all_ended() == {"completed": len(ids)}
        connection, _ = silent.accept()
        began = time.monotonic()
        node.signal(signal.SIGTERM)
        assert node.wait() == 0
        # OpenTelemetry itself would wait for ten seconds.
        assert time.monotonic() - began < 5
        connection.close()
