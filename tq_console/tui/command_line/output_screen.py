"""What a command has said, while it says it and afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.cells import get_character_cell_size
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from tq_console.tui.look.canvas import Canvas, Line
from tq_console.view.text import visible_lines

LOOK_S = 0.3


class OutputScreen(ModalScreen[None]):
    """A page of text that is scrolled; only what is on screen is painted."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "leave", tooltip="Leave; a command that still runs is stopped", id="output.leave"),
        Binding("down,j", "move(1)", "down", show=False, tooltip="A line down", id="output.down"),
        Binding("up,k", "move(-1)", "up", show=False, tooltip="A line up", id="output.up"),
        Binding("pagedown,ctrl+d,space", "page(1)", "page", show=False, tooltip="A page down", id="output.page_down"),
        Binding("pageup,ctrl+u", "page(-1)", "page", show=False, tooltip="A page up", id="output.page_up"),
        Binding("home,g", "start", "start", show=False, tooltip="To the start", id="output.start"),
        Binding("end,G", "end", "end", show=False, tooltip="To the end", id="output.end"),
        Binding("c", "copy", "copy", show=False, tooltip="Copy all of it", id="output.copy"),
    ]

    def __init__(
        self,
        title: str,
        *,
        sign: str = "$",
        text: Callable[[], str],
        is_running: Callable[[], bool],
        stop: Callable[[], None],
    ) -> None:
        """Shows a command.

        Args:
            title: The command.
            sign: What stands before it.
            text: What it has said so far.
            is_running: Whether it goes on.
            stop: Ends it.
        """
        super().__init__()
        self._title = f"{sign} {title}"
        self._text, self._is_running, self._stop = text, is_running, stop
        self._whole: list[str] = []
        self._lines: list[str] = []
        """What was said, folded to the width there is."""
        self._top = 0
        self._seen = -1

    def compose(self) -> ComposeResult:
        """A page in a frame."""
        with Vertical(id="output-box"):
            yield Canvas(id="output-title")
            yield Canvas(id="output-lines")

    def on_mount(self) -> None:
        """Begins to look."""
        self.query_one("#output-title", Canvas).paint([[(self._title, "cell--title")]])
        self._look()
        self.set_interval(LOOK_S, self._look)

    def _look(self) -> None:
        text = self._text()
        is_at_end = self._top >= len(self._lines) - self._room()
        if len(text) != self._seen:
            self._seen = len(text)
            self._whole = visible_lines(text.rstrip("\n"))
            self._fold()
            if is_at_end and self._is_running():
                self._top = max(0, len(self._lines) - self._room())
        self._paint()

    def _fold(self) -> None:
        width = max(20, self.query_one("#output-lines").size.width)
        self._lines = [part for line in self._whole for part in folded(line, width)]

    def _room(self) -> int:
        return max(1, self.query_one("#output-lines").size.height)

    def _paint(self) -> None:
        self._top = max(0, min(self._top, len(self._lines) - self._room()))
        shown: list[Line] = [[(line, "")] for line in self._lines[self._top : self._top + self._room()]]
        self.query_one("#output-lines", Canvas).paint(
            shown or [[("… running" if self._is_running() else "it said nothing", "cell--dim")]]
        )
        last = min(len(self._lines), self._top + self._room())
        where = f"{last:,} of {len(self._lines):,}" if len(self._lines) > self._room() else ""
        state = "running · esc stops it" if self._is_running() else "esc leaves · c copies"
        self.query_one("#output-box").border_subtitle = " · ".join(filter(None, (where, state)))

    def on_resize(self) -> None:
        """Another page."""
        self.call_after_refresh(self._refit)

    def _refit(self) -> None:
        self._fold()
        self._paint()

    def action_move(self, lines: int) -> None:
        """Some lines on."""
        self._top += lines
        self._paint()

    def action_page(self, pages: int) -> None:
        """A page on."""
        self.action_move(pages * max(1, self._room() - 1))

    def action_start(self) -> None:
        """To the start."""
        self._top = 0
        self._paint()

    def action_end(self) -> None:
        """To the end."""
        self._top = len(self._lines)
        self._paint()

    def action_copy(self) -> None:
        """All of it."""
        self.app.copy_to_clipboard(self._text())
        self.app.notify("copied what the command said", timeout=2)

    def action_leave(self) -> None:
        """Leaves, and stops what still runs."""
        if self._is_running():
            self._stop()
        if self.app.screen is self:
            self.dismiss(None)


def folded(line: str, width: int) -> list[str]:
    """A line in parts that are no wider."""
    if len(line) <= width and line.isascii():
        return [line]
    parts, used = [""], 0
    for letter in line:
        cells = get_character_cell_size(letter)
        if used + cells > width:
            parts.append("")
            used = 0
        parts[-1] += letter
        used += cells
    return parts
