"""Lists page by page: a cursor is the place of the next task, so none is skipped while others come and go."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Sequence
from typing import Any

import msgspec

from tq_console.gateway.problems import invalid
from tq_core import ids, names
from tq_core.keyspace.wire import UNREADABLE
from tq_core.model import TaskState, TaskView
from tq_core.query.query import TaskQuery
from tq_core.roles import browser, registry, search
from tq_core.roles.browser import Place
from tq_core.roles.inspector import LIST_ORDER
from tq_core.transport.steps import Flow

LOOK_MAX = 2_000
"""Tasks that one request reads at most where a query says which are meant."""
PAYLOAD_BYTES = 4096
_INFINITE = {"-": -math.inf, "+": math.inf}


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some tasks of a list."""

    tasks: tuple[TaskView, ...]
    looked: int
    """Tasks that were read for it."""
    next: str | None
    """The cursor of the next page; None where there is none."""


def cursor_of(state: TaskState, place: Place | None) -> str:
    """A place in the lists of all states, as a text."""
    score = "-" if place is None or place.score == -math.inf else "+" if place.score == math.inf else place.score
    told: list[Any] = [str(state), score, place.queue if place else "", place.task_id if place else ""]
    return base64.urlsafe_b64encode(msgspec.json.encode(told)).decode().rstrip("=")


def parse_cursor(text: str) -> tuple[TaskState, Place | None]:
    """The place of a cursor.

    Raises:
        ProblemError: 422, it is none of ours.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        state, score, queue, task_id = msgspec.json.decode(raw, type=tuple[TaskState, float | str, str, str])
        number = _INFINITE[score] if isinstance(score, str) else score
    except (*UNREADABLE, binascii.Error, KeyError, ValueError):
        number = math.nan
        state, queue, task_id = TaskState.PENDING, "", ""
    if math.isnan(number) or (queue and not names.QUEUE.match(queue)) or (task_id and not ids.is_id(task_id)):
        raise invalid("cursor", "take it as it was given, from `next` of the page before")
    return state, Place(number, queue, task_id) if task_id else None


def page(
    queues: Sequence[str] | None,
    states: Sequence[TaskState],
    *,
    query: TaskQuery | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Flow[Page]:
    """A page of some states' tasks: those that run, those that wait, in turn, then those that ended, newest first.

    Raises:
        ProblemError: 422, the cursor is none of ours.
    """
    if queues is None:
        queues = list((yield from registry.queue_numbers()))
    order = [state for state in LIST_ORDER if state in states and (query is None or state in query.states)]
    at: Place | None = None
    if cursor is not None:
        state, at = parse_cursor(cursor)
        if state not in order:
            raise invalid("cursor", "it is of another list: ask with the same words")
        order = order[order.index(state) :]
    fits = (yield from search.judge_of(query)) if query is not None else _any
    found: list[TaskView] = []
    looked = 0
    for state in order:
        meant = [queue for queue in queues if query is None or query.could_fit(queue, state)]
        while meant:
            rows = limit - len(found) if query is None else 200
            window = yield from browser.window(meant, state, place=at, from_there=rows + 1, payload_max=PAYLOAD_BYTES)
            at = None
            for i, row in enumerate(window.rows[:rows]):
                if len(found) == limit:
                    return Page(tasks=tuple(found), looked=looked + i, next=cursor_of(state, row.place))
                if fits(row.task):
                    found.append(row.task)
            looked += min(rows, len(window.rows))
            if len(window.rows) <= rows:
                break
            at = window.rows[rows].place
            if len(found) >= limit or looked >= LOOK_MAX:
                return Page(tasks=tuple(found), looked=looked, next=cursor_of(state, at))
        if (len(found) >= limit or looked >= LOOK_MAX) and state is not order[-1]:
            return Page(tasks=tuple(found), looked=looked, next=cursor_of(order[order.index(state) + 1], None))
    return Page(tasks=tuple(found), looked=looked, next=None)


def _any(task: TaskView) -> bool:
    del task
    return True
