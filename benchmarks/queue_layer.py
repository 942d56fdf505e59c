"""Measures the queue layer alone: Redis' time per task at several batch sizes, and its memory per task.

    python benchmarks/queue_layer.py [--server PATH] [--tasks 20000] [--payload 100]

Starts a throw-away server without persistence on a Unix socket. The time is what Redis itself says its scripts took
(INFO commandstats), so it is the share of Redis' one thread that a task costs; the rate beside it is one synchronous
client that waits for every answer. Each figure is the median of several rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import redis

from tq_core.broker import binaries
from tq_core.model import NewTask
from tq_core.roles import consumer, producer, registry
from tq_core.roles.consumer import Ack, ClaimedTask
from tq_core.transport import connection
from tq_core.transport.runner import SyncRunner

BATCHES = (1, 10, 50, 100)
ROUNDS = 5
QUEUE = "bench"
RESULT_BYTES = 80
START_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Cost:
    """What one operation on many tasks took."""

    redis_us: float
    """Redis' own time per task."""
    client_us: float
    """The client's whole time per task, waiting included."""


@contextlib.contextmanager
def server(program: str) -> Iterator[Path]:
    """Runs a server without persistence; gives its socket."""
    folder = Path(tempfile.mkdtemp(prefix="tq-bench-"))
    socket = folder / "s"
    options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no", "--dir", str(folder)]
    process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not socket.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{program} did not start")
            time.sleep(0.01)
        yield socket
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


class Bench:
    """A queue on the server, and the server's own figures."""

    def __init__(self, socket: Path, *, tasks: int, payload_bytes: int) -> None:
        self.tasks = tasks
        self.payload = {"data": "x" * max(0, payload_bytes - len('{"data":""}'))}
        self.admin = redis.Redis(unix_socket_path=str(socket))
        self.runner = SyncRunner(connection.endpoint(f"unix://{socket}", display="the benchmark's server"))
        self.number = 0

    def empty(self) -> None:
        self.admin.flushall()
        self.number = self.runner.run(registry.register_queue(QUEUE))

    def new_tasks(self, count: int) -> list[NewTask]:
        return [producer.new_task("bench", self.payload) for _ in range(count)]

    def measured(self, work: Callable[[], None], tasks: int) -> Cost:
        """Runs something and divides what it took by its tasks."""
        self.admin.config_resetstat()
        began = time.perf_counter()
        work()
        client_s = time.perf_counter() - began
        scripts: dict[str, float] = self.admin.info("commandstats")["cmdstat_evalsha"]
        return Cost(scripts["usec"] / tasks, client_s * 1e6 / tasks)

    def enqueue(self, batch: int, count: int) -> None:
        tasks = self.new_tasks(batch)
        for _ in range(count // batch):
            self.runner.run(producer.enqueue(QUEUE, tasks, number=self.number))

    def claim(self, batch: int, count: int) -> list[ClaimedTask]:
        claimed: list[ClaimedTask] = []
        for _ in range(count // batch):
            nonce = consumer.new_nonce()
            claimed += self.runner.run(consumer.claim(QUEUE, worker_id="node.1", nonce=nonce, limit=batch)).tasks
        return claimed

    def complete(self, batch: int, claimed: list[ClaimedTask]) -> None:
        result = b'"' + b"r" * (RESULT_BYTES - 2) + b'"'
        for first in range(0, len(claimed), batch):
            acks = [Ack(task, result, 12) for task in claimed[first : first + batch]]
            self.runner.run(consumer.complete(QUEUE, acks))

    def cycle(self, batch: int) -> dict[str, Cost]:
        """Enqueues, claims and completes all tasks in batches of one size."""
        self.empty()
        count = self.tasks // (1 if batch > 1 else 5) // batch * batch
        self.enqueue(batch, batch)  # loads the script
        self.complete(batch, self.claim(batch, batch))
        claimed: list[ClaimedTask] = []
        costs = {"enqueue": self.measured(lambda: self.enqueue(batch, count), count)}
        costs["claim"] = self.measured(lambda: claimed.extend(self.claim(batch, count)), count)
        costs["complete"] = self.measured(lambda: self.complete(batch, claimed), count)
        assert len(claimed) == count
        return costs

    def memory(self) -> dict[str, float]:
        """Bytes per pending, running and completed task; the queue's streams and counters are taken off."""
        self.empty()
        self.enqueue(100, 100)
        self.complete(100, self.claim(100, 100))
        bytes_of = {}
        before = self._used()
        self.enqueue(100, self.tasks)
        bytes_of["pending"] = (self._used() - before) / self.tasks
        claimed = self.claim(100, self.tasks)
        bytes_of["running"] = (self._used() - before) / self.tasks
        self.complete(100, claimed)
        bytes_of["completed"] = (self._used() - before) / self.tasks
        return bytes_of

    def _used(self) -> int:
        events = self.admin.memory_usage(f"tq:{{{QUEUE}}}:events") or 0
        used: int = self.admin.info("memory")["used_memory"]
        return used - events


def report(bench: Bench) -> None:
    """Prints both tables."""
    print(
        f"{'batch':>6} | {'enqueue':>17} | {'claim':>17} | {'complete':>17} | {'full cycle':>17} | tasks/s, one client"
    )
    print(f"{'':>6} | {'Redis us / client':>17} |" + f"{'':>18} |" * 3)
    for batch in BATCHES:
        rounds = [bench.cycle(batch) for _ in range(ROUNDS)]
        cells, redis_us, client_us = [], 0.0, 0.0
        for name in ("enqueue", "claim", "complete"):
            redis_part = statistics.median(r[name].redis_us for r in rounds)
            client_part = statistics.median(r[name].client_us for r in rounds)
            cells.append(f"{redis_part:8.1f} {client_part:8.1f}")
            redis_us += redis_part
            client_us += client_part
        cells.append(f"{redis_us:8.1f} {client_us:8.1f}")
        print(f"{batch:>6} | " + " | ".join(cells) + f" | {1e6 / client_us:>8,.0f}")
    print()
    print("bytes per task: " + ", ".join(f"{state} {size:.0f}" for state, size in bench.memory().items()))


def main() -> None:
    parser = argparse.ArgumentParser(description="Redis' time and memory per task of the queue layer.")
    parser.add_argument("--server", help="the server program; else the newest that is found")
    parser.add_argument("--tasks", type=int, default=20_000, help="tasks a round (at batch 1 a fifth of it)")
    parser.add_argument("--payload", type=int, default=100, help="bytes of each task's arguments")
    chosen = parser.parse_args()
    program = chosen.server or shutil.which("redis-server")
    if program is None:
        raise SystemExit(f"there is no redis-server on PATH: name one with --server, or {binaries.HOW_TO_INSTALL}")
    with server(program) as socket:
        bench = Bench(socket, tasks=chosen.tasks, payload_bytes=chosen.payload)
        version = bench.admin.info("server")["redis_version"]
        print(f"Redis {version}, {chosen.tasks} tasks of {chosen.payload} bytes, results of {RESULT_BYTES} bytes\n")
        report(bench)
        bench.runner.close()
        bench.admin.close()


if __name__ == "__main__":
    main()
