"""What a refresh of each screen costs Redis with very much in it: time, round trips, bytes; and us to read it.

    python benchmarks/console_refresh.py [--tasks 1000000] [--queues 200] [--workers 1000] [--server PATH]

Starts a Redis of its own and fills it through the queue layer; only the counters of past minutes are written as a busy
quarter of an hour would have left them. Between refreshes a fifth of the fleet says that it lives, as it would.

Redis' time is what it says its scripts and commands took (INFO commandstats), by the clock on the wall: others at
work on the machine make it longer. The processor time beside it is that of the whole server while it answered, with
reading and writing its sockets.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import redis
from queue_layer import server

from tq_console.tui.watch.questions import Answer, ask
from tq_console.tui.watch.snapshot import GroupQuestion, Question, TaskListQuestion
from tq_core.broker.binaries import find_server
from tq_core.keyspace import keys
from tq_core.model import TaskState
from tq_core.roles import consumer, producer, registry
from tq_core.transport import connection
from tq_core.transport.runner import SyncRunner
from tq_core.transport.steps import Flow

BATCH = 500
FAILED_A_QUEUE = 30
RUNNING_A_QUEUE = 40
MINUTES = 15
SLOTS = 8
HEARTBEAT_S = 5
ROUNDS = 20
LIST = TaskListQuestion
QUESTIONS = {
    "Overview": Question("overview", minutes=15, failures=10, audited=5),
    "Queues": Question("queues", minutes=12, failures=5, failures_of="queue-007"),
    "Workers": Question("workers", minutes=5),
    "Tasks": Question("tasks", tasks=LIST(TaskState.PENDING)),
    "DLQ": Question("dlq", groups=GroupQuestion(group="0000000000", group_queues=("queue-000",))),
    "DLQ's tasks": Question("dlq", tasks=LIST(TaskState.FAILED)),
}


@dataclass(frozen=True)
class Cost:
    """Of one refresh, the median of several."""

    redis_ms: float
    server_cpu_ms: float
    round_trips: float
    kib: float
    client_ms: float


def fill(runner: SyncRunner, admin: redis.Redis, *, tasks: int, queues: int, workers: int) -> None:
    """Makes queues with pending, running and failed tasks, past minutes, and a fleet that is busy."""
    names = [f"queue-{number:03}" for number in range(queues)]
    each = tasks // queues
    slots: list[list[consumer.ClaimedTask]] = []
    for queue in names:
        for start in range(0, each, BATCH):
            new = [
                producer.new_task(f"work_{n % 7}", {"n": n, "to": "ana@example.org"})
                for n in range(start, min(start + BATCH, each))
            ]
            runner.run(producer.enqueue(queue, new))
        claimed = list(_claim(runner, queue, RUNNING_A_QUEUE + FAILED_A_QUEUE))
        slots += [claimed[i : i + SLOTS] for i in range(0, RUNNING_A_QUEUE, SLOTS)]
        for number, task in enumerate(claimed[RUNNING_A_QUEUE:]):
            detail = {"type": "ValueError", "message": "boom", "fingerprint": f"{queue[-3:]}{number % 5:09}"}
            fail = consumer.fail(task, verdict="fatal", reason="error", delay_ms=0, duration_ms=7, detail=detail)
            runner.run(fail)
    keep_minutes(admin, names)
    keep_fleet(runner, names, workers, slots)


def _claim(runner: SyncRunner, queue: str, count: int) -> Iterator[consumer.ClaimedTask]:
    flow = consumer.claim(queue, worker_id="bench.1", nonce=consumer.new_nonce(), limit=count, lease_ms=3_600_000)
    yield from runner.run(flow).tasks


def keep_minutes(admin: redis.Redis, queues: list[str]) -> None:
    """The counters of busy minutes, some to come too, so that the present one is never empty."""
    counts = {"enqueued": 1200, "completed": 1180, "failures": 9, "retrying": 7, "failed": 2, "claimed": 1190}
    counts |= {f"run{bucket}": 100 + bucket for bucket in range(3, 12)}
    counts |= {f"wait{bucket}": 200 + bucket for bucket in range(2, 14)}
    this = int(time.time()) // 60
    pipe = admin.pipeline(transaction=False)
    for queue in queues:
        for minute in range(this - MINUTES, this + 30):
            pipe.hset(f"{keys.queue_prefix(queue)}minute:{minute}", mapping=counts)
    pipe.execute()


def keep_fleet(runner: SyncRunner, queues: list[str], workers: int, running: list[list[consumer.ClaimedTask]]) -> None:
    """A node for ten workers; each says what it runs."""
    now_ms = int(time.time() * 1000)
    for number in range(max(1, workers // 10)):
        node_id = f"host-{number:03}-ab12"
        mine = tuple(queues[(number * 3 + i) % len(queues)] for i in range(3))
        ids = tuple(f"{node_id}.{i}" for i in range(10))
        node = registry.NodeInfo(
            node_id=node_id, host=f"host-{number:03}", pid=4711, processes=10, slots=SLOTS, worker_ids=ids, queues=mine,
            types=tuple(f"work_{i}" for i in range(7)), started_at_ms=now_ms, tq_version="0.3.0", code_version="5f2c1a",
        )  # fmt: skip
        runner.run(registry.heartbeat(node))
        for i, worker_id in enumerate(ids):
            tasks = running[(number * 10 + i) % len(running)] if running else []
            slots = tuple(
                registry.SlotInfo(task_id=t.id, type="work_1", queue=t.queue, started_at_ms=now_ms - 500) for t in tasks
            )
            info = registry.WorkerInfo(
                worker_id=worker_id, node_id=node_id, pid=4712 + i, slots=SLOTS, running=slots, queues=mine,
                completed=123_456, failed=12, started_at_ms=now_ms, rss_bytes=60 << 20, cpu_percent=12.5,
            )  # fmt: skip
            runner.run(registry.heartbeat(info))


def measure(runner: SyncRunner, admin: redis.Redis, question: Question, *, rounds: int = ROUNDS) -> Cost:
    """What a refresh costs once the console knows the queues."""
    known = runner.run(ask(question, None))
    known = runner.run(ask(question, known))
    costs = []
    fleet = [member.info for member in (*known.fleet.nodes, *known.fleet.workers) if member.info is not None]
    for number in range(rounds):
        # Each says that it lives every five seconds, and the console asks every second.
        for info in fleet[number % HEARTBEAT_S :: HEARTBEAT_S]:
            runner.run(registry.heartbeat(info))
        before, cpu_s, sent = _spent_us(admin), _cpu_s(admin), _sent_bytes(admin)
        flow = _Counted(ask(question, known))
        start_s = time.perf_counter()
        known = runner.run(flow.steps())
        client_ms = (time.perf_counter() - start_s) * 1000
        kib = (_sent_bytes(admin) - sent) / 1024
        cpu_ms = (_cpu_s(admin) - cpu_s) * 1000
        costs.append(Cost((_spent_us(admin) - before) / 1000, cpu_ms, flow.trips, kib, client_ms))
    return Cost(*(statistics.median(getattr(cost, field) for cost in costs) for field in Cost.__dataclass_fields__))


class _Counted:
    """A flow that counts how often it asked."""

    def __init__(self, flow: Flow[Answer]) -> None:
        self._flow, self.trips = flow, 0

    def steps(self) -> Flow[Answer]:
        answer = None
        while True:
            try:
                step = self._flow.send(answer)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            self.trips += 1
            answer = yield step


def _spent_us(admin: redis.Redis) -> float:
    # Commands that scripts call are counted once more by their own names; those here no script calls.
    stats = admin.info("commandstats")
    return sum(float(stats.get(f"cmdstat_{command}", {}).get("usec", 0)) for command in ("evalsha", "xrevrange"))


def _cpu_s(admin: redis.Redis) -> float:
    found = admin.info("cpu")
    return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


def _sent_bytes(admin: redis.Redis) -> int:
    return int(admin.info("stats")["total_net_output_bytes"])


def print_costs(runner: SyncRunner, admin: redis.Redis, *, rounds: int = ROUNDS) -> None:
    """A line for each screen."""
    for name, question in QUESTIONS.items():
        cost = measure(runner, admin, question, rounds=rounds)
        print(
            f"{'refresh of ' + name:<28} {cost.redis_ms:8.2f} ms of Redis   {cost.server_cpu_ms:6.1f} ms its CPU   "
            f"{cost.round_trips:g} round trip(s)   {cost.kib:7.0f} KiB   {cost.client_ms:6.1f} ms here"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--queues", type=int, default=200)
    parser.add_argument("--workers", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--server", help="redis-server; else the one found")
    options = parser.parse_args()
    with server(options.server or str(find_server().path)) as socket:
        url = f"unix://{socket}"
        runner = SyncRunner(connection.endpoint(url, display=url))
        admin = redis.Redis(unix_socket_path=str(socket))
        fill(runner, admin, tasks=options.tasks, queues=options.queues, workers=options.workers)
        print(f"{options.tasks:,} tasks, {options.queues} queues, {options.workers:,} workers")
        print_costs(runner, admin, rounds=options.rounds)


if __name__ == "__main__":
    main()
