"""Waiting for work without asking for it all the time: each queue has a marker that says something may be pending.

The marker carries no work. Who takes it only looks sooner than it would have; who loses it (frozen, killed, cut off)
loses nothing, because everybody also looks now and then.
"""

from __future__ import annotations

from collections.abc import Sequence

from tq_core.keyspace import keys
from tq_core.transport.steps import Block, Command, Flow


def wait_for_work(queues: Sequence[str], *, timeout_s: float) -> Flow[str | None]:
    """Waits until one of the queues may have pending tasks; returns which, None when the time was up."""
    by_key = {keys.wake(queue).encode(): queue for queue in queues}
    timeout_s = max(0.01, timeout_s)  # 0 would mean for ever
    found = yield Block(("BZPOPMIN", *by_key, round(timeout_s, 3)), timeout_s)
    return by_key.get(found[0]) if found else None


def pass_on(queue: str) -> Flow[None]:
    """Puts a marker back that was taken by somebody who cannot use it."""
    yield Command(("ZADD", keys.wake(queue), 0, "0"))
