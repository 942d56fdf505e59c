"""Keeps a table of tasks fed: turns the rows that it wants into a question, and the answer into a window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tq_console.tui.table.rows import Row, Wanted, Window
from tq_console.tui.watch.snapshot import TaskList, TaskListQuestion
from tq_core.model import TaskState, TaskView
from tq_core.roles.browser import WINDOW_MAX, Placed


class TaskFeed:
    """One list of tasks, of which a part is loaded."""

    words = ""

    def __init__(
        self,
        state: TaskState,
        *,
        queue: str | None = None,
        group: str = "",
        group_counts: Mapping[str, int] | None = None,
    ) -> None:
        """A list of which nothing is loaded.

        Args:
            group: Only failed tasks that failed alike.
            group_counts: How many of them each queue had a moment ago.
        """
        self.state, self.queue, self.group = state, queue, group
        self._group_counts = tuple((group_counts or {}).items())
        self.loaded: TaskList | None = None
        self._by_id: dict[str, TaskView] = {}

    def question(self, wanted: Wanted) -> TaskListQuestion:
        """What to ask for so that the table gets its rows, with the row that it holds on to in its place."""
        base = {"state": self.state, "queue": self.queue}
        if self.group:
            counts = self._group_counts
            return TaskListQuestion(
                self.state, self.queue, first=wanted.first, count=wanted.count, group=self.group, group_counts=counts
            )
        last = wanted.first + wanted.count
        held = self._nearest(wanted)
        if held is None:
            return TaskListQuestion(**base, first=wanted.first, count=wanted.count)  # type: ignore[arg-type]
        placed, index = held
        before = max(0, index - wanted.first)
        return TaskListQuestion(
            **base,  # type: ignore[arg-type]
            place=placed.place,
            before=before,
            first=wanted.first,
            count=before + max(1, last - index),
        )

    def _nearest(self, wanted: Wanted) -> tuple[Placed, int] | None:
        """The loaded row from which to read: the one held on to, else one that is near enough; and its index."""
        if self.loaded is None or not self.loaded.rows:
            return None
        rows, offset = self.loaded.rows, self.loaded.offset
        if wanted.first == 0 and wanted.anchor_id is None:
            return None
        last = wanted.first + wanted.count
        for position, placed in enumerate(rows):
            if placed.task.id == wanted.anchor_id and abs(offset + position - wanted.first) < WINDOW_MAX // 2:
                return placed, offset + position
        index = min(max(wanted.first, offset), offset + len(rows) - 1)
        if index - wanted.first > WINDOW_MAX // 2 or last - index > WINDOW_MAX // 2:
            return None
        return rows[index - offset], index

    def accept(self, answer: TaskList) -> bool:
        """Takes an answer; False where it is not one about this list (any more)."""
        if not answer.question.is_of_one_list(TaskListQuestion(self.state, self.queue, group=self.group)):
            return False
        self._group_counts = answer.group_counts
        self.loaded = answer
        self._by_id = {row.task.id: row.task for row in answer.rows}
        return True

    @property
    def states(self) -> tuple[TaskState, ...]:
        """The one that it is of."""
        return (self.state,)

    @property
    def total(self) -> int:
        """Tasks of the whole list."""
        return self.loaded.total if self.loaded else 0

    def rows(self) -> Sequence[Placed]:
        """What is loaded."""
        return self.loaded.rows if self.loaded else ()

    def task(self, task_id: str) -> TaskView | None:
        """A task that is loaded."""
        return self._by_id.get(task_id)

    def window(self, row_of: Callable[[TaskView], Row], wanted: Wanted | None = None) -> Window:
        """What is loaded, as rows."""
        del wanted
        if self.loaded is None:
            return Window(0, 0, ())
        return Window(self.loaded.total, self.loaded.offset, tuple(row_of(row.task) for row in self.loaded.rows))
