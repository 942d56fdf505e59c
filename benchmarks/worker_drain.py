"""Measures what a worker spends on a task that does nothing: drains a backlog, and tells CPU time and rate.

    python benchmarks/worker_drain.py [--against CHECKOUT] [--tasks 60000] [--slots 100,10] [--kind async,thread]
                                      [--processes 2] [--repeat 3] [--server PATH] [-- tq-worker's OPTIONS]

Starts a throw-away server, fills a queue and starts `tq-worker` of this checkout, and in turn of another one with its
own .venv (`--against`). What is told of each is the median over the middle of the drain, from 90 % of the backlog to
8 %: tasks a second, and the CPU time of all of the node's processes and of the server, in microseconds a task. On a
machine with other work only the CPU times can be compared, and those only within one run.

On two cores a drain is about 2,000,000 / (both CPU times) tasks a second at best.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import redis
from queue_layer import server

from tq_core.keyspace import keys
from tq_core.roles import producer, registry
from tq_core.transport import connection
from tq_core.transport.runner import SyncRunner

QUEUE = "default"
BATCH = 500
PAYLOAD = "x" * 100
BEGIN_SHARE, END_SHARE = 0.9, 0.08
PATIENCE_S = 300.0
APP = """
import os
from tq_core import TaskQueue
tq = TaskQueue(os.environ["TQ_URL"])

@tq.task(name="async")
async def on_the_loop(i: int, payload: str) -> int:
    return i

@tq.task(name="thread")
def in_a_thread(i: int, payload: str) -> int:
    return i
"""
_pause = threading.Event()


class Drained(NamedTuple):
    """One drain."""

    per_s: float
    worker_us: float
    server_us: float
    calls: float
    """Scripts a task, claims and acknowledgements together."""


def main() -> None:
    """Prints a line for each setting and checkout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--tasks", type=int, default=60_000)
    parser.add_argument("--slots", default="100,10")
    parser.add_argument("--kind", default="async,thread")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--server", default=shutil.which("redis-server"))
    parser.add_argument("options", nargs="*")
    given = parser.parse_args()
    here = Path(__file__).resolve().parents[1]
    roots = [here, *([given.against.resolve()] if given.against else [])]
    print(f"{'kind':8} {'slots':>5} {'tasks/s':>9} {'worker us':>10} {'server us':>10} {'scripts':>8}  checkout")
    for kind in given.kind.split(","):
        for slots in given.slots.split(","):
            runs: dict[Path, list[Drained]] = {root: [] for root in roots}
            for _ in range(given.repeat):
                for root in roots:
                    options = ("--processes", str(given.processes), "--slots", slots, *given.options)
                    runs[root].append(drain(given.server, root, kind=kind, tasks=given.tasks, options=options))
            for root, found in runs.items():
                middle = Drained(*map(statistics.median, zip(*found, strict=True)))
                row = f"{middle.per_s:9,.0f} {middle.worker_us:10.1f} {middle.server_us:10.1f} {middle.calls:8.3f}"
                print(f"{kind:8} {slots:>5} {row}  {root}", flush=True)


def drain(server_path: str, root: Path, *, kind: str, tasks: int, options: tuple[str, ...]) -> Drained:
    """Fills a queue and has a node empty it."""
    with server(server_path) as socket, tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "drained.py").write_text(APP)
        url = f"unix://{socket}"
        runner = SyncRunner(connection.endpoint(url, display="bench"))
        runner.run(registry.register_queue(QUEUE))
        for first in range(0, tasks, BATCH):
            some = range(first, min(first + BATCH, tasks))
            new = [producer.new_task(kind, {"i": i, "payload": PAYLOAD}) for i in some]
            runner.run(producer.enqueue(QUEUE, new))
        client = redis.Redis(unix_socket_path=str(socket))
        pending = keys.queue_prefix(QUEUE) + "pending"
        node = subprocess.Popen(
            [root / ".venv/bin/python", "-m", "tq_worker", "drained", "--log-level", "error", *options],
            env={**os.environ, "TQ_URL": url, "PYTHONPATH": f"{root}:{folder}"},
            cwd=folder,
        )
        try:
            _until(client, pending, int(tasks * BEGIN_SHARE))
            begin = _reading(client, node.pid, pending)
            _until(client, pending, int(tasks * END_SHARE))
            end = _reading(client, node.pid, pending)
        finally:
            node.terminate()
            node.wait(60)
    done = begin[0] - end[0]
    took_s, node_s, server_s, calls = (b - a for a, b in zip(begin[1:], end[1:], strict=True))
    return Drained(done / took_s, node_s / done * 1e6, server_s / done * 1e6, calls / done)


def _until(client: redis.Redis, pending: str, left: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while client.zcard(pending) > left:
        if time.monotonic() > deadline:
            raise SystemExit("the node does not drain its queue")
        _pause.wait(0.005)


def _reading(client: redis.Redis, pid: int, pending: str) -> tuple[int, float, float, float, float]:
    """Tasks left, clock, CPU seconds of the node and of the server, scripts run."""
    cpu, calls = client.info("cpu"), client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)
    server_s = float(cpu["used_cpu_user"] + cpu["used_cpu_sys"])
    node_s = sum(map(_cpu_s, _family(pid)))
    return int(client.zcard(pending)), time.monotonic(), node_s, server_s, float(calls)


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *(each for child in children for each in _family(int(child)))]


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
