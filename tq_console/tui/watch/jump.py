"""Finding a place deep in a list of many queues by its index: a guess, and where that is far off, a search."""

from __future__ import annotations

from collections.abc import Sequence

from tq_core.keyspace import keys
from tq_core.model import TaskState
from tq_core.roles import browser
from tq_core.roles.browser import Place
from tq_core.transport.steps import Command, Flow

NEAR = 150
"""Rows that the place may be away from the index: a window around it reaches as far."""
GUESSES_MAX = 60


def place_near(queues: Sequence[str], state: TaskState, index: int, depths: Sequence[int]) -> Flow[tuple[Place, int]]:
    """A place near an index of the list, and the index that it has.

    The guess takes the queues for evenly mixed. Where they are not (one is old, another new), the queues are halved
    one after the other, the longest first, until a task is found that is near enough.

    Args:
        depths: Tasks that each queue has in this state, as last seen.
    """
    place = yield from browser.place_at(queues, state, index, depths)
    at = yield from _index_of(queues, state, place)
    best = place, at
    guesses = 0
    for queue, depth in sorted(zip(queues, depths, strict=True), key=lambda pair: -pair[1]):
        low, high = 0, depth
        while low < high and guesses < GUESSES_MAX:
            if abs(best[1] - index) <= NEAR:
                return best
            guesses += 1
            middle = (low + high) // 2
            found = yield from _task_at(queue, state, middle)
            if found is None:
                high = middle
                continue
            at = yield from _index_of(queues, state, found)
            if abs(at - index) < abs(best[1] - index):
                best = found, at
            if at < index:
                low = middle + 1
            else:
                high = middle
    return best


def _index_of(queues: Sequence[str], state: TaskState, place: Place) -> Flow[int]:
    found = yield from browser.window(queues, state, place=place, from_there=1, payload_max=0)
    return found.place_index


def _task_at(queue: str, state: TaskState, rank: int) -> Flow[Place | None]:
    command = "ZREVRANGE" if state.is_terminal else "ZRANGE"
    found = yield Command((command, keys.queue_prefix(queue) + state, rank, rank, "WITHSCORES"))
    if not found:
        return None
    task_id, score = found[0] if isinstance(found[0], (tuple, list)) else found
    return Place(float(score), queue, task_id.decode("utf-8", "replace"))
