"""A list that is searched together: what fits a filter, of several states, or sorted by a column.

It is gathered a part at a time and held here, so that a search may go on at a key and a list be sorted. What is on
screen is read anew at each refresh; the whole is gathered again in the background, the more seldom the longer it takes.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tq_console.tui.table.rows import Row, Wanted, Window
from tq_console.tui.watch.snapshot import HuntStep, TaskList, TaskListQuestion
from tq_core.model import TaskState, TaskView
from tq_core.roles.browser import Placed
from tq_core.roles.inspector import LIST_ORDER
from tq_core.roles.search import Search

LOOK_FIRST = 2_000
"""Tasks that are looked at before the user is asked whether to go on."""
LOOK_MORE = 20_000
"""Tasks more for each time that he says so."""
LOOK_AT_ONCE = 500
FOUND_MAX = 5_000
AGAIN_MAX = 120
REST_S = 5.0
REST_SHARE = 20
"""Between two gatherings is so many times what one takes, and REST_S at least."""
STALE_S = 1.0
STALE_SHARE = 4
"""The same where much of what is on screen has gone: the rest of the list is probably no better."""

_numbers = itertools.count(1)


@dataclass(slots=True)
class _Gathering:
    """One pass over the lists."""

    number: int = field(default_factory=lambda: next(_numbers))
    rows: dict[str, Placed] = field(default_factory=dict)
    search: Search | None = None
    unread: int = 0
    begun_s: float = 0.0
    ended_s: float | None = None


class HuntFeed:
    """Tasks that were searched together, as a list for a table."""

    def __init__(
        self,
        states: Sequence[TaskState],
        *,
        queue: str | None = None,
        words: str = "",
        look_max: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.states, self.queue, self.words = tuple(states), queue, words
        self.look_max = LOOK_FIRST if look_max is None else look_max
        self._clock = clock
        self._shown = _Gathering(begun_s=clock())
        self._next: _Gathering | None = None
        self._order: Callable[[TaskView], Any] | None = None
        self._is_reversed = False
        self._sorted: list[Placed] | None = None
        self._is_stale = False

    # --- what is known ---

    @property
    def state(self) -> TaskState:
        """The first of its states, for what must name one."""
        return self.states[0]

    @property
    def search(self) -> Search | None:
        """How far what is shown was searched; None while nothing was."""
        return self._shown.search

    @property
    def unread(self) -> int:
        """Tasks of which it is not known whether they fit."""
        return self._shown.unread

    @property
    def is_searching(self) -> bool:
        """Whether the search for what is shown goes on by itself."""
        return not self._is_over(self._shown)

    @property
    def is_gathering(self) -> bool:
        """Whether the next part is to be asked for at once: of what is shown, or of what will take its place."""
        return not self._is_over(self._next or self._shown)

    @property
    def is_full(self) -> bool:
        """Whether no more is kept."""
        return len(self._shown.rows) >= FOUND_MAX

    @property
    def is_whole(self) -> bool:
        """Whether all that there is was searched, and is here."""
        return self.search is not None and self.search.is_done and not self.is_full

    @property
    def total(self) -> int:
        return len(self._shown.rows)

    def task(self, task_id: str) -> TaskView | None:
        """A task that was found."""
        placed = self._shown.rows.get(task_id)
        return placed.task if placed else None

    def rows(self) -> list[Placed]:
        """All that was found, in order."""
        if self._sorted is None:
            self._sorted = _in_order(self._shown.rows.values())
            if (order := self._order) is not None:
                self._sorted.sort(key=lambda placed: order(placed.task), reverse=self._is_reversed)
        return self._sorted

    def window(self, row_of: Callable[[TaskView], Row], wanted: Wanted) -> Window:
        """The rows that are wanted."""
        rows = self.rows()
        index = wanted.anchor_index
        if wanted.anchor_id is not None:
            # Where the row that is held on to is by now says where the screen will be.
            found = next((i for i, placed in enumerate(rows) if placed.task.id == wanted.anchor_id), None)
            index = wanted.anchor_index if found is None else found
        first = max(0, wanted.first + index - wanted.anchor_index)
        shown = rows[first : first + wanted.count]
        return Window(len(rows), min(first, len(rows)), tuple(row_of(placed.task) for placed in shown))

    # --- what is done with it ---

    def search_on(self) -> bool:
        """Looks at more tasks; False where there are no more."""
        if self.is_searching or self.is_whole or self.is_full:
            return False
        self.look_max += LOOK_MORE
        self._next = None
        self._shown.ended_s = None
        return True

    def sort(self, order: Callable[[TaskView], Any] | None, *, is_reversed: bool) -> None:
        """Puts the rows into another order; None = that of the lists."""
        self._order, self._is_reversed, self._sorted = order, is_reversed, None

    # --- asking ---

    def question(self, wanted: Wanted) -> TaskListQuestion:
        """What to ask for next."""
        at = self._next or self._shown
        if self._is_over(at) and self._is_due(at):
            at = self._next = _Gathering(begun_s=self._clock())
        looked = at.search.looked if at.search else 0
        look_max = 0 if self._is_over(at) else min(LOOK_AT_ONCE, self.look_max - looked)
        shown = self.rows()[wanted.first : wanted.first + wanted.count][:AGAIN_MAX]
        again = tuple((placed.task.id, placed.task.queue) for placed in shown)
        step = HuntStep(at.number, self.states, at.search, look_max, again)
        return TaskListQuestion(self.state, queue=self.queue, words=self.words, hunt=step)

    def _is_over(self, at: _Gathering) -> bool:
        if at.search is None:
            return False
        return at.search.is_done or at.search.looked >= self.look_max or len(at.rows) >= FOUND_MAX

    def _is_due(self, at: _Gathering) -> bool:
        if at.ended_s is None:
            at.ended_s = self._clock()
        took_s = at.ended_s - at.begun_s
        rest_s = max(STALE_S, STALE_SHARE * took_s) if self._is_stale else max(REST_S, REST_SHARE * took_s)
        return self._clock() - at.ended_s >= rest_s

    def accept(self, answer: TaskList) -> bool:
        """Takes an answer; False where it is about another list."""
        step, came = answer.question.hunt, answer.hunt
        at = self._next if self._next and step and self._next.number == step.number else self._shown
        if step is None or came is None or at.number != step.number:
            return False
        if step.look_max and step.search == at.search:
            at.search, at.unread = came.search, at.unread + came.unread
            for placed in answer.rows[: FOUND_MAX - len(at.rows)]:
                at.rows[placed.task.id] = placed
            self._sorted = None if at is self._shown or self._is_over(at) else self._sorted
        if self._is_over(at) and at.ended_s is None:
            at.ended_s = self._clock()
        if at is self._next and self._is_over(at):
            self._shown, self._next, self._is_stale = at, None, False
        self._see_again(came.again)
        return True

    def _see_again(self, again: Mapping[str, TaskView | None]) -> None:
        """Takes rows as they are by now; in their places, for what they have become is no reason to jump."""
        rows = self._shown.rows
        before = len(rows)
        for task_id, task in again.items():
            if task_id in rows and task is None:
                del rows[task_id]
            elif task_id in rows and task is not None:
                rows[task_id] = Placed(task, rows[task_id].score)
        self._is_stale = self._is_stale or (before - len(rows)) * STALE_SHARE > len(again)
        if self._sorted is not None and again:
            self._sorted = [rows[row.task.id] for row in self._sorted if row.task.id in rows]


def _in_order(rows: Iterable[Placed]) -> list[Placed]:
    """As the lists have them: state after state, those that ended from the newest on."""
    by_state: dict[TaskState, list[Placed]] = {state: [] for state in LIST_ORDER}
    for placed in rows:
        by_state[placed.task.state].append(placed)
    for state, part in by_state.items():
        part.sort(key=_place, reverse=state.is_terminal)
    return [placed for part in by_state.values() for placed in part]


def _place(placed: Placed) -> tuple[float, str, str]:
    task = placed.task
    score = float(task.started_at_ms or 0) if task.state is TaskState.RUNNING else placed.score
    return score, task.queue, task.id
