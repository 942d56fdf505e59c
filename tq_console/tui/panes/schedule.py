"""The Schedule screen: what fires when, what came of it last, and the tasks that are due."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from tq_console.tui.actions import schedules as plans
from tq_console.tui.actions.messages import ScheduleFormWanted
from tq_console.tui.detail.detail_view import DetailView
from tq_console.tui.lists.schedule_rows import (
    COLUMNS,
    due_row,
    last_task_id,
    row_id_of,
    schedule_lines,
    schedule_row,
)
from tq_console.tui.look.canvas import Canvas, Line, Span
from tq_console.tui.look.focus import focus_now
from tq_console.tui.panes.pane import NeedChanged, NothingToDo, Pane, PlanMade, TaskOpened
from tq_console.tui.table.rows import Row, Window
from tq_console.tui.table.table import VirtualTable
from tq_console.tui.watch.schedule_part import SchedulePart, Upcoming
from tq_console.tui.watch.snapshot import Question, Snapshot
from tq_console.view.formats import plural
from tq_console.view.secrets import Masker
from tq_core.model import TaskState, TaskView
from tq_core.roles.schedules import ScheduleView

STILL_S = 2.0
"""Rows keep their order so long after the cursor has moved: nothing jumps away under a finger."""


class SchedulePane(Pane):
    """Schedules, then tasks that wait for a time, both in the order in which they are due."""

    TITLE = "Schedule"
    DEFAULT_CSS = """
    SchedulePane {
        .schedule-line { height: 1; }
        .schedule-lines { height: 1fr; display: none; }
    }
    SchedulePane.-of-schedule {
        .schedule-lines { display: block; }
        DetailView { display: none; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new", "new", tooltip="Add a schedule", id="schedule.new"),
        Binding("e", "edit", "edit", tooltip="Change the schedule", id="schedule.edit"),
        Binding("p", "pause", "pause/resume", tooltip="Keep it from firing, or let it fire again", id="schedule.pause"),
        Binding(
            "x", "run", "run now", tooltip="Enqueue a task of it now; its fires stay as they are", id="schedule.run"
        ),
        Binding("D", "remove", "remove", tooltip="Remove the schedule; the tasks it made stay", id="schedule.remove"),
        Binding(
            "d", "open", "detail", show=False, tooltip="Show the task, or its last task, whole", id="schedule.detail"
        ),
    ]

    def __init__(
        self,
        *,
        masker: Masker,
        actor: str,
        id: str,  # noqa: A002 - Textual's name
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(id=id)
        self._masker, self._actor, self._clock = masker, actor, clock
        self._horizontal, self._vertical = 1, 1
        self._upcoming: Upcoming | None = None
        self._schedules: dict[str, ScheduleView] = {}
        self._tasks: dict[str, TaskView] = {}
        self._last: dict[str, TaskView] = {}
        self._order: tuple[str, ...] = ()
        self._moved_s = float("-inf")

    def compose(self) -> ComposeResult:
        """A line about the list, the list, and what is under the cursor."""
        yield Canvas(classes="schedule-line")
        with Container(classes="list-and-preview"):
            with Container(classes="list-body"):
                yield VirtualTable(COLUMNS, empty_text="nothing is scheduled · n adds a schedule")
            with Container(classes="preview"):
                yield Canvas(classes="schedule-lines")
                yield DetailView(masker=self._masker)

    @property
    def table(self) -> VirtualTable:
        return self.query_one(VirtualTable)

    @property
    def subject(self) -> str | None:
        view = self._schedule
        return plans.reference(view) if view else self.table.cursor_id

    @property
    def _schedule(self) -> ScheduleView | None:
        """The schedule under the cursor."""
        return self._schedules.get(self.table.cursor_id or "")

    @property
    def asks_why(self) -> tuple[str, str] | None:
        view, row_id = self._schedule, self.table.cursor_id
        if view is not None:
            return "queue", view.queue
        return ("task", row_id) if row_id is not None else None

    @property
    def has_preview(self) -> bool:
        """Whether there is room for the preview."""
        return self._horizontal == 2 or (self._horizontal == 1 and self._vertical == 1)

    def set_breakpoints(self, horizontal: int, vertical: int) -> None:
        """Shows as much as there is room for."""
        self._horizontal, self._vertical = horizontal, vertical
        self.table.breakpoint = horizontal
        self.query_one(".preview").display = self.has_preview

    def take_focus(self) -> None:
        """The list takes the keys."""
        focus_now(self.table)

    def useless(self) -> Collection[str]:
        """What cannot be done to a task."""
        return () if self._schedule is not None else ("edit", "pause", "run", "remove")

    def known(self, task_id: str) -> TaskView | None:
        """What the row holds of a task."""
        return self._tasks.get(task_id) or self._last.get(task_id)

    # --- what it needs and shows ---

    def question(self) -> Question:
        """Everything that is due, and how the last tasks of the schedules on screen ended."""
        wanted = self.table.wanted
        on_screen = self._order[wanted.first : wanted.first + wanted.count]
        views = (self._schedules[row_id] for row_id in on_screen if row_id in self._schedules)
        last = tuple((view.queue, task_id) for view in views if (task_id := last_task_id(view)) is not None)
        cursor = self.table.cursor_id
        is_task = self.has_preview and self._schedule is None and cursor is not None
        return Question(self.id or "", part=SchedulePart(last), detail_id=cursor if is_task else None)

    def show(self, snapshot: Snapshot) -> None:
        """The list and what is under the cursor."""
        super().show(snapshot)
        if isinstance(snapshot.part, Upcoming):
            is_first = self._upcoming is None
            self._take(snapshot.part, snapshot.now_ms)
            if is_first and self._schedules:
                # The last tasks can be asked for only now that the schedules are known.
                self.post_message(NeedChanged())
        detail = snapshot.detail
        if detail is not None and detail.task_id == self.table.cursor_id and self._schedule is None:
            self.query_one(DetailView).show(detail, snapshot.now_ms)
        self._paint()

    def _take(self, upcoming: Upcoming, now_ms: int) -> None:
        self._upcoming = upcoming
        self._schedules = {row_id_of(view): view for view in upcoming.schedules}
        self._tasks = {
            placed.task.id: placed.task for w in (upcoming.scheduled, upcoming.retrying) for placed in w.rows
        }
        self._last = {task.id: task for task in upcoming.last}
        # Schedules come first: in an outage they would be lost among the retries.
        due: dict[str, tuple[int, float]] = {
            row_id: (0, float("inf") if view.next_at_ms is None else view.next_at_ms)
            for row_id, view in self._schedules.items()
        }
        due |= {task_id: (1, task.due_at_ms or 0) for task_id, task in self._tasks.items()}
        order = sorted(due, key=lambda row_id: (due[row_id], row_id))
        if self._clock() - self._moved_s < STILL_S:
            before = {row_id: index for index, row_id in enumerate(self._order)}
            order.sort(key=lambda row_id: before.get(row_id, len(before)))
        self._order = tuple(order)
        rows = tuple(self._row(row_id, now_ms) for row_id in order)
        self.table.show(Window(len(rows), 0, rows))

    def _row(self, row_id: str, now_ms: int) -> Row:
        view = self._schedules.get(row_id)
        return schedule_row(view, self._last) if view is not None else due_row(self._tasks[row_id], now_ms)

    def _paint(self) -> None:
        self.query_one(".schedule-line", Canvas).paint([self._line()])
        view = self._schedule
        self.set_class(view is not None, "-of-schedule")
        if view is None or not self.has_preview:
            return
        canvas = self.query_one(".schedule-lines", Canvas)
        room = self.query_one(".preview").content_size
        last = self._last.get(last_task_id(view) or "")
        canvas.paint(schedule_lines(view, last, masker=self._masker, width=room.width, height=room.height))

    def _line(self) -> Line:
        """How much there is, and how much of it is in the list."""
        upcoming = self._upcoming
        if upcoming is None:
            return [(" … asking", "cell--dim")]
        line: list[Span] = [(f" {plural(len(upcoming.schedules), 'schedule')}", "")]
        for word, style in (("late", "cell--bad"), ("paused", "cell--warn"), ("undeclared", "cell--warn")):
            if number := sum(view.state == word for view in upcoming.schedules):
                line.append((f"  {number} {word}", style))
        for word, window in (("scheduled", upcoming.scheduled), ("retrying", upcoming.retrying)):
            line.append((f"  {window.total:,} {word}", "" if window.total else "cell--dim"))
            if window.total > len(window.rows):
                line.append((f" (the next {len(window.rows)} are here, all in Tasks)", "cell--dim"))
        if self.table.is_ghost:
            line.append(("  this one is due no more", "cell--warn"))
        return line

    # --- moving ---

    @on(VirtualTable.CursorMoved)
    def _moved(self, event: VirtualTable.CursorMoved) -> None:
        event.stop()
        self._moved_s = self._clock()
        if self._schedule is None:
            self.query_one(DetailView).show(None, 0)
        self._paint()
        if self.has_preview:
            self.post_message(NeedChanged(is_missing=False))

    @on(VirtualTable.WindowWanted)
    def _wants(self, event: VirtualTable.WindowWanted) -> None:
        event.stop()
        self.post_message(NeedChanged())

    @on(VirtualTable.Opened)
    def _opened(self, event: VirtualTable.Opened) -> None:
        event.stop()
        self.action_open()

    # --- what the keys do ---

    def action_open(self) -> None:
        """Shows the task under the cursor whole, of a schedule its last one."""
        view, row_id = self._schedule, self.table.cursor_id
        if view is None:
            if row_id is not None:
                self.post_message(TaskOpened(row_id))
            return
        task_id = last_task_id(view)
        if task_id is None:
            self.post_message(NothingToDo(f"{view.name} has not fired yet: x runs it now, e changes it"))
        elif task_id not in self._last:
            self.post_message(NothingToDo(f"the last task of {view.name} is not kept any more"))
        else:
            self.post_message(TaskOpened(task_id))

    def action_new(self) -> None:
        """Opens the form for a new schedule."""
        view = self._schedule
        self.post_message(ScheduleFormWanted(None, queue=view.queue if view else None))

    def action_edit(self) -> None:
        """Opens the form with the schedule under the cursor."""
        view = self._chosen("be changed")
        if view is not None:
            self.post_message(ScheduleFormWanted(view))

    def action_pause(self) -> None:
        """Keeps the schedule from firing, or lets it fire again."""
        view = self._chosen("be paused")
        if view is not None:
            make = plans.resume if view.paused is not None else plans.pause
            self.post_message(PlanMade(make(view, actor=self._actor)))

    def action_run(self) -> None:
        """Enqueues a task of the schedule now."""
        view = self._chosen("be run now")
        if view is not None:
            self.post_message(PlanMade(plans.run_now(view, actor=self._actor)))

    def action_remove(self) -> None:
        """Removes the schedule."""
        view = self._schedule
        if view is None:
            self._chosen("be removed")
        else:
            self.post_message(PlanMade(plans.remove(view, actor=self._actor)))

    def _chosen(self, what: str) -> ScheduleView | None:
        """The schedule under the cursor where something can be done to it; else says why not."""
        view, row_id = self._schedule, self.table.cursor_id
        if view is None and row_id is not None and row_id in self._tasks:
            state = self._tasks[row_id].state
            kind = "is retried" if state is TaskState.RETRYING else "runs once"
            self.post_message(NothingToDo(f"this is a task that {kind}, no schedule that can {what}: ⏎ opens it"))
        elif view is None:
            self.post_message(NothingToDo(f"there is no schedule here to {what}: n adds one"))
        elif view.schedule is None and what != "be paused":
            self.post_message(NothingToDo(f"{view.name} cannot {what} from here: a newer tq wrote it"))
        else:
            return view
        return None
