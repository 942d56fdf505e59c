"""Windows of one state's tasks over several queues, as one sorted list of any length.

The list is ordered by score, then queue, then id (or exactly the other way round), so it needs no merged index: a
window is the tasks on both sides of a *place*, read from every queue at once, and the number of tasks before the place
is the sum of its ranks. So a reader who holds on to a task keeps his place while others come and go, in one round trip,
at any depth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tq_core.keyspace import keys, wire
from tq_core.model import TaskState, TaskView
from tq_core.transport.steps import Batch, Command, Flow, Script

PREVIEW_BYTES = 256
WINDOW_MAX = 500
_WHOLE_SHARE_QUEUES = 4
"""Up to so many queues each is read as if all tasks of the window were its own."""
_ROUNDS = 3
"""Times that queues are read, the later times those few that hold more of the window than their share."""


class Place(msgspec.Struct, frozen=True):
    """Where a window is: at a task, which need not be there any more."""

    score: float
    queue: str = ""
    task_id: str = ""


START = Place(float("-inf"))
END = Place(float("inf"))


class Placed(msgspec.Struct, frozen=True):
    """A task with its place in the order."""

    task: TaskView
    score: float

    @property
    def place(self) -> Place:
        """Where to come back to."""
        return Place(self.score, self.task.queue, self.task.id)


class TaskWindow(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks that follow one another in the list."""

    total: int
    offset: int
    """Tasks before the first one here."""
    place_index: int
    """Index of the place in the whole list."""
    rows: tuple[Placed, ...]


def window(
    queues: Sequence[str],
    state: TaskState,
    *,
    place: Place | None = None,
    before: int = 0,
    from_there: int = 50,
    newest_first: bool | None = None,
    payload_max: int = PREVIEW_BYTES,
    expected: Mapping[str, int] | None = None,
) -> Flow[TaskWindow]:
    """The tasks on both sides of a place; of very many queues perhaps fewer than asked for.

    One round trip, and up to two more where a few of many queues hold most of the window.

    Args:
        place: None = the start of the list.
        newest_first: The order; None = the usual one: ended tasks from the newest on, others in the order they go.
        expected: How many of the rows each queue probably has, as of a window a moment ago: of the others only what
            comes next is read, and no task whole.
    """
    is_desc = state.is_terminal if newest_first is None else newest_first
    at = place or (END if is_desc else START)
    before, from_there = min(before, WINDOW_MAX), min(from_there, WINDOW_MAX)
    if not queues:
        return TaskWindow(total=0, offset=0, place_index=0, rows=())
    slices: dict[str, _Slice] = {}
    earlier: list[Placed] = []
    later: list[Placed] = []
    if expected is None:
        asked = dict.fromkeys(queues, (_share(before, queues), _share(from_there, queues)))
    else:
        # Some more where there are several, for lists move; who gets more than that costs a second round trip.
        likely = {queue: rows + rows // 4 for queue, rows in expected.items()}
        asked = {queue: (min(before, likely.get(queue, 0)), min(from_there, likely.get(queue, 0))) for queue in queues}
    is_guess = expected is not None
    for _ in range(_ROUNDS + is_guess):
        replies = yield Batch(
            [
                Script(
                    "around",
                    keys.queue_prefix(queue),
                    (
                        state,
                        "desc" if is_desc else "asc",
                        *_place_words(at, queue, is_desc=is_desc),
                        *share,
                        payload_max,
                    ),
                )
                for queue, share in asked.items()
            ]
        )
        slices |= {queue: _Slice(queue, reply) for queue, reply in zip(asked, replies, strict=True)}
        earlier, short = _nearest(slices.values(), before, is_desc=is_desc, is_backwards=True)
        later, short_later = _nearest(slices.values(), from_there, is_desc=is_desc, is_backwards=False)
        # Mostly none: only where more than its share of the window is one queue's own, or a guess was wrong.
        if is_guess:
            share, is_guess = (_share(before, queues), _share(from_there, queues)), False
            asked = dict.fromkeys((*short[:before], *short_later[:from_there]), share)
        else:
            holding_up = (*short[:_WHOLE_SHARE_QUEUES], *short_later[:_WHOLE_SHARE_QUEUES])
            asked = dict.fromkeys(holding_up, (before, from_there))
        if not asked:
            break
    index = sum(s.rank for s in slices.values())
    return TaskWindow(
        total=sum(s.total for s in slices.values()),
        offset=index - len(earlier),
        place_index=index,
        rows=(*reversed(earlier), *later),
    )


def place_at(
    queues: Sequence[str], state: TaskState, index: int, depths: Sequence[int], *, newest_first: bool | None = None
) -> Flow[Place]:
    """A place near an index of the list: exact for one queue, else the same share of the longest queue.

    `window` around it says where exactly it is.

    Args:
        depths: Tasks that each queue has in this state, as last seen.
    """
    is_desc = state.is_terminal if newest_first is None else newest_first
    total = sum(depths)
    if index <= 0 or total == 0:
        return END if is_desc else START
    if index >= total:
        return START if is_desc else END
    longest = max(range(len(queues)), key=lambda i: depths[i])
    rank = index * depths[longest] // total
    key = keys.queue_prefix(queues[longest]) + state
    found = yield Command(("ZREVRANGE" if is_desc else "ZRANGE", key, rank, rank, "WITHSCORES"))
    if not found:
        return START if is_desc else END
    task_id, score = found[0] if isinstance(found[0], (tuple, list)) else found
    return Place(float(score), queues[longest], task_id.decode("utf-8", "replace"))


class _Slice:
    """What one queue has around the place."""

    def __init__(self, queue: str, reply: list[Any]) -> None:
        _, total, rank, first, views, above, below = reply
        self.queue = queue
        self.total, self.rank, self._first = int(total), int(rank), int(first)
        self._rows: list[Placed] = []
        for raw in views:
            view = wire.View(*raw)
            self._rows.append(Placed(wire.task_view(queue, view), float(view.score)))
        self._above, self._below = _next(queue, above), _next(queue, below)

    def before(self) -> tuple[list[Placed], _Key | None]:
        """The tasks before the place, the nearest first, and what comes after them where there are more."""
        return self._rows[: self.rank - self._first][::-1], self._above

    def after(self) -> tuple[list[Placed], _Key | None]:
        """The tasks from the place on, and what comes after them where there are more."""
        return self._rows[self.rank - self._first :], self._below


_Key = tuple[float, str, bytes]
"""Where a task stands in the list of all queues: its score, its queue, its id."""


def _next(queue: str, raw: list[Any]) -> _Key | None:
    return (float(raw[1]), queue, raw[0]) if raw else None


def _nearest(
    slices: Iterable[_Slice], limit: int, *, is_desc: bool, is_backwards: bool
) -> tuple[list[Placed], list[str]]:
    """The tasks that are nearest to the place on one side of it: no more than is known for certain to be so.

    Returns:
        Them, and if they are fewer than the limit the queues of which more must be read, the nearest first.
    """
    is_falling = is_desc != is_backwards

    def key(row: Placed) -> _Key:
        return row.score, row.task.queue, row.task.id.encode()

    sides = [(s.queue, *(s.before() if is_backwards else s.after())) for s in slices]
    # Where a queue has more than was read, nothing beyond the first of that can be put in order yet.
    short = sorted(((at, queue) for queue, _, at in sides if at is not None), reverse=is_falling)
    found = sorted((row for _, rows, _ in sides for row in rows), key=key, reverse=is_falling)
    if short:
        bound = short[0][0]
        found = [row for row in found if (key(row) > bound if is_falling else key(row) < bound)]
    return found[:limit], [] if len(found) >= limit else [queue for _, queue in short]


def _share(rows: int, queues: Sequence[str]) -> int:
    if len(queues) <= _WHOLE_SHARE_QUEUES or rows == 0:
        return rows
    return min(rows, max(10, 2 * rows // len(queues)))


def _place_words(at: Place, queue: str, *, is_desc: bool) -> tuple[str, str, str]:
    """Score, id and ties: where the place is in one queue."""
    if queue == at.queue:
        return _score(at.score), at.task_id, "after"
    # In descending order everything is mirrored, the order of queues too.
    is_earlier = (queue > at.queue) if is_desc else (queue < at.queue)
    return _score(at.score), "", "before" if is_earlier and at.task_id else "after"


def _score(score: float) -> str:
    if score in (float("inf"), float("-inf")):
        return "+inf" if score > 0 else "-inf"
    return f"{score:.17g}"
