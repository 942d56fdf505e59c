"""Drives one queue the way producers, workers and operators do, by a clock that the test sets.

Everything goes through the flows of tq_core; `raw` is for looking at the keys behind them, and for breaking them.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

import fakeredis
import redis

from tq_core.broker_url import parse_hosts
from tq_core.keyspace import keys
from tq_core.model import NewTask, TaskState, TaskView
from tq_core.roles import audit, consumer, inspector, maintenance, outbox, producer, registry
from tq_core.roles.consumer import Ack, Claim, ClaimedTask, Outcome
from tq_core.roles.producer import Enqueued
from tq_core.transport import connection
from tq_core.transport.connection import Endpoint
from tq_core.transport.runner import SyncRunner
from tq_core.transport.steps import Flow, Step

T = TypeVar("T")

START_MS = 1_700_000_000_000
"""Where the tests' clock begins: long ago, so that a time taken from the real clock stands out."""


def _alone(step: Step) -> Flow[Any]:
    return (yield step)


class Clock:
    """The time that scripts are told instead of the server's own."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, ms: int) -> None:
        self.now_ms += ms


def endpoint_of(url: str, clock: Clock | None = None) -> Endpoint:
    """The endpoint of a server of the contract: one in this process for memory://, else a real one."""
    if not url.startswith("memory://"):
        return dataclasses.replace(connection.endpoint(url, display=url), clock_ms=clock)
    server = fakeredis.FakeServer(version=(6, 2))
    return Endpoint(
        display=url,
        open_async=lambda _timeout_s, _is_shared: fakeredis.FakeAsyncRedis(server=server, protocol=2),
        open_sync=lambda _timeout_s: fakeredis.FakeRedis(server=server, protocol=2),
        clock_ms=clock,
    )


class QueueDriver:
    """One queue on one server."""

    def __init__(self, url: str, *, queue: str = "mail", has_clock: bool = True) -> None:
        self.url = url
        self.clock = Clock()
        self.queue = queue
        self.endpoint = endpoint_of(url, self.clock if has_clock else None)
        self.runner = SyncRunner(self.endpoint)
        self.raw: Any = self.endpoint.open_sync(10.0)
        if self.endpoint.is_cluster:
            (place, *_) = parse_hosts(url).places
            self.raw = redis.RedisCluster(*place, protocol=2)

    def close(self) -> None:
        self.runner.close()
        self.raw.close()

    def run(self, flow: Flow[T]) -> T:
        return self.runner.run(flow)

    def ask(self, step: Step) -> Any:
        """The bare reply to one step."""
        return self.run(_alone(step))

    def key(self, name: str) -> str:
        """The whole name of one of the queue's keys."""
        return keys.queue_prefix(self.queue) + name

    # --- producer ---

    def put(self, *tasks: NewTask) -> list[Enqueued]:
        return self.run(producer.enqueue(self.queue, tasks))

    def put_one(self, args: dict[str, Any] | None = None, **options: Any) -> str:
        """Enqueues one task and returns its id."""
        (outcome,) = self.put(producer.new_task("work", args or {}, **options))
        assert outcome.is_new, outcome
        return outcome.task_id

    def put_many(self, count: int, **options: Any) -> list[str]:
        return [e.task_id for e in self.put(*[producer.new_task("work", {"n": n}, **options) for n in range(count)])]

    # --- worker ---

    def claim(self, limit: int = 1, *, worker_id: str = "node.1", lease_ms: int = consumer.LEASE_MS) -> Claim:
        return self.run(
            consumer.claim(self.queue, worker_id=worker_id, nonce=consumer.new_nonce(), limit=limit, lease_ms=lease_ms)
        )

    def take(
        self, limit: int = 1, *, worker_id: str = "node.1", lease_ms: int = consumer.LEASE_MS
    ) -> list[ClaimedTask]:
        return list(self.claim(limit, worker_id=worker_id, lease_ms=lease_ms).tasks)

    def take_one(self, *, worker_id: str = "node.1", lease_ms: int = consumer.LEASE_MS) -> ClaimedTask:
        """Claims one task; there must be one."""
        (task,) = self.take(1, worker_id=worker_id, lease_ms=lease_ms)
        return task

    def complete(self, *tasks: ClaimedTask, result: bytes = b'"done"', duration_ms: int = 5) -> list[str]:
        return self.run(consumer.complete(self.queue, [Ack(t, result, duration_ms) for t in tasks]))

    def fail(
        self,
        task: ClaimedTask,
        *,
        verdict: str = "retry",
        reason: str = "error",
        delay_ms: int = 1000,
        detail: dict[str, Any] | None = None,
    ) -> Outcome:
        return self.run(
            consumer.fail(
                task,
                verdict=verdict,
                reason=reason,
                delay_ms=delay_ms,
                duration_ms=7,
                detail=detail or {"type": "ValueError", "message": "boom"},
            )
        )

    def beside(self, queue: str) -> QueueDriver:
        """Another queue of the same server, by the same clock; shares this one's connections."""
        other = copy.copy(self)
        other.queue = queue
        return other

    # --- upkeep ---

    def tell(self) -> int:
        """Tells other queues what happened in this one; how many messages it was."""
        return self.run(outbox.deliver([self.queue]))

    def reclaim(self, *, grace_ms: int = maintenance.RECLAIM_GRACE_MS) -> list[str]:
        """Returns tasks whose lease ran out; their ids."""
        return [task_id for _, task_id in self.run(maintenance.reclaim([self.queue], grace_ms=grace_ms))]

    def command_for(self, node_id: str) -> registry.NodeCommand | None:
        """The next command in a node's inbox, as the node reads it; None when there is none."""
        return self.run(registry.next_command(node_id, timeout_s=0.05))

    # --- what is there ---

    def view(self, task_id: str) -> TaskView:
        return self.run(inspector.show_one(task_id))

    def state(self, task_id: str) -> TaskState | None:
        (view,) = self.run(inspector.show([task_id]))
        return view.state if view else None

    def stats(self, *, minutes: int = 5) -> inspector.QueueStats:
        (numbers,) = self.run(inspector.stats([self.queue], minutes=minutes))
        return numbers

    def depths(self) -> dict[str, int]:
        """How many tasks each state holds; states without any are left out."""
        return {state.value: count for state, count in self.stats().depths.items() if count}

    def counter(self, name: str) -> int:
        return self.stats().counters.get(name, 0)

    def findings(self) -> list[tuple[str, str]]:
        """What the audit has to say: (word, subject) of each finding."""
        return [(f.word, f.subject) for f in self.run(audit.audit([self.queue]))]

    def events(self) -> list[dict[str, str]]:
        """All events of the queue, oldest first."""
        entries: Sequence[tuple[bytes, dict[bytes, bytes]]] = self.raw.xrange(self.key("events"))
        return [{k.decode(): v.decode() for k, v in fields.items()} for _, fields in entries]

    def audited(self) -> list[dict[str, str]]:
        """All entries that operators' writes left on the queue, oldest first."""
        entries: Sequence[tuple[bytes, dict[bytes, bytes]]] = self.raw.xrange(self.key("audit"))
        return [{k.decode(): v.decode() for k, v in fields.items()} for _, fields in entries]
