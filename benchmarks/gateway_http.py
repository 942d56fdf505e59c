"""Measures the gateway: single submits over kept connections, and tasks from a batch call to their end.

    python benchmarks/gateway_http.py [--server PATH] [--requests 10000] [--connections 8] [--tasks 20000] [--repeat 3]

Starts a throw-away server and one gateway process; all of it, the load generator too, shares this machine. A submit is
POST /tasks with a small task; beside it stands GET /livez, which asks nothing of the broker, so that what is the
server's and what is ours can be told apart, and ratios hold where the clock does not. CPU is the gateway's own, per
request. End to end is from the first batch call, of 100 tasks each, until a `tq-worker` has completed the last of them.
The targets, on two free cores: 3,000 submits a second with 8 connections, p99 below 10 ms; 5,000 tasks a second
submitted and 800 processed with p99 below 25 ms a call.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from queue_layer import server

HOST, PORT = "127.0.0.1", 18_457
TASK = json.dumps({"type": "simple", "data": "hello-world", "priority": "high"}).encode()
BATCH = json.dumps({"tasks": [{"type": "simple", "args": {"data": n}} for n in range(100)]}).encode()
PATIENCE_S = 120.0


class Load(NamedTuple):
    """What a load was answered with."""

    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    """Of the gateway, per request."""


def request(method: str, path: str, body: bytes = b"") -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    return f"{head}\r\n\r\n".encode() + body


async def answered(reader: asyncio.StreamReader) -> bytes:
    """The body of one answer.

    Raises:
        RuntimeError: it is an error.
    """
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    body = await reader.readexactly(length)
    if not head.startswith(b"HTTP/1.1 2"):
        raise RuntimeError((head + body).decode())
    return body


async def load(sent: bytes, *, count: int, connections: int) -> list[float]:
    """Sends so many over connections that are kept; seconds that each took."""
    took: list[float] = []

    async def one(share: int) -> None:
        reader, writer = await asyncio.open_connection(HOST, PORT)
        for _ in range(share):
            started = time.perf_counter()
            writer.write(sent)
            await answered(reader)
            took.append(time.perf_counter() - started)
        writer.close()

    await asyncio.gather(*(one(len(range(i, count, connections))) for i in range(connections)))
    return took


def new_loop() -> asyncio.AbstractEventLoop:
    """The faster loop, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def measured(gateway: subprocess.Popen[bytes], sent: bytes, *, count: int, connections: int) -> Load:
    before, started = cpu_s(gateway.pid), time.perf_counter()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        took = sorted(runner.run(load(sent, count=count, connections=connections)))
    wall_s = time.perf_counter() - started
    return Load(
        len(took) / wall_s,
        took[len(took) // 2] * 1000,
        took[int(len(took) * 0.99)] * 1000,
        (cpu_s(gateway.pid) - before) / len(took) * 1e6,
    )


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def started(*words: str, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours; ended at the end."""
    command = [str(Path(sys.executable).with_name(words[0])), *words[1:]]
    process = subprocess.Popen(command, env={**os.environ, "TQ_URL": url}, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


async def get(path: str) -> dict[str, object]:
    reader, writer = await asyncio.open_connection(HOST, PORT)
    writer.write(request("GET", path))
    try:
        return dict(json.loads(await answered(reader)))
    finally:
        writer.close()


def wait_for(path: str, field: str, least: int) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            if int(str(asyncio.run(get(path))[field])) >= least:
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise TimeoutError(f"{path}: {field} is not {least}")


def end_to_end(gateway: subprocess.Popen[bytes], url: str, *, tasks: int, connections: int) -> None:
    """Prints how fast tasks were taken in batches, and how fast they were done."""
    wait_for("/health", "completed_tasks", 0)
    before = int(str(asyncio.run(get("/health"))["completed_tasks"]))
    with started("tq-worker", "--samples", "--processes", "1", "--slots", "100", "--log-level", "error", url=url):
        wait_for("/health", "workers", 1)
        begun = time.perf_counter()
        found = measured(
            gateway, request("POST", "/v1/tasks/batch", BATCH), count=tasks // 100, connections=connections
        )
        submitted_s = time.perf_counter() - begun
        wait_for("/health", "completed_tasks", before + tasks // 100 * 100)
        wall_s = time.perf_counter() - begun
    print(
        f"batches of 100: {tasks / submitted_s:8,.0f} tasks/s submitted, "
        f"a call p50 {found.p50_ms:5.1f} p99 {found.p99_ms:5.1f} ms; "
        f"{tasks / wall_s:8,.0f} tasks/s from submit to completed"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="redis-server")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--batchers", type=int, default=1, help="connections that send batches, one call after another")
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with server(options.server) as socket:
        url = f"unix://{socket}"
        with started("tq", "gateway", "--port", str(PORT), url=url) as gateway:
            wait_for("/health", "completed_tasks", 0)
            ratios = []
            for _ in range(options.repeat):
                kinds = {"GET /livez": request("GET", "/livez"), "POST /tasks": request("POST", "/tasks", TASK)}
                found = {
                    kind: measured(gateway, sent, count=options.requests, connections=options.connections)
                    for kind, sent in kinds.items()
                }
                for kind, of in found.items():
                    print(
                        f"{kind:12} {of.per_s:8,.0f}/s  p50 {of.p50_ms:6.2f} ms  p99 {of.p99_ms:6.2f} ms  "
                        f"{of.cpu_us:5.0f} us CPU of the gateway"
                    )
                ratios.append(found["POST /tasks"].per_s / found["GET /livez"].per_s)
            print(f"submits per probe: {statistics.median(ratios):.2f} (median)")
            # What the submits left would be done first.
            asyncio.run(_cleared())
            for _ in range(options.repeat):
                end_to_end(gateway, url, tasks=options.tasks, connections=options.batchers)


async def _cleared() -> None:
    reader, writer = await asyncio.open_connection(HOST, PORT)
    writer.write(request("DELETE", "/api/v1/queue/clear"))
    await answered(reader)
    writer.close()


if __name__ == "__main__":
    main()
