"""The window that asks what to start a local worker with."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from tq_console.tui.look.canvas import Canvas


class StartScreen(ModalScreen[str | None]):
    """Asks for what stands after `tq-worker`; None where nothing is to be started."""

    DEFAULT_CSS = """
    StartScreen {
        align: center middle;
        #start-window {
            width: 76; max-width: 96%; height: auto;
            border: round $border; background: $surface; padding: 0 1;
        }
        Canvas { height: auto; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "leave it", tooltip="Start nothing", id="start.leave"),
    ]

    def __init__(self, line: str, broker: str) -> None:
        """Asks.

        Args:
            line: What stands there to begin with.
            broker: What the console calls its broker.
        """
        super().__init__()
        self._line, self._broker = line, broker

    def compose(self) -> ComposeResult:
        """What it does, and the line."""
        with Vertical(id="start-window") as box:
            box.border_title = "Start a worker on this machine"
            yield Canvas(id="start-before")
            yield Input(self._line, placeholder="--samples, or MODULE with your tasks", id="start-line")
            yield Canvas(id="start-after")

    def on_mount(self) -> None:
        """Says what it does."""
        self.query_one("#start-before", Canvas).paint(
            [
                [("it serves ", ""), (self._broker, "cell--bold"), (" and ends with this console", "")],
                [("tq-worker", "cell--key")],
            ]
        )
        examples = "--samples   ·   shop.tasks --processes 2 --slots 10   ·   shop.tasks --queues mail"
        self.query_one("#start-after", Canvas).paint(
            [
                [(examples, "cell--dim")],
                [("⏎", "cell--key"), (" start it    ", ""), ("esc", "cell--key"), (" leave it", "")],
            ]
        )
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Starts it."""
        event.stop()
        self.dismiss(event.value.strip() or None)

    def action_leave(self) -> None:
        """Starts nothing."""
        self.dismiss(None)
