"""A table of tasks beside the task under its cursor: what every list of tasks is."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from tq_console.tui.actions.task_keys import TASK_BINDINGS, Chosen, TaskKeys, useless_on
from tq_console.tui.detail.detail_view import DetailView
from tq_console.tui.filtering.filter_bar import FilterBar
from tq_console.tui.lists.feed import TaskFeed
from tq_console.tui.lists.hunt import HuntFeed
from tq_console.tui.lists.task_rows import columns, task_row
from tq_console.tui.look.canvas import Canvas, Line
from tq_console.tui.look.focus import focus_now
from tq_console.tui.panes.pane import NeedChanged, NothingToDo, Pane, SubmitWanted, TaskOpened
from tq_console.tui.table.table import VirtualTable
from tq_console.tui.watch.snapshot import Detail, Question, Snapshot
from tq_console.view.formats import plural
from tq_console.view.secrets import Masker
from tq_core.model import TaskState, TaskView


class TaskTablePane(TaskKeys, Pane):
    """Tasks, and the one under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *TASK_BINDINGS,
        Binding("n", "new", "new", tooltip="Submit a new task", id="tasks.new"),
        Binding("d", "open", "detail", show=False, tooltip="Show the task whole", id="tasks.detail"),
    ]

    def __init__(self, state: TaskState, *, masker: Masker, actor: str, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.feed: TaskFeed | HuntFeed = TaskFeed(state)
        self._masker, self.actor = masker, actor
        self._horizontal, self._vertical = 1, 1
        self._peeked: str | None = None

    # --- what it is made of ---

    def compose(self) -> ComposeResult:
        """A line about the list, the table, the filter, the preview."""
        yield Canvas(classes="list-line")
        with Container(classes="list-and-preview"):
            with Container(classes="list-body"):
                yield VirtualTable(columns(self.feed.states), empty_text=self._empty_text())
                yield FilterBar(masker=self._masker)
            yield DetailView(masker=self._masker, classes="preview")

    @property
    def table(self) -> VirtualTable:
        return self.query_one(VirtualTable)

    @property
    def subject(self) -> str | None:
        return self.table.cursor_id

    @property
    def asks_why(self) -> tuple[str, str] | None:
        return ("task", self.table.cursor_id) if self.table.cursor_id else None

    @property
    def preview(self) -> DetailView:
        return self.query_one(DetailView)

    @property
    def has_preview(self) -> bool:
        """Whether there is room for the preview."""
        return self._horizontal == 2 or (self._horizontal == 1 and self._vertical == 1)

    def set_breakpoints(self, horizontal: int, vertical: int) -> None:
        """Shows as much as there is room for."""
        self._horizontal, self._vertical = horizontal, vertical
        self.table.breakpoint = horizontal
        self.preview.display = self.has_preview

    def take_focus(self) -> None:
        """The list takes the keys."""
        focus_now(self.table)

    def useless(self) -> Collection[str]:
        """What cannot be done to tasks of this state."""
        return useless_on(self.chosen().state)

    def known(self, task_id: str) -> TaskView | None:
        """What the row, or the preview, holds of a task."""
        detail = self.snapshot.detail if self.snapshot else None
        if detail is not None and detail.task_id == task_id and detail.task is not None:
            return detail.task
        return self.feed.task(task_id)

    # --- what it needs and shows ---

    def question(self) -> Question:
        """The rows on screen, and the task under the cursor where there is room for it."""
        return Question(
            self.id or "",
            tasks=self.feed.question(self.table.wanted),
            detail_id=self.table.cursor_id if self.has_preview else None,
        )

    def show(self, snapshot: Snapshot) -> None:
        """The rows, the preview, and the line about them."""
        super().show(snapshot)
        if snapshot.tasks is not None and self.feed.accept(snapshot.tasks):
            self.show_rows()
            if isinstance(self.feed, HuntFeed) and self.feed.is_gathering:
                self.post_message(NeedChanged(is_missing=False))
        if snapshot.detail is not None and snapshot.detail.task_id == self.table.cursor_id and self.has_preview:
            self.preview.show(snapshot.detail, snapshot.now_ms)
            if snapshot.detail.task is not None and self.table.is_ghost:
                self.table.ghost_note = f"→ {snapshot.detail.task.state}"
        self.paint_line()

    def show_rows(self) -> None:
        """Hands the table what is loaded."""
        if self.snapshot is None:
            return
        table, now_ms, is_mixed = self.table, self.snapshot.now_ms, len(self.feed.states) > 1
        had = table.cursor_id
        table.show(self.feed.window(lambda task: task_row(task, now_ms, self._masker, is_mixed=is_mixed), table.wanted))
        if table.cursor_id != had:
            self._peek()

    def paint_line(self) -> None:
        """Says anew which list this is."""
        self.query_one(".list-line", Canvas).paint(self.list_lines())

    def list_lines(self) -> list[Line]:
        """Which list this is, how long, and what is marked."""
        return []

    def _empty_text(self) -> str:
        return f"no {self.feed.state} task"

    # --- moving ---

    @on(VirtualTable.CursorMoved)
    def _moved(self, event: VirtualTable.CursorMoved) -> None:
        event.stop()
        self._peek()
        self.paint_line()

    @on(VirtualTable.WindowWanted)
    def _wants(self, event: VirtualTable.WindowWanted) -> None:
        event.stop()
        if isinstance(self.feed, HuntFeed):
            self.show_rows()
        self.post_message(NeedChanged())

    @on(VirtualTable.MarksChanged)
    def _marks(self, event: VirtualTable.MarksChanged) -> None:
        event.stop()
        if event.missing:
            why = f"{plural(event.missing, 'row')} between are not loaded and not marked: a marks all of the list"
            self.post_message(NothingToDo(why))
        self.paint_line()

    @on(VirtualTable.Opened)
    def _opened(self, event: VirtualTable.Opened) -> None:
        event.stop()
        self.post_message(TaskOpened(event.row_id))

    def _peek(self) -> None:
        """Shows in the preview what the row knows; the whole task comes with the next answer."""
        task_id = self.table.cursor_id
        if not self.has_preview or task_id == self._peeked:
            return
        self._peeked = task_id
        known = self.feed.task(task_id) if task_id else None
        self.preview.show(
            Detail(task_id, known) if task_id and known else None, self.snapshot.now_ms if self.snapshot else 0
        )
        self.post_message(NeedChanged(is_missing=False))

    def put(self, feed: TaskFeed | HuntFeed) -> None:
        """Another list, from its start."""
        self.feed = feed
        self.table.reset(columns(feed.states), empty_text=self._empty_text())
        self._peeked = None
        self._peek()
        self.paint_line()
        self.post_message(NeedChanged())

    # --- what the keys do ---

    def chosen(self) -> Chosen:
        """What is marked or under the cursor now."""
        ids = self.table.marked_or_cursor()
        tasks = tuple(task for task in map(self.feed.task, ids) if task is not None)
        state = tasks[0].state if tasks and len(self.feed.states) > 1 else self.feed.state
        detail = self.snapshot.detail if self.snapshot else None
        if self.table.is_ghost and detail and detail.task and ids == (detail.task_id,):
            # The task has left the list: what can be done with it is told by where it has gone.
            tasks, state = (detail.task,), detail.task.state
        return Chosen(ids, tasks, state, self.snapshot.fleet if self.snapshot else None)

    def action_new(self) -> None:
        """Opens the form."""
        self.post_message(SubmitWanted(queue=self.feed.queue))

    def action_open(self) -> None:
        """Shows the task whole."""
        if self.table.cursor_id is not None:
            self.post_message(TaskOpened(self.table.cursor_id))
