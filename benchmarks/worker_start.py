"""Measures a node: start to first task, what it costs while idle, and how soon the tasks of a killed worker run again.

    python benchmarks/worker_start.py [--server PATH] [--repeat 7] [--idle 30] [--only start,idle,recovery]

Starts a throw-away server and `tq-worker` of this Python's environment. Start is measured for both start methods in
turn, from the start of the command to the first line of a handler; the CPU time is that of all processes until then,
and moves less than the clock when the machine has other work. Idle is a supervisor, its zygote and two workers, after
one task each; PSS counts memory that several processes share in shares. Recovery is from `kill -9` to the next start of
a task that ran. The targets: 250 ms to the first task, 1 % of a core and 40 MB for an idle process, 1 s after the death
of a worker, and lease + 3 s after that of a whole node.

Compiled files must be there, as after an installation: a fresh checkout with PYTHONDONTWRITEBYTECODE takes much longer.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from queue_layer import server

from tq_core.roles import producer, registry
from tq_core.transport import connection
from tq_core.transport.runner import SyncRunner

QUEUE = "default"
LEASE_S = 3.0
PATIENCE_S = 60.0
APP = """
import os, pathlib, time
from tq_core import TaskQueue
tq = TaskQueue(os.environ["TQ_URL"])

@tq.task
async def job(out: str) -> None:
    with open(out, "a") as file:
        file.write(f"{time.time()} {os.getpid()}\\n")

@tq.task
def hold(out: str, gate: str) -> None:
    with open(out, "a") as file:
        file.write(f"{time.time()} {os.getpid()}\\n")
    while not pathlib.Path(gate).exists():
        time.sleep(0.01)
"""
_pause = threading.Event()


class Bench:
    """A broker, a folder with the tasks' code, and the nodes started there."""

    def __init__(self, socket: str, folder: Path) -> None:
        self.url, self.folder, self._count = f"unix://{socket}", folder, 0
        self.runner = SyncRunner(connection.endpoint(self.url, display="bench"))
        self.runner.run(registry.register_queue(QUEUE))
        (folder / "app.py").write_text(APP)

    def new_file(self) -> Path:
        self._count += 1
        return self.folder / f"file-{self._count}"

    def put(self, task_type: str, **args: str) -> None:
        self.runner.run(producer.enqueue_one(QUEUE, producer.new_task(task_type, args, max_attempts=9)))

    @contextmanager
    def node(self, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        """A node; at the end it and its workers are gone."""
        command = [str(Path(sys.executable).with_name("tq-worker")), "app", "--log-level", "error", *options]
        environment = {**os.environ, "TQ_URL": self.url}
        node = subprocess.Popen(
            command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
        )
        try:
            yield node
        finally:
            node.send_signal(signal.SIGQUIT)
            node.wait(PATIENCE_S)


def until(look: Callable[[], object]) -> None:
    """Returns when it is so."""
    end = time.monotonic() + PATIENCE_S
    while not look():
        if time.monotonic() > end:
            raise SystemExit("it takes too long: is tq-worker of this environment usable?")
        _pause.wait(0.002)


def lines(file: Path) -> list[tuple[float, int]]:
    """When, and in which process, the handler began."""
    with suppress(FileNotFoundError):
        found = [line.split() for line in file.read_text().splitlines() if " " in line]
        return [(float(at_s), int(pid)) for at_s, pid in found]
    return []


def processes(session: int) -> list[int]:
    """Those of one node."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(entry.read_text().rpartition(")")[2].split()[3]) == session:
                found.append(int(entry.parent.name))
    return sorted(found)


def cpu_ms(pid: int) -> float:
    """Of all its threads."""
    spent = 0
    for entry in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError):
            spent += int(entry.read_text().split()[0])
    return spent / 1e6


def memory_mb(pid: int) -> tuple[float, float]:
    """RSS and PSS."""
    fields = dict(line.split(":") for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return int(fields["Rss"].split()[0]) / 1024, int(fields["Pss"].split()[0]) / 1024


def role(pid: int, node: subprocess.Popen[bytes]) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes()
    return "supervisor" if pid == node.pid else "zygote" if b"zygote" in words else "worker"


def measure_start(bench: Bench, repeat: int) -> None:
    walls: dict[str, list[float]] = {"fork": [], "spawn": []}
    spent: dict[str, list[float]] = {"fork": [], "spawn": []}
    for _ in range(repeat):
        for method, took in walls.items():
            out = bench.new_file()
            bench.put("job", out=str(out))
            began = time.time()
            with bench.node("--processes", "1", "--start-method", method) as node:
                until(lambda out=out: lines(out))
                spent[method].append(sum(cpu_ms(pid) for pid in processes(node.pid)))
            took.append((lines(out)[0][0] - began) * 1000)
    print(f"{'start to first task':<24}{'best':>9}{'median':>9}{'CPU, best':>12}")
    for method, took in walls.items():
        print(f"{method:<24}{min(took):>6.0f} ms{statistics.median(took):>6.0f} ms{min(spent[method]):>9.0f} ms")


def measure_idle(bench: Bench, idle_s: float) -> None:
    with bench.node("--processes", "2") as node:
        done: set[int] = set()
        while len(done) < 2:
            out = bench.new_file()
            bench.put("job", out=str(out))
            until(lambda out=out: lines(out))
            done.add(lines(out)[0][1])
        _pause.wait(3.0)
        before = {pid: cpu_ms(pid) for pid in processes(node.pid)}
        _pause.wait(idle_s)
        print(f"\n{f'idle for {idle_s:g} s':<24}{'CPU':>9}{'RSS':>9}{'PSS':>12}")
        for pid, was_ms in before.items():
            rss, pss = memory_mb(pid)
            percent = (cpu_ms(pid) - was_ms) / (idle_s * 10)
            print(f"{role(pid, node):<24}{percent:>7.2f} %{rss:>6.0f} MB{pss:>9.0f} MB")


def measure_recovery(bench: Bench, repeat: int) -> None:
    took: dict[str, list[float]] = {"worker killed": [], f"node killed, lease {LEASE_S:g} s": []}
    options = ("--processes", "2", "--slots", "1", "--lease", f"{LEASE_S:g}", "--heartbeat", "0.5")
    for _ in range(repeat):
        for what, times in took.items():
            out, gate = bench.new_file(), bench.new_file()
            with bench.node(*options) as first, bench.node(*options) as second:
                bench.put("hold", out=str(out), gate=str(gate))
                until(lambda out=out: lines(out))
                pid = lines(out)[0][1]
                node = first if pid in processes(first.pid) else second
                killed = time.time()
                if what == "worker killed":
                    os.kill(pid, signal.SIGKILL)
                else:
                    os.killpg(node.pid, signal.SIGKILL)
                until(lambda out=out: len(lines(out)) > 1)
                times.append(lines(out)[1][0] - killed)
                gate.touch()
    print(f"\n{'time to recover':<28}{'best':>9}{'median':>9}{'worst':>9}")
    for what, times in took.items():
        print(f"{what:<28}{min(times):>7.2f} s{statistics.median(times):>7.2f} s{max(times):>7.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", help="the server program; else redis-server on PATH")
    parser.add_argument("--repeat", type=int, default=7, help="starts and kills of each kind")
    parser.add_argument("--idle", type=float, default=30.0, help="seconds")
    parser.add_argument("--only", default="start,idle,recovery", help="which of them")
    chosen = parser.parse_args()
    program = chosen.server or shutil.which("redis-server")
    if program is None:
        raise SystemExit("there is no redis-server on PATH: name one with --server")
    with tempfile.TemporaryDirectory() as folder, server(program) as socket:
        bench = Bench(socket, Path(folder))
        if "start" in chosen.only:
            measure_start(bench, chosen.repeat)
        if "idle" in chosen.only:
            measure_idle(bench, chosen.idle)
        if "recovery" in chosen.only:
            measure_recovery(bench, chosen.repeat)


if __name__ == "__main__":
    main()
