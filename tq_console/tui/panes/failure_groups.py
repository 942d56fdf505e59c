"""What failed alike: a table of groups with one of them in full, as the DLQ screen shows them first."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Container
from textual.message import Message

from tq_console.tui.lists.group_rows import COLUMNS, ORDERS, group_lines, group_row
from tq_console.tui.lists.held_order import HeldOrder
from tq_console.tui.look.canvas import Canvas
from tq_console.tui.panes.pane import NeedChanged
from tq_console.tui.table.rows import Window
from tq_console.tui.table.table import VirtualTable
from tq_console.tui.watch.snapshot import GroupQuestion, GroupsAnswer, Snapshot
from tq_console.view.failure_groups import FailureGroup
from tq_console.view.secrets import Masker


class FailureGroups(Container):
    """Groups of failed tasks, of one queue or of all."""

    DEFAULT_CSS = """
    FailureGroups { height: 1fr; layout: vertical; }
    FailureGroups VirtualTable { height: 1fr; width: 1fr; }
    """

    class GroupOpened(Message):
        """The tasks of a group are to be listed."""

        def __init__(self, group: FailureGroup) -> None:
            super().__init__()
            self.group = group

    class Moved(Message):
        """Another group is under the cursor."""

    def __init__(self, *, masker: Masker) -> None:
        super().__init__(classes="failure-groups")
        self._masker = masker
        self._groups: dict[str, FailureGroup] = {}
        self._now_ms = 0
        self._answer: GroupsAnswer | None = None
        self.has_preview = False
        self.order = HeldOrder[FailureGroup](lambda group: group.group, ORDERS)

    def compose(self) -> ComposeResult:
        """The table, and the group under its cursor."""
        yield VirtualTable(COLUMNS, empty_text="nothing has failed for good")
        yield Canvas(classes="preview group-preview")

    @property
    def table(self) -> VirtualTable:
        return self.query_one(VirtualTable)

    @property
    def chosen(self) -> FailureGroup | None:
        """The group under the cursor."""
        return self._groups.get(self.table.cursor_id or "")

    @property
    def known(self) -> int:
        """How many groups are listed."""
        return len(self._groups)

    @property
    def unread(self) -> int:
        """How many groups there are beside those: of very many, the most frequent are not certain to be listed."""
        return max(0, self._answer.total - self._answer.read) if self._answer else 0

    def set_breakpoints(self, horizontal: int, *, has_preview: bool) -> None:
        """Shows as much as there is room for."""
        self.table.breakpoint = horizontal
        self.has_preview = has_preview
        self.query_one(".group-preview").display = has_preview

    def question(self, queue: str | None) -> GroupQuestion:
        """The groups, and of the one under the cursor some tasks, where there is room for them."""
        chosen = self.chosen if self.has_preview else None
        if chosen is None:
            return GroupQuestion(queue=queue)
        return GroupQuestion(queue=queue, group=chosen.group, group_queues=tuple(chosen.counts))

    def show(self, snapshot: Snapshot, queue: str | None) -> None:
        """The groups, if they are those of this queue (None = of all)."""
        answer = snapshot.groups
        if answer is None or answer.question.queue != queue:
            return
        self._answer, self._now_ms = answer, snapshot.now_ms
        self._groups = {group.group: group for group in answer.groups}
        rows = tuple(group_row(group, snapshot.now_ms, self._masker) for group in self.order.arrange(answer.groups))
        self.table.show(Window(len(rows), 0, rows))
        self._paint()

    def reset(self) -> None:
        """Forgets what is shown: it is of other queues."""
        self._groups, self._answer = {}, None
        self.table.reset(self.order.columns(COLUMNS), empty_text="nothing has failed for good")
        self._paint()

    def sort(self, snapshot: Snapshot, queue: str | None) -> None:
        """Shows the order that was chosen."""
        self.table.set_columns(self.order.columns(COLUMNS))
        self.show(snapshot, queue)

    def _paint(self) -> None:
        preview = self.query_one(".group-preview", Canvas)
        chosen, answer = self.chosen, self._answer
        if not self.has_preview:
            return
        if chosen is None:
            preview.paint([])
            return
        sample = answer.sample if answer is not None and answer.question.group == chosen.group else None
        width, height = max(20, preview.size.width), preview.size.height
        preview.paint(group_lines(chosen, sample, self._now_ms, self._masker, width=width, height=height))

    def on_resize(self) -> None:
        """Wraps anew."""
        self.call_after_refresh(self._paint)

    @on(VirtualTable.CursorMoved)
    def _moved(self, event: VirtualTable.CursorMoved) -> None:
        event.stop()
        self.order.moved()
        self._paint()
        self.post_message(self.Moved())
        if self.has_preview:
            self.post_message(NeedChanged(is_missing=False))

    @on(VirtualTable.WindowWanted)
    def _wants(self, event: VirtualTable.WindowWanted) -> None:
        event.stop()
        if self._answer is None:
            self.post_message(NeedChanged())

    @on(VirtualTable.MarksChanged)
    def _marked(self, event: VirtualTable.MarksChanged) -> None:
        event.stop()
        # One group at a time is acted on: marks would promise more.
        if event.table.marked:
            event.table.clear_marks()

    @on(VirtualTable.Opened)
    def _opened(self, event: VirtualTable.Opened) -> None:
        event.stop()
        group = self._groups.get(event.row_id)
        if group is not None:
            self.post_message(self.GroupOpened(group))
