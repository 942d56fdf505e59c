"""What a running node shows: over HTTP, to its service manager, and in its log."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.daemon.site import Node, Site
from tests.redis_servers import PrivateServer
from tests.waiting import wait_until
from tq_core.roles import producer

HTTP = ("--http", "127.0.0.1:0")
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def get(node: Node, path: str) -> httpx.Response:
    found = re.search(r"listens on (http://\S+)", node.log)
    assert found, node.log
    return httpx.get(found[1] + path, timeout=5, trust_env=False)


def metrics(node: Node) -> dict[str, float]:
    """Numbers of the queue `default` as `name{type}`, and those of the node."""
    answer = get(node, "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            kind = sample.labels.get("type")
            found[f"{sample.name}{{{kind}}}" if kind else sample.name] = sample.value
    return found


def counted(node: Node, name: str, number: float, timeout_s: float = 10) -> dict[str, float]:
    """All numbers, once this one is as awaited; workers say theirs about once a second."""
    wait_until(lambda: metrics(node).get(name) == number, timeout_s, f"{name} to be {number}")
    return metrics(node)


def ready(node: Node) -> tuple[int, str, list[str]]:
    answer = get(node, "/readyz")
    return answer.status_code, answer.json()["state"], answer.json()["reasons"]


def test_a_node_counts_what_it_did_and_forgets_nothing_when_a_worker_dies(site: Site) -> None:
    node = site.started(*HTTP)
    assert site.command(node, "log_level", level="error").ok  # what is counted does not depend on what is written
    site.put_many("count", 40)
    site.put_with({"max_attempts": 3}, "fail_twice")
    site.put("leave_by", how="SystemExit")
    site.put("slow_async")
    waiting = site.put("wait", gate="/nonexistent")
    site.wait_started(waiting)
    site.cancel(waiting)
    site.all_ended()

    found = counted(node, "task_completions_total{count}", 40)

    assert found["task_duration_seconds_count{count}"] == 40
    assert 0 < found["task_duration_seconds_sum{count}"] < 4
    assert found["task_wait_seconds_count{count}"] == 40
    assert found["task_retries_total{fail_twice}"] == 2
    assert found["task_failures_total{fail_twice}"] == 2
    assert found["task_completions_total{fail_twice}"] == 1
    assert found["task_wait_seconds_count{fail_twice}"] == 1
    assert found["task_dead_lettered_total{leave_by}"] == 1
    assert found["task_dead_lettered_total{slow_async}"] == 1
    assert found["task_duration_seconds_sum{slow_async}"] >= 0.3
    assert found["task_cancellations_total{wait}"] == 1
    assert found["task_duration_seconds_count{wait}"] == 1
    assert (found["tq_node_workers"], found["tq_node_slots"], found["tq_node_broker_up"]) == (1, 10, 1)
    assert 'tq_build_info{version="' in get(node, "/metrics").text

    site.wait_started(site.put("wait", gate="/nonexistent"))
    assert site.command(node, "kill_worker", worker_id=site.worker_of(node).worker_id).ok
    found = counted(node, "task_crashes_total{wait}", 1)

    assert found["tq_node_worker_restarts_total"] == 1
    assert found["task_completions_total{count}"] == 40


def test_a_node_says_how_it_is_until_it_has_left(site: Site, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        told: list[str] = []

        def hear(start: str) -> None:
            while not told or not told[-1].startswith(start):
                told.append(systemd.recv(4096).decode())

        node = site.start(
            *HTTP,
            "--log-format",
            "json",
            app="logging_tasks",
            env={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"},
        )
        hear("READY=1")
        assert told[-1].endswith("STATUS=running: 1 of 1 workers, 10 slots each"), told
        assert ready(node) == (200, "running", [])
        assert get(node, "/healthz").json() == {"status": "alive"}
        assert site.command(node, "pause").ok
        hear("STATUS=paused")
        assert ready(node) == (200, "paused", [])
        assert site.command(node, "resume").ok
        assert site.command(node, "scale", processes=0).ok
        assert ready(node) == (200, "scaled_to_zero", [])
        assert site.command(node, "scale", processes=1).ok
        hear("WATCHDOG=1")

        traced = producer.new_task("log_async", {"word": "hello"}, max_attempts=1)
        options = msgspec.structs.replace(traced.options, traceparent=TRACEPARENT)
        (put,) = site.driver.put(msgspec.structs.replace(traced, options=options))
        site.accepted.add(put.task_id)
        logged = [put.task_id]
        logged += [site.put(f"log_{kind}", word="hello") for kind in ("plain", "isolated")]
        assert site.ended(logged[0]).result == [], "a child sees the service manager"
        site.all_ended()
        held = site.put("wait_for", path=str(tmp_path / "gate"))
        site.wait_started(held)
        node.signal(signal.SIGTERM)
        hear("STOPPING=1")
        assert ready(node) == (503, "draining", ["draining"])
        assert get(node, "/healthz").status_code == 200
        (tmp_path / "gate").touch()
    assert node.wait() == 0, node.log

    lines: list[dict[str, Any]] = [json.loads(line) for line in node.log.splitlines() if line.startswith("{")]
    said = {line["task_id"]: line for line in lines if line["event"] == "LOG" and "hello" in line["text"]}
    first = said[logged[0]]
    assert (first["level"], first["text"], first["logger"]) == ("info", "async hello", "shop.mail")
    assert first["extra"] == {"order": 7, "odd": "<class 'object'>"}
    assert (first["type"], first["queue"], first["attempt"]) == ("log_async", "default", 1)
    assert (first["trace_id"], first["worker_id"][-2:]) == (TRACEPARENT.split("-")[1], ".2")
    assert said[logged[1]]["level"] == "error"
    assert said[logged[1]]["traceback"].endswith(r"invalid literal for int() with base 10: 'hello \x1b[31m \udc80'")
    assert "trace_id" not in said[logged[1]]
    assert not any("not shown" in line.get("text", "") for line in lines)


def test_a_port_in_use_is_said_before_anything_is_started(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        node = site.start("--http", address)

        assert node.wait() == 2
        assert node.log == (
            f"tq-worker: --http cannot listen on {address}: Address already in use; give another HOST:PORT\n"
        )


@pytest.mark.slow
def test_a_node_is_not_ready_while_the_broker_is_away(
    new_redis_server: Callable[..., PrivateServer], tmp_path: Path
) -> None:
    server = new_redis_server(is_durable=True)
    site = Site(server.url, tmp_path)
    try:
        node = site.started(*HTTP)
        assert ready(node)[0] == 200

        server.kill()
        wait_until(lambda: ready(node) == (503, "running", ["broker_unreachable"]), 20, "the node to notice")
        assert metrics(node)["tq_node_broker_up"] == 0
        assert get(node, "/healthz").status_code == 200
        server.start()

        wait_until(lambda: ready(node)[0] == 200, 20, "the node to be ready again")
        assert metrics(node)["tq_node_broker_reconnects_total"] == 1
    finally:
        site.close()
