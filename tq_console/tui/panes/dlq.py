"""The DLQ screen: what failed for good, first by what failed alike, then task by task."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tq_console.tui.actions import groups as group_plans
from tq_console.tui.actions.task_keys import Chosen
from tq_console.tui.lists.feed import TaskFeed
from tq_console.tui.look.canvas import Line, Span
from tq_console.tui.look.focus import focus_now
from tq_console.tui.look.glyphs import TASK_SIGNS
from tq_console.tui.panes.failure_groups import FailureGroups
from tq_console.tui.panes.pane import NeedChanged, NothingToDo, Pane, PlanMade
from tq_console.tui.panes.task_list import TaskListPane
from tq_console.tui.table.table import VirtualTable
from tq_console.tui.watch.snapshot import Question, Snapshot
from tq_console.view.failure_groups import FailureGroup
from tq_console.view.formats import plural
from tq_core.model import TaskState

OF_ONE_TASK = "that is for one task: ⏎ lists those of the group"


class DlqPane(TaskListPane):
    """Failed tasks: groups of those that failed alike, or one by one, the newest first."""

    TITLE = "DLQ"
    STATES = (TaskState.FAILED,)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right_square_bracket", "toggle_view", "groups/tasks", tooltip="Groups, or tasks", id="dlq.view"),
        Binding(
            "left_square_bracket", "toggle_view", "view", show=False, tooltip="Groups, or tasks", id="dlq.view_back"
        ),
        Binding(
            "R",
            "retry_group",
            "retry group",
            tooltip="Run all tasks again that failed like these",
            id="dlq.retry_group",
        ),
    ]
    is_by_group = True
    """Whether groups are shown."""
    _group: FailureGroup | None = None
    """The group whose tasks are listed; None = all failed tasks are."""

    def compose(self) -> ComposeResult:
        """As every list, and the groups in its place."""
        yield from super().compose()
        yield FailureGroups(masker=self._masker)

    def on_mount(self) -> None:
        """Begins with the groups."""
        self._show_view()

    @property
    def groups(self) -> FailureGroups:
        return self.query_one(FailureGroups)

    @property
    def table(self) -> VirtualTable:
        """That of the tasks."""
        return self.query_one(".list-body VirtualTable", VirtualTable)

    @property
    def subject(self) -> str | None:
        if not self.is_by_group:
            return self.table.cursor_id
        chosen = self.groups.chosen
        return chosen.group if chosen else None

    @property
    def asks_why(self) -> tuple[str, str] | None:
        return None if self.is_by_group else super().asks_why

    def set_breakpoints(self, horizontal: int, vertical: int) -> None:
        """Shows as much as there is room for."""
        super().set_breakpoints(horizontal, vertical)
        self.groups.set_breakpoints(horizontal, has_preview=self.has_preview)

    def take_focus(self) -> None:
        """What is shown takes the keys."""
        focus_now(self.groups.table if self.is_by_group else self.table)

    def useless(self) -> Collection[str]:
        """What cannot be done to groups, or to failed tasks."""
        if self.is_by_group:
            return ("retry", "edit", "edit_form", "cancel", "kill", "new", "reprioritise", "move")
        return (*super().useless(), *(() if self._group else ("retry_group",)))

    def place(self, *, queue: str | None, state: TaskState | None) -> None:
        """Shows the groups of a queue."""
        del state
        self._go(queue=queue, group=None, by_group=True)

    def go_to(self, state: TaskState, *, queue: str | None, words: str) -> None:
        """Lists the tasks that fit a query, of no group."""
        if words and (self.is_by_group or self._group is not None):
            self._go(queue=queue, group=None, by_group=False)
        super().go_to(state, queue=queue, words=words)

    def why_not_whole(self) -> str:
        """Why not all of the list can be acted on; "" = they can."""
        if self.is_by_group:
            return "these are groups: R runs all of one again, D deletes all of it, ] shows tasks"
        return super().why_not_whole()

    # --- what it needs and shows ---

    def question(self) -> Question:
        """The groups, or the rows on screen."""
        if self.is_by_group:
            return Question(self.id or "", groups=self.groups.question(self.feed.queue))
        return super().question()

    def show(self, snapshot: Snapshot) -> None:
        """The groups, or the list."""
        if self.is_by_group:
            Pane.show(self, snapshot)
            self.groups.show(snapshot, self.feed.queue)
            self.paint_line()
        else:
            super().show(snapshot)

    def list_lines(self) -> list[Line]:
        """Which of both is shown, and what it is of."""
        by_group = self.is_by_group
        known = self.groups.known
        failed = self._failed()
        tabs: list[Span] = [
            (f" groups{f' {known:,}' if known else ''} ", "cell--selected" if by_group else "cell--dim"),
            (f" tasks {failed:,} ", "cell--dim" if by_group else "cell--selected"),
        ]
        return [tabs, self._about_groups() if by_group else self._about_list()]

    def _failed(self) -> int:
        if self.snapshot is None:
            return 0
        if self.feed.queue is None:
            return self.snapshot.depths.get(TaskState.FAILED, 0)
        numbers = self.snapshot.queue(self.feed.queue)
        return numbers.depths[TaskState.FAILED] if numbers else 0

    def _about_groups(self) -> Line:
        sign = TASK_SIGNS[TaskState.FAILED]
        line: list[Span] = [(f" {sign} ", sign.style), (f"in {self.feed.queue or 'all queues'}", "")]
        if self.groups.known:
            line.append((f"  group {self.groups.table.cursor_index + 1:,} of {self.groups.known:,}", "cell--dim"))
        if self.groups.unread:
            line.append((f"  and {self.groups.unread:,} groups that were not read", "cell--warn"))
        if self.groups.table.is_ghost:
            line.append(("  this group is empty now", "cell--warn"))
        return line

    def _about_list(self) -> Line:
        line = list(self._about())
        if self._group is not None:
            line.append((f"  that failed alike: {self._group.group} (esc: all groups)", "cell--accent"))
        return line

    # --- one view and the other ---

    def _show_view(self) -> None:
        self.query_one(".list-and-preview").display = not self.is_by_group
        self.groups.display = self.is_by_group
        self.paint_line()

    def _go(self, *, queue: str | None, group: FailureGroup | None, by_group: bool) -> None:
        """Shows groups, or a list of tasks, from its start where it is another one."""
        had_focus = self.has_focus_within
        if queue != self.feed.queue:
            self.groups.reset()
        if not by_group and (queue, group) != (self.feed.queue, self._group):
            counts = group.counts if group else {}
            name = group.group if group else ""
            self._group = group
            self.put(TaskFeed(TaskState.FAILED, queue=queue, group=name, group_counts=counts))
        elif by_group and queue != self.feed.queue:
            self.feed, self._group = TaskFeed(TaskState.FAILED, queue=queue), None
        self.is_by_group = by_group
        self._show_view()
        if had_focus:
            self.take_focus()
        self.post_message(NeedChanged())

    def action_toggle_view(self) -> None:
        """Groups, or all tasks."""
        self._go(queue=self.feed.queue, group=None, by_group=not self.is_by_group)

    @on(FailureGroups.GroupOpened)
    def _group_opened(self, event: FailureGroups.GroupOpened) -> None:
        event.stop()
        self._go(queue=self.feed.queue, group=event.group, by_group=False)

    @on(FailureGroups.Moved)
    def _group_moved(self, event: FailureGroups.Moved) -> None:
        event.stop()
        self.paint_line()

    def action_clear_filter(self) -> None:
        """Back to what there was before: all tasks, no marks, the groups."""
        if self.is_by_group:
            return
        if self.feed.words or self.is_sorted or self.table.marked:
            super().action_clear_filter()
        else:
            self._go(queue=self.feed.queue, group=None, by_group=True)

    def action_filter(self) -> None:
        """Filters tasks; of a group, all of them."""
        if self.is_by_group or self._group is not None:
            self._go(queue=self.feed.queue, group=None, by_group=False)
        super().action_filter()

    def action_next_queue(self) -> None:
        """The next queue in turn, after the last one all of them."""
        if not self.is_by_group:
            super().action_next_queue()
            return
        names = [q.queue for q in self.snapshot.queues if q.depths[TaskState.FAILED]] if self.snapshot else []
        choices: list[str | None] = [None, *names]
        here = choices.index(self.feed.queue) if self.feed.queue in choices else 0
        self._go(queue=choices[(here + 1) % len(choices)], group=None, by_group=True)

    # --- what the keys do ---

    def chosen(self) -> Chosen:
        """The tasks that a key is about; none while groups are shown."""
        if self.is_by_group:
            return Chosen((), (), TaskState.FAILED, self.snapshot.fleet if self.snapshot else None)
        return super().chosen()

    def _chosen_group(self) -> FailureGroup | None:
        return self.groups.chosen if self.is_by_group else self._group

    def action_retry_group(self) -> None:
        """Runs all tasks of the group again."""
        group = self._chosen_group()
        if group is None:
            self.post_message(NothingToDo("no group here" if self.is_by_group else "no group here: ] shows the groups"))
            return
        queue = self.feed.queue
        self.post_message(PlanMade(group_plans.retry(group, queue=queue, actor=self.actor, masker=self._masker)))

    def action_discard(self) -> None:
        """Deletes the group, or the tasks that are chosen."""
        if not self.is_by_group:
            super().action_discard()
            return
        group = self.groups.chosen
        if group is None:
            self.post_message(NothingToDo("no group here to delete"))
            return
        queue = self.feed.queue
        self.post_message(PlanMade(group_plans.discard(group, queue=queue, actor=self.actor, masker=self._masker)))

    def action_sort(self) -> None:
        """Asks by which column."""
        if not self.is_by_group:
            super().action_sort()
            return
        if not self.groups.known:
            self.post_message(NothingToDo("nothing here to sort"))
            return
        from tq_console.tui.filtering.sort_choice import choose_order

        def sorted_by() -> None:
            if self.snapshot is not None:
                self.groups.sort(self.snapshot, self.feed.queue)

        choose_order(self.app, self.groups.order, sorted_by)

    def action_open(self) -> None:
        """Shows the task whole, or the tasks of the group."""
        if self.is_by_group:
            self.groups.table.action_open()
        else:
            super().action_open()

    def action_retry(self) -> None:
        """Runs tasks again; of a group R does."""
        if self.is_by_group:
            group = self.groups.chosen
            what = f"R runs all {plural(group.total, 'task')} of the group again" if group else "no group here"
            self.post_message(NothingToDo(what))
        else:
            super().action_retry()

    def action_edit(self) -> None:
        """Opens the form with the task under the cursor."""
        if self.is_by_group:
            self.post_message(NothingToDo(OF_ONE_TASK))
        else:
            super().action_edit()

    def action_cancel(self) -> None:
        """Says that nothing can be cancelled here."""
        if self.is_by_group:
            self.post_message(NothingToDo("failed tasks have ended: R runs the group again, D deletes it"))
        else:
            super().action_cancel()

    def action_kill(self) -> None:
        """Says that nothing can be killed here."""
        if self.is_by_group:
            self.post_message(NothingToDo("failed tasks do not run: R runs the group again, D deletes it"))
        else:
            super().action_kill()
