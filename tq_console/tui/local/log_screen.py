"""The end of a local worker's log, as it grows."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from tq_console.tui.local.local_workers import LocalWorker
from tq_console.tui.look.canvas import Canvas, Line

REFRESH_S = 1.0


class LogScreen(ModalScreen[None]):
    """What one local worker wrote last."""

    DEFAULT_CSS = """
    LogScreen {
        align: center middle;
        #log-box {
            width: 96%; height: 90%;
            border: round $border; background: $surface; padding: 0 1;
        }
        Canvas { height: auto; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,L", "dismiss", "close", tooltip="Close the log", id="log.close"),
        Binding("j,down", "scroll(1)", "down", show=False, tooltip="Down", id="log.down"),
        Binding("k,up", "scroll(-1)", "up", show=False, tooltip="Up", id="log.up"),
        Binding("g,home", "edge(False)", "start", show=False, tooltip="To the start", id="log.start"),
        Binding("G,end", "edge(True)", "end", show=False, tooltip="To the end", id="log.end"),
    ]

    def __init__(self, worker: LocalWorker) -> None:
        super().__init__()
        self._worker = worker

    def compose(self) -> ComposeResult:
        """One canvas that can be scrolled."""
        with VerticalScroll(id="log-box"):
            yield Canvas(id="log-lines")

    def on_mount(self) -> None:
        """Shows it, and again each second."""
        self._paint()
        self.box.focus()
        self.call_after_refresh(self.box.scroll_end, animate=False)
        self.set_interval(REFRESH_S, self._paint)

    @property
    def box(self) -> VerticalScroll:
        return self.query_one("#log-box", VerticalScroll)

    def _paint(self) -> None:
        worker, box = self._worker, self.box
        code = worker.exit_code
        # Titles are markup, and what was typed is not.
        box.border_title = f"local worker {worker.pid}"
        box.border_subtitle = "esc closes"
        is_at_end = box.scroll_y >= box.max_scroll_y
        how = "runs" if code is None else f"ended with exit code {code}"
        lines: list[Line] = [[("$ tq-worker ", "cell--dim"), (worker.line, "cell--bold"), (f"   {how}", "cell--dim")]]
        tail = worker.tail()
        lines += [[(line, "")] for line in tail] if tail else [[("it wrote nothing yet", "cell--dim")]]
        self.query_one(Canvas).paint(lines)
        if is_at_end:
            self.call_after_refresh(box.scroll_end, animate=False)

    def action_scroll(self, lines: int) -> None:
        """Moves the page."""
        self.box.scroll_relative(y=lines, animate=False)

    def action_edge(self, is_end: bool) -> None:
        """To the start or the end."""
        if is_end:
            self.box.scroll_end(animate=False)
        else:
            self.box.scroll_home(animate=False)
