"""A small window that asks for one line of text."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from tq_console.tui.look.canvas import Canvas


class PromptScreen(ModalScreen[str | None]):
    """Returns what was typed, which may be nothing; None where it was left."""

    DEFAULT_CSS = """
    PromptScreen {
        align: center middle;
        #prompt-box {
            width: 76; max-width: 96%; height: auto;
            border: round $border; background: $surface; padding: 0 1;
            border-title-color: $secondary; border-title-style: bold;
        }
        Canvas { height: auto; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "leave it", tooltip="Do nothing", id="prompt.leave"),
    ]

    def __init__(self, title: str, *, about: str, verb: str, placeholder: str) -> None:
        """Makes the window.

        Args:
            title: Our own words, as are `verb` and `placeholder`.
            about: What it is about; from anywhere.
            verb: What enter does.
        """
        super().__init__()
        self._title, self._about, self._verb, self._placeholder = title, about, verb, placeholder

    def compose(self) -> ComposeResult:
        """What it is about, and the line."""
        with Vertical(id="prompt-box") as box:
            box.border_title = self._title
            yield Canvas(id="prompt-about")
            yield Input(placeholder=self._placeholder, compact=True)
            yield Canvas(id="prompt-keys")

    def on_mount(self) -> None:
        """Takes the keys."""
        self.query_one("#prompt-about", Canvas).paint([[(self._about, "cell--bold")]])
        keys = [("⏎", "cell--key"), (f" {self._verb}    ", ""), ("esc", "cell--key"), (" leave it", "")]
        self.query_one("#prompt-keys", Canvas).paint([[], keys])
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Hands it over."""
        event.stop()
        self._end(event.value.strip())

    def action_leave(self) -> None:
        """Does nothing."""
        self._end(None)

    def _end(self, text: str | None) -> None:
        if self.app.screen is self:
            self.dismiss(text)
