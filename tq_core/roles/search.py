"""Looking for tasks that a query fits: bounded, honest about what was not read, and able to go on where it stopped.

A search is a value, so whoever looks on a screen may go on with it a key later, and whoever looks by a command goes on
until enough is found. Lists of one state are read in turn, so that a queue of a million tasks does not hide the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from tq_core import ids
from tq_core.keyspace import keys, wire
from tq_core.model import TaskState, TaskView
from tq_core.roles import inspector, registry
from tq_core.roles.browser import Placed
from tq_core.roles.inspector import LIST_ORDER, SHOW_BYTES
from tq_core.transport.steps import Batch, Flow, Script

if TYPE_CHECKING:
    from tq_core.query.matching import Answer
    from tq_core.query.query import TaskQuery

PAGE = 200
LEAST_PAGE = 20
LISTS_AT_ONCE = 50


class Spot(msgspec.Struct, frozen=True, kw_only=True):
    """How far one list, the tasks of one state of one queue, was read."""

    queue: str
    state: TaskState
    total: int
    looked: int = 0
    score: str = ""
    """Of the task that was read last; "" = none was."""
    task_id: str = ""
    is_done: bool = False


class Search(msgspec.Struct, frozen=True):
    """A search that may go on."""

    spots: tuple[Spot, ...]

    @property
    def looked(self) -> int:
        """Tasks that were read."""
        return sum(min(spot.looked, spot.total) for spot in self.spots)

    @property
    def total(self) -> int:
        """Tasks that there are to be read, as each list was last seen."""
        return sum(spot.total for spot in self.spots)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to read."""
        return all(spot.is_done for spot in self.spots)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What was found since the search went on."""

    rows: tuple[Placed, ...]
    unread: int
    """Tasks of which what was read does not tell whether they fit: their arguments are too long, or sealed."""
    search: Search

    @property
    def tasks(self) -> tuple[TaskView, ...]:
        return tuple(row.task for row in self.rows)


def begin(queues: Sequence[str] | None, states: Sequence[TaskState], query: TaskQuery | None) -> Flow[Search]:
    """A search that has read nothing yet, over the lists of which a task could fit.

    Args:
        queues: None = all.
        query: None = all tasks fit.
    """
    if queues is None:
        queues = list((yield from registry.queue_numbers()))
    lists = [
        (queue, state)
        for state in LIST_ORDER
        if state in states
        for queue in queues
        if query is None or query.could_fit(queue, state)
    ]
    if not lists:
        return Search(())
    replies = yield Batch([_read(Spot(queue=queue, state=state, total=0), 0, 0) for queue, state in lists])
    totals = [int(reply[1]) for reply in replies]
    return Search(
        tuple(
            Spot(queue=queue, state=state, total=total)
            for (queue, state), total in zip(lists, totals, strict=True)
            if total
        )
    )


def judge_of(query: TaskQuery) -> Flow[Callable[[TaskView], Answer]]:
    """The query as a function of a task; asks for the time only where that matters."""
    now_ms = (yield from registry.server_time_ms()) if query.needs_clock else 0
    return query.judge(now_ms)


def go_on(
    search: Search,
    judge: Callable[[TaskView], Answer],
    *,
    look_max: int,
    find_max: int,
    payload_max: int = SHOW_BYTES,
) -> Flow[Found]:
    """Reads on until about so many tasks were read or found, or all lists are at their end."""
    spots = list(search.spots)
    found: list[Placed] = []
    seen: set[str] = set()
    looked = unread = 0
    while looked < look_max and len(found) < find_max:
        open_spots = [i for i, spot in enumerate(spots) if not spot.is_done]
        if not open_spots:
            break
        state = spots[open_spots[0]].state
        turn = sorted((i for i in open_spots if spots[i].state is state), key=lambda i: spots[i].looked)
        turn = turn[:LISTS_AT_ONCE]
        rows_each = max(LEAST_PAGE, min(PAGE, look_max - looked) // len(turn))
        replies = yield Batch([_read(spots[i], rows_each, payload_max) for i in turn])
        for i, reply in zip(turn, replies, strict=True):
            spots[i], rows = _taken(spots[i], reply, rows_each)
            looked += len(rows)
            for row in rows:
                answer = judge(row.task)
                unread += answer is None
                # Where the task that was read last has gone, those of its moment are read again.
                if answer and row.task.id not in seen:
                    seen.add(row.task.id)
                    found.append(row)
    return Found(rows=tuple(found), unread=unread, search=Search(tuple(spots)))


def _read(spot: Spot, rows: int, payload_max: int) -> Script:
    order = "desc" if spot.state.is_terminal else "asc"
    start = spot.score or ("+inf" if order == "desc" else "-inf")
    # The task that was read last is read again, if it is still there.
    count = rows + bool(spot.task_id) if rows else 0
    return Script(
        "around",
        keys.queue_prefix(spot.queue),
        (spot.state, order, start, spot.task_id, "after", 0, count, payload_max),
    )


def _taken(spot: Spot, reply: list[Any], rows_asked: int) -> tuple[Spot, list[Placed]]:
    _, total, _, _, views, *_ = reply
    rows, score = [], spot.score
    for raw in views:
        view = wire.View(*raw)
        score = view.score.decode()
        task = wire.task_view(spot.queue, view)
        if task.id != spot.task_id:
            rows.append(Placed(task, float(view.score)))
    return (
        Spot(
            queue=spot.queue,
            state=spot.state,
            total=int(total),
            looked=spot.looked + len(rows),
            score=score,
            task_id=rows[-1].task.id if rows else spot.task_id,
            is_done=len(rows) < rows_asked,
        ),
        rows,
    )


def find(
    queues: Sequence[str] | None,
    states: Sequence[TaskState],
    query: TaskQuery | None,
    *,
    limit: int,
    look_max: int,
    payload_max: int = SHOW_BYTES,
) -> Flow[Found]:
    """The first tasks that fit, reading about `look_max` of them at most.

    Args:
        queues: None = all.
        query: None = all tasks fit.
    """
    search = yield from begin(queues, states, query)
    judge = (yield from judge_of(query)) if query else _any
    found = yield from go_on(search, judge, look_max=look_max, find_max=limit, payload_max=payload_max)
    return msgspec.structs.replace(found, rows=found.rows[:limit])


def _any(task: TaskView) -> bool:
    del task
    return True


def by_id_part(part: str, *, look_max: int) -> Flow[Found]:
    """The tasks whose id this is, or begins or ends so; a part of one is looked for among `look_max` tasks at most."""
    queues = list((yield from registry.queue_numbers()))
    whole = [part] if ids.is_id(part) else [name for q in queues if ids.is_id(name := f"{part}@{q}")]
    known = [task for task in (yield from inspector.show(whole, payload_max=0)) if task] if whole else []
    if known or ids.is_id(part):
        return Found(rows=tuple(Placed(task, 0.0) for task in known), unread=0, search=Search(()))
    search = yield from begin(queues, tuple(TaskState), None)
    return (
        yield from go_on(
            search,
            lambda task: task.id.startswith(part) or task.id.endswith(part),
            look_max=look_max,
            find_max=2,
            payload_max=0,
        )
    )
