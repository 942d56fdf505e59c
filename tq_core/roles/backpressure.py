"""Waits for room in a full queue: the producer slows down to what its workers can do, until a deadline.

A wait costs one short script a try, first after 50 ms, later about every 1.5 s; each pause is drawn from its upper
half, so that many producers do not come back at once. Nobody is told of room: the first to ask takes it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

from tq_core import tracing
from tq_core.errors import QueueFullError
from tq_core.model import NewTask
from tq_core.roles import producer
from tq_core.roles.producer import Enqueued
from tq_core.transport.steps import Flow, Pause

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0
PAUSE_GROWTH = 1.5


def enqueue(
    queue: str,
    tasks: Sequence[NewTask],
    *,
    number: int | None = None,
    wait_for_room_s: float | None = None,
    on_wait: Callable[[QueueFullError], None] | None = None,
    on_done: Callable[[list[Enqueued]], None] | None = None,
) -> Flow[list[Enqueued]]:
    """Enqueues tasks as `producer.enqueue` does; while they do not all fit, as many as do, and waits for more room.

    Args:
        tasks: At most producer.MAX_BATCH.
        wait_for_room_s: How long it may wait without a single one fitting; None = all or none, at once.
        on_wait: Told once, when it begins to wait.
        on_done: Told of each part that is in.

    Raises:
        QueueFullError: there was no room in time; what `on_done` was told of is in, the rest is not.
    """
    if wait_for_room_s is None:
        outcomes = yield from producer.enqueue(queue, tasks, number=number)
        if on_done is not None:
            on_done(outcomes)
        return outcomes
    if tracing.is_loaded() and (span := tracing.enqueue_span(queue, tasks)) is not None:
        with span:
            # One span for all tries: the tasks that carry it get no other.
            outcomes = yield from enqueue(
                queue,
                span.carried(tasks),
                number=number,
                wait_for_room_s=wait_for_room_s,
                on_wait=on_wait,
                on_done=on_done,
            )
            span.enqueued([outcome.task_id for outcome in outcomes])
        return outcomes
    outcomes = []
    left = list(tasks)
    began_s, pause_s = time.monotonic(), FIRST_PAUSE_S
    size = len(left)
    while left:
        try:
            part = yield from producer.enqueue(queue, left[:size], number=number)
        except QueueFullError as full:
            waited_s = time.monotonic() - began_s
            if size > 1:
                # Even without room: the first may be a duplicate, which needs none.
                size = max(1, min(size - 1, full.max_size - full.depth))
                continue
            if waited_s >= wait_for_room_s:
                raise _after(full, waited_s) from full
            if on_wait is not None:
                on_wait(full)
                on_wait = None
            size = len(left)
            yield Pause(min(random.uniform(pause_s / 2, pause_s), max(wait_for_room_s - waited_s, 0.001)))
            pause_s = min(pause_s * PAUSE_GROWTH, LONGEST_PAUSE_S)
        else:
            outcomes += part
            left = left[len(part) :]
            size = len(left)
            began_s, pause_s = time.monotonic(), FIRST_PAUSE_S
            if on_done is not None:
                on_done(part)
    return outcomes


def _after(full: QueueFullError, waited_s: float) -> QueueFullError:
    return QueueFullError(
        f"{full.message}; waited {waited_s:.1f} s for room",
        queue=full.queue,
        depth=full.depth,
        max_size=full.max_size,
        waited_s=waited_s,
    )
