"""Measures how long a claim takes while a hundred thousand delayed tasks fall due at one instant before a million.

    python benchmarks/claim_latency.py [--server PATH] [--pending 1000000] [--due 100000]

Starts a throw-away server without persistence on a Unix socket, fills the queue, and claims and completes one batch
after the other from the instant on at which the delayed tasks are due, until all of them have been promoted. The target
is a 99th percentile below 10 ms.
"""

from __future__ import annotations

import argparse
import time

from queue_layer import QUEUE, server

from tq_core.broker import binaries
from tq_core.roles import consumer, inspector, producer, registry
from tq_core.roles.consumer import Ack
from tq_core.transport import connection
from tq_core.transport.runner import SyncRunner

ENQUEUE_BATCH = 500
CLAIM_BATCH = 10
LEAD_S = 5.0
TARGET_MS = 10.0


def fill(runner: SyncRunner, count: int, due_at_s: float | None) -> None:
    """Enqueues so many tasks; `due_at_s`: when they are due, all at once."""
    for first in range(0, count, ENQUEUE_BATCH):
        delay_s = 0.0 if due_at_s is None else due_at_s - time.time()
        tasks = [
            producer.new_task("work", b'{"n": 1}', delay_s=max(delay_s, 0.0))
            for _ in range(min(ENQUEUE_BATCH, count - first))
        ]
        runner.run(producer.enqueue(QUEUE, tasks))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", help="the server program; else the newest that is found")
    parser.add_argument("--pending", type=int, default=1_000_000, help="tasks that wait already")
    parser.add_argument("--due", type=int, default=100_000, help="delayed tasks that fall due at once")
    chosen = parser.parse_args()
    found = max((b for b in binaries.candidates({}) if b.path), key=lambda b: b.version.numbers, default=None)
    program = chosen.server or (str(found.path) if found else None)
    if program is None:
        raise SystemExit("no redis-server found; name one with --server")
    with server(program) as socket:
        runner = SyncRunner(connection.endpoint(f"unix://{socket}", display="bench"))
        runner.run(registry.register_queue(QUEUE))
        fill(runner, chosen.pending, None)
        # Filling takes longer than it seems: all are due at the same instant, when the last of them is there.
        due_at_s = time.time() + LEAD_S + chosen.due / 15_000
        fill(runner, chosen.due, due_at_s)
        while time.time() < due_at_s:
            pass
        took_ms: list[float] = []
        left = chosen.due
        while left:
            begin = time.perf_counter()
            claim = runner.run(
                consumer.claim(QUEUE, worker_id="bench.1", nonce=consumer.new_nonce(), limit=CLAIM_BATCH)
            )
            took_ms.append((time.perf_counter() - begin) * 1000)
            runner.run(consumer.complete(QUEUE, [Ack(task, b"1", 1) for task in claim.tasks]))
            if len(took_ms) % 20 == 0:
                (numbers,) = runner.run(inspector.stats([QUEUE], minutes=1))
                left = sum(n for state, n in numbers.depths.items() if state == "scheduled")
        runner.close()
    took_ms.sort()
    p50, p99 = took_ms[len(took_ms) // 2], took_ms[int(len(took_ms) * 0.99)]
    verdict = "below" if p99 < TARGET_MS else "ABOVE"
    print(
        f"{len(took_ms)} claims of {CLAIM_BATCH} while {chosen.due:,} tasks fell due before {chosen.pending:,}: "
        f"p50 {p50:.2f} ms, p99 {p99:.2f} ms, max {took_ms[-1]:.2f} ms ({verdict} the target of {TARGET_MS:.0f} ms)"
    )


if __name__ == "__main__":
    main()
