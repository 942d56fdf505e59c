"""The menu of what can be copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from tq_console.tui.lists.copies import Copy
from tq_console.tui.look.canvas import Canvas, Line
from tq_console.view.text import fit, visible


class CopyMenu(ModalScreen[Copy | None]):
    """A line for each text; its key takes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,y", "leave", "leave", tooltip="Copy nothing", id="copy.leave"),
    ]

    def __init__(self, copies: Sequence[Copy]) -> None:
        super().__init__()
        self._copies = {copy.key: copy for copy in copies}

    def compose(self) -> ComposeResult:
        """The lines."""
        yield Canvas(id="copy-lines")

    def on_mount(self) -> None:
        """Paints them."""
        self._paint()

    def on_resize(self) -> None:
        """Cuts what does not fit."""
        self.call_after_refresh(self._paint)

    def _paint(self) -> None:
        width = self.app.size.width
        lines: list[Line] = [[(" copy ", "cell--badge"), ("  esc leaves", "cell--dim")]]
        for copy in self._copies.values():
            size = f"{len(copy.text):,} characters" if len(copy.text) > width - 30 else ""
            sample = fit(visible(" ".join(copy.text.split()[:40])), max(10, width - 30 - len(size)))
            lines.append(
                [(f"  {copy.key}  ", "cell--key"), (f"{copy.name:<20}  ", ""), (sample, "cell--dim"), (f"  {size}", "")]
            )
        self.query_one(Canvas).paint(lines)

    def on_key(self, event: events.Key) -> None:
        """The key of a line."""
        if event.character in self._copies:
            event.stop()
            event.prevent_default()
            if self.app.screen is self:
                self.dismiss(self._copies[event.character])

    def action_leave(self) -> None:
        """Leaves it."""
        if self.app.screen is self:
            self.dismiss(None)
