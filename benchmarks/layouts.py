"""Redis' time per task of tq beside two plainer record layouts, in turn in one run.

    python benchmarks/layouts.py [--server PATH] [--tasks 20000] [--rounds 5] [--payload 100]

`hash_per_task` keeps a small hash and a payload string for each task, as most queues on Redis do; `hashes_per_queue` is
the sketch that tq's layout grew from: the same layout without tq's history, groups, limits and audit. Both do a full
cycle (enqueue, claim, complete) with token, lease, result, counters, latency histogram and one event a call. Their
scripts are in layouts/.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from queue_layer import BATCHES, QUEUE, RESULT_BYTES, Bench, server

FOLDER = Path(__file__).parent / "layouts"
PREFIX = f"tq:{{{QUEUE}}}:"
KEEP = 100_000
LEASE_MS = 30_000


@dataclass(frozen=True)
class Load:
    """What one cycle is made of."""

    batch: int
    count: int
    payload: bytes
    result: bytes


class Prototype:
    """A layout's scripts, called as its own client would."""

    def __init__(self, client: redis.Redis, name: str) -> None:
        self.client = client
        self.sha = {path.stem: client.script_load(path.read_text()) for path in (FOLDER / name).glob("*.lua")}

    def call(self, script: str, *args: Any) -> Any:
        return self.client.evalsha(self.sha[script], 1, PREFIX, "", *args)


def ids(count: int) -> list[str]:
    return [secrets.token_hex(13) for _ in range(count)]


def hash_per_task(client: redis.Redis, load: Load) -> None:
    proto = Prototype(client, "hash_per_task")
    for _ in range(load.count // load.batch):
        args: list[Any] = [load.batch]
        for task_id in ids(load.batch):
            args += (task_id, "bench", 100, 0, 4, "", "", 0, load.payload)
        proto.call("enqueue", *args)
    for _ in range(load.count // load.batch):
        claimed = proto.call("claim", "node.1", secrets.token_hex(6), load.batch, LEASE_MS, 200)[2:]
        args = [len(claimed), 1]
        for task in claimed:
            args += (task[0], task[1], load.result, 86_400_000, 12)
        proto.call("complete", *args)


def hashes_per_queue(client: redis.Redis, load: Load) -> None:
    proto = Prototype(client, "hashes_per_queue")
    for _ in range(load.count // load.batch):
        args: list[Any] = []
        for task_id in ids(load.batch):
            args += (task_id, "100", b"bench|4|||" + load.payload)
        proto.call("enqueue", *args)
    acks: list[Any] = []
    for turn in range(load.count // load.batch + 1):
        n = load.batch if turn < load.count // load.batch else 0
        done = len(acks) // 2
        reply = proto.call(
            "step", "node.1", secrets.token_hex(6), n, LEASE_MS, 200, KEEP, "E" * done, 12 * done, "", *acks
        )
        acks = []
        for task_id in reply[2] or ():
            acks += (task_id, reply[1] + b"1|12|" + load.result)


def rounds_of(bench: Bench, batch: int, count: int, payload_bytes: int) -> Iterator[tuple[str, float]]:
    """One full cycle of each, in turn: (name, Redis microseconds a task)."""
    load = Load(batch, count, b"x" * payload_bytes, b'"' + b"r" * (RESULT_BYTES - 2) + b'"')
    for name, run in (("hash_per_task", hash_per_task), ("hashes_per_queue", hashes_per_queue)):
        bench.empty()
        yield name, _measured(bench, lambda run=run: run(bench.admin, load), count)  # type: ignore[misc]
    bench.empty()
    yield "tq", _measured(bench, lambda: _tq(bench, batch, count), count)


def _tq(bench: Bench, batch: int, count: int) -> None:
    bench.enqueue(batch, count)
    bench.complete(batch, bench.claim(batch, count))


def _measured(bench: Bench, work: Callable[[], None], count: int) -> float:
    bench.admin.config_resetstat()
    work()
    stats: dict[str, float] = bench.admin.info("commandstats")["cmdstat_evalsha"]
    return stats["usec"] / count


def main() -> None:
    parser = argparse.ArgumentParser(description="tq beside two plainer record layouts.")
    parser.add_argument("--server", help="the server program; else the one on PATH")
    parser.add_argument("--tasks", type=int, default=20_000, help="tasks a round (at batch 1 a fifth of it)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--payload", type=int, default=100, help="bytes of each task's arguments")
    chosen = parser.parse_args()
    program = chosen.server or shutil.which("redis-server")
    if program is None:
        raise SystemExit("there is no redis-server on PATH: name one with --server")
    with server(program) as socket:
        bench = Bench(socket, tasks=chosen.tasks, payload_bytes=chosen.payload)
        version = bench.admin.info("server")["redis_version"]
        print(
            f"Redis {version}, {chosen.tasks} tasks of {chosen.payload} bytes; Redis us a task, full cycle, medians\n"
        )
        names = ("hash_per_task", "hashes_per_queue", "tq")
        print(f"{'batch':>6} | " + " | ".join(f"{name:>16}" for name in names) + " | tq / hash_per_task | tq / sketch")
        for batch in BATCHES:
            count = chosen.tasks // (1 if batch > 1 else 5) // batch * batch
            found: dict[str, list[float]] = {name: [] for name in names}
            for _ in range(chosen.rounds):
                for name, us in rounds_of(bench, batch, count, chosen.payload):
                    found[name].append(us)
            medians = {name: statistics.median(values) for name, values in found.items()}
            ratios = [
                statistics.median(t / other for t, other in zip(found["tq"], found[name], strict=True))
                for name in names[:2]
            ]
            cells = " | ".join(f"{medians[name]:>16.1f}" for name in names)
            print(f"{batch:>6} | {cells} | {ratios[0]:>18.2f} | {ratios[1]:>11.2f}")
        bench.runner.close()
        bench.admin.close()


if __name__ == "__main__":
    main()
