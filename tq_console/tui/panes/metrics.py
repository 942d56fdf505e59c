"""The Metrics screen: what went through the queues in the past quarter of an hour, hour or day."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tq_console.tui.lists.history_book import HistoryBook
from tq_console.tui.lists.traffic_rows import ALL, CHARTS, COLUMNS, chart_lines, charts_that_fit, traffic_rows
from tq_console.tui.look.canvas import Canvas, Line, Span
from tq_console.tui.look.focus import focus_now
from tq_console.tui.panes.pane import NeedChanged, NothingToDo, Pane, PlaceChosen
from tq_console.tui.table.rows import Window
from tq_console.tui.table.table import VirtualTable
from tq_console.tui.watch.history_part import HistoryPart
from tq_console.tui.watch.snapshot import Question, Snapshot
from tq_console.view.history import Sums, added
from tq_core.model import TaskState

RANGES = ((15, "15 m"), (60, "1 h"), (1440, "24 h"))
"""Minutes, and what they are called."""
LEAST_TABLE = 4
"""Lines of the table."""


class MetricsPane(Pane):
    """Charts of the queue under the cursor, or of all, over a table of them."""

    TITLE = "Metrics"
    DEFAULT_CSS = """
    MetricsPane {
        .metrics-line { height: 1; }
        .charts { height: 1fr; padding: 0 1; }
        VirtualTable { height: 4; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right_curly_bracket", "range(1)", "longer", tooltip="A longer time: 24 h", id="metrics.longer"),
        Binding("left_curly_bracket", "range(-1)", "shorter", tooltip="A shorter time: 15 m", id="metrics.shorter"),
        Binding(
            "right_square_bracket", "chart(1)", "charts", tooltip="The next charts, if not all fit", id="metrics.next"
        ),
        Binding(
            "left_square_bracket", "chart(-1)", "charts", show=False, tooltip="The charts before", id="metrics.previous"
        ),
    ]

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._range = 1
        self._books = {minutes: HistoryBook(minutes) for minutes, _ in RANGES}
        self._first_chart = 0

    def compose(self) -> ComposeResult:
        """Which time and queue, the charts, the table."""
        yield Canvas(classes="metrics-line")
        yield Canvas(classes="charts")
        yield VirtualTable(COLUMNS, empty_text="no queue yet · n submits a task, which makes one")

    @property
    def table(self) -> VirtualTable:
        return self.query_one(VirtualTable)

    @property
    def subject(self) -> str | None:
        return self._queue

    @property
    def asks_why(self) -> tuple[str, str] | None:
        return ("queue", self._queue) if self._queue else None

    @property
    def _queue(self) -> str | None:
        """The queue that the charts are of; None = all together."""
        row_id = self.table.cursor_id
        return None if row_id in (None, ALL) else row_id

    @property
    def _book(self) -> HistoryBook:
        return self._books[RANGES[self._range][0]]

    def set_breakpoints(self, horizontal: int, vertical: int) -> None:
        """Shows as much as there is room for."""
        del vertical
        self.table.breakpoint = horizontal

    def take_focus(self) -> None:
        """The table takes the keys."""
        focus_now(self.table)

    # --- what it needs and shows ---

    def question(self) -> Question:
        """The minutes that are not known yet, and the present one."""
        snapshot = self.snapshot
        if snapshot is None:
            return Question(self.id or "")
        wanted = self._book.wanted([q.queue for q in snapshot.queues], snapshot.now_ms)
        return Question(self.id or "", part=HistoryPart(wanted))

    def show(self, snapshot: Snapshot) -> None:
        """Charts and table; asks at once for more while there is a past that was not read."""
        is_first, self.snapshot = self.snapshot is None, snapshot
        if isinstance(snapshot.part, list):
            self._book.accept(snapshot.part)
        self._fill()
        self._paint()
        if snapshot.queues and (is_first or self._book.share_read < 1):
            self.post_message(NeedChanged())

    def _fill(self) -> None:
        sums = self._book.sums()
        everything: dict[str, int] = {}
        for each in sums.values():
            added(everything, each.counts)
        known_ms = max((each.measured_ms for each in sums.values()), default=0)
        rows = traffic_rows(sums, Sums(everything, known_ms) if sums else None)
        self.table.show(Window(len(rows), 0, rows))
        # All queues where they are few; the charts have the rest.
        lines = max(LEAST_TABLE, min(len(rows) + 1, self.size.height // 3))
        if self.table.styles.height is None or self.table.styles.height.value != lines:
            self.table.styles.height = lines
            self.call_after_refresh(self._paint)

    def _paint(self) -> None:
        charts = self.query_one(".charts", Canvas)
        room = charts.content_size
        self._first_chart = min(self._first_chart, CHARTS - 1)
        self.query_one(".metrics-line", Canvas).paint([self._line(charts_that_fit(room.width, room.height))])
        if self.snapshot is not None and not self.snapshot.queues:
            charts.paint([])
            return
        history = self._book.history(self._queue)
        charts.paint(chart_lines(history, first=self._first_chart, width=room.width, height=room.height))

    def _line(self, fitting: int) -> Line:
        line: list[Span] = [(" ", "")]
        for number, (_, word) in enumerate(RANGES):
            line.append((f" {word} ", "cell--selected" if number == self._range else "cell--dim"))
        line.append((f"  {self._queue or 'all queues'}", "cell--bold"))
        if fitting < CHARTS:
            last = min(CHARTS, self._first_chart + fitting)
            line.append((f"  charts {self._first_chart + 1}-{last} of {CHARTS}", "cell--dim"))
        share = self._book.share_read
        if self.snapshot is not None and self.snapshot.queues and share < 1:
            line.append((f"  reading what was counted: {share:.0%}", "cell--warn"))
        elif self._book.step > 1:
            line.append((f"  {self._book.step} minutes a step", "cell--dim"))
        return line

    # --- what the keys do ---

    def action_range(self, step: int) -> None:
        """A longer or shorter time."""
        wanted = self._range + step
        if not 0 <= wanted < len(RANGES):
            self.post_message(NothingToDo(f"{RANGES[self._range][1]} is the {'longest' if step > 0 else 'shortest'}"))
            return
        self._range = wanted
        self._fill()
        self._paint()
        self.post_message(NeedChanged())

    def action_chart(self, step: int) -> None:
        """The next charts."""
        room = self.query_one(".charts", Canvas).content_size
        fitting = charts_that_fit(room.width, room.height)
        if fitting >= CHARTS:
            self.post_message(NothingToDo("all charts are on screen"))
            return
        pages = -(-CHARTS // fitting)
        self._first_chart = (self._first_chart // fitting + step) % pages * fitting
        self._paint()

    @on(VirtualTable.CursorMoved)
    def _moved(self, event: VirtualTable.CursorMoved) -> None:
        event.stop()
        self._paint()

    @on(VirtualTable.WindowWanted)
    def _wants(self, event: VirtualTable.WindowWanted) -> None:
        event.stop()

    @on(VirtualTable.Opened)
    def _opened(self, event: VirtualTable.Opened) -> None:
        event.stop()
        if event.row_id == ALL:
            self.post_message(PlaceChosen("queues"))
        else:
            self.post_message(PlaceChosen("tasks", queue=event.row_id, state=TaskState.PENDING))
