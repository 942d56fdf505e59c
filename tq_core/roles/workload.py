"""What could run now in each queue, and what cannot and why: cheap enough to be asked every second."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tq_core.keyspace import keys
from tq_core.model import TaskState
from tq_core.roles import inspector
from tq_core.roles.limits import Rate
from tq_core.transport.steps import Batch, Command, Flow


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """One queue, at one instant."""

    queue: str
    ready: int = 0
    """Tasks that are pending, or due; 0 while the queue is paused, or is of a newer tq."""
    wait_ms: int = 0
    """How long ago the oldest of them was enqueued."""
    room: float = float("inf")
    """How many more the limits of the queue let run now: those that run at once, or start within a second."""
    later: int = 0
    """Delayed and retrying tasks that are not due."""
    held: int = 0
    """Tasks in the line of a limit or a breaker."""
    waiting: int = 0
    """Tasks that wait for others."""
    paused: int = 0
    """Pending tasks of a paused queue."""
    newer: int = 0
    """Pending tasks of a queue that a newer tq wrote: nobody of this version can take them."""

    @property
    def claimable(self) -> float:
        """Those that a free slot could run."""
        return min(self.ready, self.room)


def workload(queues: Sequence[str]) -> Flow[list[Workload]]:
    """What there is to do in these queues, in two round trips; costs no more however many tasks there are."""
    stats = yield from inspector.stats(queues, minutes=0)
    prefixes = [keys.queue_prefix(queue) for queue in queues]
    parked = [Command(("ZCARD", prefix + "parked")) for prefix in prefixes]
    schemas = [Command(("HGET", prefix + "meta", "schema")) for prefix in prefixes]
    found = yield Batch([*parked, *schemas])
    versions = [int(version) if version and version.isdigit() else 1 for version in found[len(queues) :]]
    return [
        _of(numbers, int(held), is_newer=version > keys.SCHEMA_VERSION)
        for numbers, held, version in zip(stats, found[: len(queues)], versions, strict=True)
    ]


def _of(numbers: inspector.QueueStats, held: int, *, is_newer: bool) -> Workload:
    depths = numbers.depths
    later = depths[TaskState.SCHEDULED] + depths[TaskState.RETRYING]
    # How many of them are due is not known, but that one is.
    due = 1 if numbers.next_due_at_ms is not None and numbers.next_due_at_ms <= numbers.now_ms else 0
    pending, is_paused = depths[TaskState.PENDING], numbers.paused is not None
    return Workload(
        queue=numbers.queue,
        ready=0 if is_paused or is_newer else pending + due,
        wait_ms=0 if is_paused else numbers.oldest_age_ms or 0,
        room=_room(numbers.rules, depths[TaskState.RUNNING]),
        later=max(0, later - due),
        held=held,
        waiting=max(0, depths[TaskState.BLOCKED] - held),
        paused=pending if is_paused and not is_newer else 0,
        newer=pending if is_newer else 0,
    )


def _room(rules: dict[str, str], running: int) -> float:
    room = float("inf")
    most = rules.get("running", "")
    if most.isdigit():
        room = max(0, int(most) - running)
    rate = Rate.stored(rules.get("rate", ""))
    if rate is not None:
        room = min(room, max(1.0, rate.starts * 1000 / max(1, rate.period_ms)))
    return room
