"""Asks before what was typed is thrown away."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.screen import ModalScreen

from tq_console.tui.look.canvas import Canvas


class LeaveBar(ModalScreen[bool]):
    """One line over the form: y leaves it, anything else goes back to it."""

    DEFAULT_CSS = """
    LeaveBar {
        align: left bottom;
        background: transparent;
    }
    LeaveBar Canvas {
        height: 1;
        background: $panel;
    }
    """

    def compose(self) -> ComposeResult:
        """The question."""
        yield Canvas()

    def on_mount(self) -> None:
        """Paints it."""
        self.query_one(Canvas).paint(
            [
                [
                    (" Leave? What was typed is lost. ", "cell--badge-warn"),
                    ("  y", "cell--key"),
                    (" leave   ", ""),
                    ("n", "cell--key"),
                    (" go on", ""),
                ]
            ]
        )

    def on_key(self, event: events.Key) -> None:
        """Only y is a yes."""
        event.stop()
        event.prevent_default()
        # A second press, that was on its way already, must not end what is below.
        if self.app.screen is self and event.key in ("y", "n", "escape", "q", "enter"):
            self.dismiss(event.key == "y")
