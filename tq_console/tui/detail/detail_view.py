"""The widget that shows one task: sections that open and close, values as trees, a cursor when it has the keys."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.message import Message

from tq_console.tui.detail.detail_lines import detail_rows
from tq_console.tui.detail.rows import FOLD, TASK, Row
from tq_console.tui.look.canvas import Canvas
from tq_console.tui.watch.snapshot import Detail
from tq_console.view.secrets import Masker

GUTTER = 2
"""Cells of the cursor, where there is one."""


class DetailView(VerticalScroll):
    """One task; scrolls."""

    DEFAULT_CSS = """
    DetailView Canvas { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "step(1)", "down", show=False, tooltip="A line down", id="detail.down"),
        Binding("k,up", "step(-1)", "up", show=False, tooltip="A line up", id="detail.up"),
        Binding("ctrl+d,pagedown", "page(1)", "page down", show=False, tooltip="A page down", id="detail.page_down"),
        Binding("ctrl+u,pageup", "page(-1)", "page up", show=False, tooltip="A page up", id="detail.page_up"),
        Binding("g,home", "edge(False)", "start", show=False, tooltip="To the start", id="detail.start"),
        Binding("G,end", "edge(True)", "end", show=False, tooltip="To the end, and follow it", id="detail.end"),
        Binding("tab", "section(1)", "section", tooltip="The next section", id="detail.section"),
        Binding(
            "shift+tab", "section(-1)", "section", show=False, tooltip="The section before", id="detail.section_back"
        ),
        Binding("enter,space", "choose", "open/close", tooltip="Open or close it; open a task", id="detail.choose"),
        Binding("t", "jump('traceback')", "traceback", tooltip="To the traceback", id="detail.traceback"),
        Binding("l", "jump('log')", "log", tooltip="To the log, and follow it", id="detail.log"),
    ]

    class TaskChosen(Message):
        """Another task is to be shown."""

        def __init__(self, task_id: str) -> None:
            super().__init__()
            self.task_id = task_id

    class Missing(Message):
        """There is no such section, and why."""

        def __init__(self, why: str) -> None:
            super().__init__()
            self.why = why

    def __init__(
        self,
        *,
        masker: Masker,
        has_cursor: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's name
        classes: str | None = None,
    ) -> None:
        """Makes the widget.

        Args:
            has_cursor: Whether one line is chosen, which enter opens or closes; else keys only scroll.
        """
        super().__init__(id=id, classes=classes)
        self.masker, self._has_cursor = masker, has_cursor
        self._shown: tuple[Detail, int] | None = None
        self._rows: list[Row] = []
        self._toggled: set[str] = set()
        self._at = 0
        self._follows = ""
        """The section whose last line the cursor stays on."""

    def compose(self) -> ComposeResult:
        """One canvas."""
        yield Canvas(classes="detail-lines")

    def show(self, detail: Detail | None, now_ms: int) -> None:
        """Shows a task; None = none is chosen."""
        is_other = self._shown is None or detail is None or self._shown[0].task_id != detail.task_id
        self._shown = (detail, now_ms) if detail else None
        if is_other:
            self._at, self._follows = 0, ""
            self._toggled.clear()
        self.paint()
        if is_other:
            self.scroll_home(animate=False)

    def on_resize(self) -> None:
        """Wraps anew."""
        self.paint()

    def paint(self) -> None:
        """Shows it anew; the cursor stays on what it was on."""
        canvas = self.query_one(Canvas)
        if self._shown is None:
            self._rows = []
            canvas.paint([[("nothing chosen", "cell--dim")]])
            return
        detail, now_ms = self._shown
        gutter = GUTTER if self._has_cursor else 0
        width = max(20, self.scrollable_content_region.width - gutter)
        anchor = self._anchor()
        self._rows = detail_rows(detail, now_ms=now_ms, width=width, masker=self.masker, toggled=self._toggled)
        self._put_back(*anchor)
        if not gutter:
            canvas.paint([row.line for row in self._rows])
            return
        canvas.paint(
            [[("▌ " if n == self._at else "  ", "cell--accent"), *row.line] for n, row in enumerate(self._rows)]
        )
        if self._follows:
            self.call_after_refresh(self._see)

    # --- where the cursor is ---

    def _anchor(self) -> tuple[str, int]:
        """The nearest section or target above the cursor, and how far below it the cursor is."""
        for n in range(min(self._at, len(self._rows) - 1), -1, -1):
            if self._rows[n].target:
                return self._rows[n].target, self._at - n
        return "", self._at

    def _put_back(self, target: str, below: int) -> None:
        if self._follows:
            self._at = self._end_of(self._follows)
            return
        found = next((n for n, row in enumerate(self._rows) if target and row.target == target), None)
        at = below if not target else self._at if found is None else found + below
        self._at = max(0, min(at, len(self._rows) - 1))

    def _end_of(self, section: str) -> int:
        """The last line of a section; of "*" the last of all."""
        begin = next((n for n, row in enumerate(self._rows) if row.heading == section), None)
        if begin is None:
            return max(0, len(self._rows) - 1)
        after = (n for n in range(begin + 1, len(self._rows)) if self._rows[n].heading)
        # Before each heading there is an empty line.
        return next(after, len(self._rows) + 1) - 2

    def _see(self) -> None:
        """Scrolls to where the cursor is seen."""
        height = max(1, self.scrollable_content_region.height)
        top = round(self.scroll_y)
        if self._at < top:
            self.scroll_to(y=self._at, animate=False)
        elif self._at >= top + height:
            self.scroll_to(y=self._at - height + 1, animate=False)

    def _go(self, at: int) -> None:
        self._at, self._follows = max(0, min(at, len(self._rows) - 1)), ""
        self.paint()
        self._see()

    # --- keys ---

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without a cursor, beside a list, tab leads out of it again."""
        del parameters
        return self._has_cursor or action not in ("section", "choose")

    def action_step(self, lines: int) -> None:
        """A line further."""
        if self._has_cursor:
            self._go(self._at + lines)
        else:
            self.scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        """A page further."""
        self.action_step(pages * max(1, self.scrollable_content_region.height - 1))

    def action_edge(self, is_end: bool) -> None:
        """To the start or the end."""
        if not is_end:
            self._go(0)
            self.scroll_home(animate=False)
            return
        self._go(len(self._rows) - 1)
        self._follows = "*" if self._has_cursor else ""
        self.scroll_end(animate=False)

    def action_section(self, step: int) -> None:
        """To the next heading, or the one before; round at the end."""
        headings = [n for n, row in enumerate(self._rows) if row.heading]
        if not headings:
            return
        if step > 0:
            at = next((n for n in headings if n > self._at), headings[0])
        else:
            at = next((n for n in reversed(headings) if n < self._at), headings[-1])
        self._show_from(at)

    def _show_from(self, at: int) -> None:
        """Puts a line at the top, as far as there is more below it."""
        self._go(at)
        self.scroll_to(y=at, animate=False)

    def action_choose(self) -> None:
        """Opens or closes what is under the cursor, or goes to the task there."""
        row = self._rows[self._at] if self._at < len(self._rows) else None
        if row is None or not row.target:
            return
        if row.target.startswith(TASK):
            self.post_message(self.TaskChosen(row.target.removeprefix(TASK)))
            return
        self._toggled ^= {row.target}
        before = len(self._rows)
        self._go(self._at)
        height = max(1, self.scrollable_content_region.height)
        if self._at + len(self._rows) - before >= round(self.scroll_y) + height:
            # What opened below the edge would be opened for nobody.
            self.scroll_to(y=max(0, self._at - height // 3), animate=False)

    def action_jump(self, section: str) -> None:
        """To a section, which is opened; of the log to its end, which is followed."""
        at = next((n for n, row in enumerate(self._rows) if row.heading.partition(":")[0] == section), None)
        if at is None:
            self.post_message(self.Missing(_MISSING[section]))
            return
        target = f"{FOLD}{self._rows[at].heading}"
        is_open = at + 1 < len(self._rows) and bool(self._rows[at + 1].line) and not self._rows[at + 1].heading
        if not is_open:
            self._toggled ^= {target}
        self._show_from(at)
        if section == "log":
            self._follows = "log"
            self._at = self._end_of("log")
            self.paint()


_MISSING = {
    "traceback": "it has no traceback: no attempt has failed with one",
    "log": "it has no log: its handler writes lines with context.log()",
}
