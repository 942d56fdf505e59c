"""Upkeep that any worker may do: one pass each, no loops, safe to run by all at once."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tq_core.keyspace import keys
from tq_core.transport.steps import Batch, Flow, Script

RECLAIM_MAX = 100
RECLAIM_GRACE_MS = 1_000
PROMOTE_MAX = 500
TRIM_MAX = 500
TRASH_MAX = 5_000
KEEP_MS = 24 * 3_600_000
KEEP_COUNT = 100_000


class Upkeep(msgspec.Struct, frozen=True):
    """What one pass did, per kind, over all queues."""

    promoted: int = 0
    reclaimed: tuple[tuple[str, str], ...] = ()
    """(queue, task id) of tasks whose lease had run out."""
    trimmed: int = 0

    @property
    def is_idle(self) -> bool:
        return not (self.promoted or self.reclaimed or self.trimmed)


def promote(queues: Sequence[str], *, limit: int = PROMOTE_MAX) -> Flow[int]:
    """Moves due tasks to pending and ends expired ones; returns how many."""
    replies = yield Batch([Script("promote", keys.queue_prefix(q), (limit,)) for q in queues])
    return sum(int(moved) for _, moved in replies)


def reclaim(
    queues: Sequence[str], *, limit: int = RECLAIM_MAX, grace_ms: int = RECLAIM_GRACE_MS
) -> Flow[tuple[tuple[str, str], ...]]:
    """Returns tasks whose lease ran out; (queue, id) of each."""
    replies = yield Batch([Script("reclaim", keys.queue_prefix(q), (limit, grace_ms)) for q in queues])
    return tuple((q, i.decode()) for q, (_, found) in zip(queues, replies, strict=True) for i in found)


def trim(
    queues: Sequence[str],
    *,
    limit: int = TRIM_MAX,
    keep_ms: int = KEEP_MS,
    keep: int = KEEP_COUNT,
    trash: int = TRASH_MAX,
) -> Flow[int]:
    """Forgets ended tasks beyond what is kept, and what can no longer be undone; returns how many ended ones."""
    replies = yield Batch([Script("trim", keys.queue_prefix(q), (limit, keep_ms, keep, keep, trash)) for q in queues])
    return sum(int(a) + int(b) + int(c) for _, a, b, c in replies)


def upkeep(queues: Sequence[str]) -> Flow[Upkeep]:
    """One pass of everything."""
    if not queues:
        return Upkeep()
    promoted = yield from promote(queues)
    reclaimed = yield from reclaim(queues)
    trimmed = yield from trim(queues)
    return Upkeep(promoted, reclaimed, trimmed)
