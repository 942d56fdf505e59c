"""A list of tasks of one state with its preview, and what can be done with them: the Tasks and the DLQ screens."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import Input

from tq_console.tui.actions.task_keys import TASK_BINDINGS, Chosen, TaskKeys, useless_on
from tq_console.tui.detail.detail_view import DetailView
from tq_console.tui.lists.feed import TaskFeed
from tq_console.tui.lists.task_rows import columns, task_row
from tq_console.tui.look.canvas import Canvas, Line, Span
from tq_console.tui.look.focus import focus_now
from tq_console.tui.look.glyphs import TASK_SIGNS
from tq_console.tui.panes.pane import NeedChanged, NothingToDo, Pane, SubmitWanted, TaskOpened
from tq_console.tui.table.table import VirtualTable
from tq_console.tui.watch.snapshot import Detail, Question, Snapshot
from tq_console.view.secrets import Masker
from tq_core.errors import InvalidInputError
from tq_core.model import TaskState, TaskView
from tq_core.query.query import parse_query


class TaskListPane(TaskKeys, Pane):
    """Tasks of one state, of one queue or all."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *TASK_BINDINGS,
        Binding("n", "new", "new", tooltip="Submit a new task", id="tasks.new"),
        Binding(
            "slash", "filter", "filter", tooltip="Filter: type:mail* error:timeout or plain words", id="tasks.filter"
        ),
        Binding("d", "open", "detail", show=False, tooltip="Show the task whole", id="tasks.detail"),
        Binding("Q", "next_queue", "queue", show=False, tooltip="Next queue, then all of them", id="tasks.queue"),
        Binding("escape", "clear_filter", "clear filter", show=False, id="tasks.clear_filter"),
    ]

    def __init__(self, state: TaskState, *, masker: Masker, actor: str, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.feed = TaskFeed(state)
        self._masker, self.actor = masker, actor
        self._horizontal, self._vertical = 1, 1
        self._peeked: str | None = None

    # --- what it is made of ---

    def compose(self) -> ComposeResult:
        """A line about the list, the table, the filter, the preview."""
        yield Canvas(classes="list-line")
        with Container(classes="list-and-preview"):
            with Container(classes="list-body"):
                yield VirtualTable(columns(self.feed.state), empty_text=self._empty_text())
                yield Input(placeholder="type:mail* queue:default error:timeout or plain words", classes="filter")
            yield DetailView(masker=self._masker, classes="preview")

    @property
    def table(self) -> VirtualTable:
        return self.query_one(VirtualTable)

    @property
    def subject(self) -> str | None:
        return self.table.cursor_id

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

    def place(self, *, queue: str | None, state: TaskState | None) -> None:
        """Goes to a list."""
        self._list(state or self.feed.state, queue=queue, words="")

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
            self._show_rows(snapshot)
        if snapshot.detail is not None and snapshot.detail.task_id == self.table.cursor_id and self.has_preview:
            self.preview.show(snapshot.detail, snapshot.now_ms)
            if snapshot.detail.task is not None and self.table.is_ghost:
                self.table.ghost_note = f"→ {snapshot.detail.task.state}"
        self._paint_line()

    def _show_rows(self, snapshot: Snapshot) -> None:
        table = self.table
        had = table.cursor_id
        table.show(self.feed.window(lambda task: task_row(task, snapshot.now_ms, self._masker)))
        if table.cursor_id != had:
            self._peek()

    def _paint_line(self) -> None:
        self.query_one(".list-line", Canvas).paint(self.list_lines())

    def list_lines(self) -> list[Line]:
        """Which list this is, how long, and what is marked."""
        return [self._about()]

    def _about(self) -> Line:
        loaded, table = self.feed.loaded, self.table
        sign = TASK_SIGNS[self.feed.state]
        total = loaded.total if loaded else 0
        line: list[Span] = [(f" {sign} ", sign.style), (f"in {self.feed.queue or 'all queues'}", "")]
        if total:
            line.append((f"  {table.cursor_index + 1:,} of {total:,}", "cell--dim"))
        if self.feed.words:
            line.append((f"  /{self.feed.words}", "cell--accent"))
            if loaded and loaded.searched is not None:
                line.append((f" (searched {loaded.searched:,} of {loaded.of:,})", "cell--dim"))
        if table.marked:
            line.append((f"  ● {len(table.marked):,} marked", "cell--warn"))
        if table.new_above:
            line.append((f"  +{table.new_above:,} new ↑g", "cell--busy"))
        if table.is_ghost:
            line.append((f"  this task has left the list ({table.ghost_note})", "cell--warn"))
        return line

    def _empty_text(self) -> str:
        if self.feed.words:
            return f"nothing {self.feed.state} fits /{self.feed.words} · esc clears the filter"
        return f"no {self.feed.state} task"

    # --- moving ---

    @on(VirtualTable.CursorMoved)
    def _moved(self, event: VirtualTable.CursorMoved) -> None:
        event.stop()
        self._peek()
        self._paint_line()

    @on(VirtualTable.WindowWanted)
    def _wants(self, event: VirtualTable.WindowWanted) -> None:
        event.stop()
        self.post_message(NeedChanged())

    @on(VirtualTable.MarksChanged)
    def _marks(self, event: VirtualTable.MarksChanged) -> None:
        event.stop()
        self._paint_line()

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

    def _list(self, state: TaskState, *, queue: str | None, words: str) -> None:
        """Another list, from its start."""
        if (state, queue, words) == (self.feed.state, self.feed.queue, self.feed.words):
            return
        self.feed = TaskFeed(state, queue=queue, words=words)
        self.table.reset(columns(state), empty_text=self._empty_text())
        self._peeked = None
        self._peek()
        self._paint_line()
        self.post_message(NeedChanged())

    # --- what the keys do ---

    def chosen(self) -> Chosen:
        """What is marked or under the cursor now."""
        ids = self.table.marked_or_cursor()
        tasks = tuple(task for task in map(self.feed.task, ids) if task is not None)
        state = self.feed.state
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

    def action_next_queue(self) -> None:
        """The next queue in turn, after the last one all of them."""
        names = [q.queue for q in self.snapshot.queues] if self.snapshot else []
        choices: list[str | None] = [None, *names]
        here = choices.index(self.feed.queue) if self.feed.queue in choices else 0
        self._list(self.feed.state, queue=choices[(here + 1) % len(choices)], words=self.feed.words)

    # --- the filter ---

    def action_filter(self) -> None:
        """Opens the filter."""
        box = self.query_one(".filter", Input)
        box.value = self.feed.words
        box.add_class("open")
        focus_now(box)

    def action_clear_filter(self) -> None:
        """Shows all tasks of the list again, and no marks."""
        self._close_filter()
        if self.feed.words:
            self._list(self.feed.state, queue=self.feed.queue, words="")
        elif self.table.marked:
            self.table.clear_marks()

    @on(Input.Submitted, ".filter")
    def _filtered(self, event: Input.Submitted) -> None:
        event.stop()
        words = event.value.strip()
        if words:
            try:
                parse_query(words)
            except InvalidInputError as error:
                self.post_message(NothingToDo(error.message))
                return
        self._close_filter()
        self._list(self.feed.state, queue=self.feed.queue, words=words)

    def _close_filter(self) -> None:
        self.query_one(".filter", Input).remove_class("open")
        focus_now(self.table)


STATE_ORDER = (
    TaskState.RUNNING,
    TaskState.PENDING,
    TaskState.RETRYING,
    TaskState.SCHEDULED,
    TaskState.BLOCKED,
    TaskState.COMPLETED,
    TaskState.FAILED,
    TaskState.CANCELLED,
)


class TasksPane(TaskListPane):
    """Tasks by state, a tab each with its count."""

    TITLE = "Tasks"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right_square_bracket", "next_state(1)", "state", tooltip="Next state", id="tasks.next_state"),
        Binding(
            "left_square_bracket", "next_state(-1)", "state", show=False, tooltip="State before", id="tasks.prev_state"
        ),
    ]

    def list_lines(self) -> list[Line]:
        """The tabs of the states, then what the list is."""
        return [self._state_tabs(), self._about()]

    def _state_tabs(self) -> Line:
        depths = self._depths()
        spans = []
        for state in STATE_ORDER:
            sign = TASK_SIGNS[state]
            number = depths.get(state, 0)
            is_current = state is self.feed.state
            if self._horizontal == 0:
                text = f" {sign.glyph} {sign.word if is_current else ''}{' ' if is_current else ''}{_short(number)} "
            else:
                text = f" {sign} {_short(number)} "
            style = "cell--selected" if is_current else sign.style if number else "cell--dim"
            spans.append((text, style))
        return spans

    def _depths(self) -> dict[TaskState, int]:
        if self.snapshot is None:
            return {}
        if self.feed.queue is None:
            return dict(self.snapshot.depths)
        numbers = self.snapshot.queue(self.feed.queue)
        return dict(numbers.depths) if numbers else {}

    def action_next_state(self, step: int) -> None:
        """The list of the next state."""
        here = STATE_ORDER.index(self.feed.state)
        self._list(STATE_ORDER[(here + step) % len(STATE_ORDER)], queue=self.feed.queue, words=self.feed.words)


def _short(number: int) -> str:
    """A count in at most five cells."""
    if number < 10_000:
        return f"{number:,}"
    if number < 1_000_000:
        return f"{number / 1000:.0f}k"
    return f"{number / 1_000_000:.1f}M"
