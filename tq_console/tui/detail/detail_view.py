"""The widget that shows one task, and the screen that is nothing else."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from tq_console.tui.detail.detail_lines import detail_lines
from tq_console.tui.look.canvas import Canvas
from tq_console.tui.watch.snapshot import Detail
from tq_console.view.secrets import Masker


class DetailView(VerticalScroll):
    """One task; scrolls."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll_down", "down", show=False, id="detail.down"),
        Binding("k,up", "scroll_up", "up", show=False, id="detail.up"),
        Binding("ctrl+d,pagedown", "page_down", "page down", show=False, id="detail.page_down"),
        Binding("ctrl+u,pageup", "page_up", "page up", show=False, id="detail.page_up"),
        Binding("g,home", "scroll_home", "start", show=False, id="detail.start"),
        Binding("G,end", "scroll_end", "end", show=False, id="detail.end"),
    ]

    def __init__(self, *, masker: Masker, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self._masker = masker
        self._shown: tuple[Detail, int] | None = None

    def compose(self) -> ComposeResult:
        """One canvas."""
        yield Canvas(classes="detail-lines")

    def show(self, detail: Detail | None, now_ms: int) -> None:
        """Shows a task; None = none is chosen."""
        is_other = self._shown is None or detail is None or self._shown[0].task_id != detail.task_id
        self._shown = (detail, now_ms) if detail else None
        self._paint()
        if is_other:
            self.scroll_home(animate=False)

    def on_resize(self) -> None:
        """Wraps anew."""
        self._paint()

    def _paint(self) -> None:
        canvas = self.query_one(Canvas)
        if self._shown is None:
            canvas.paint([[("nothing chosen", "cell--dim")]])
            return
        detail, now_ms = self._shown
        if detail.task is None:
            canvas.paint([[(f"{detail.task_id} is not there any more", "cell--warn")]])
            return
        width = max(20, self.scrollable_content_region.width)
        canvas.paint(detail_lines(detail.task, detail.why, now_ms=now_ms, width=width, masker=self._masker))
