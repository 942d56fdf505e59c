"""A text of one line, of which nothing is lost and nothing is obeyed."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.message import Message
from textual.widgets import Input

from tq_console.tui.forms.stand_ins import LONGEST_TEXT


class LineInput(Input):
    """One line; what is pasted and fits on none, for its length or what is in it, is handed to the owner."""

    class Pasted(Message):
        """A text came that no line can hold."""

        def __init__(self, line_input: LineInput, text: str) -> None:
            super().__init__()
            self.line_input, self.text = line_input, text

    DEFAULT_CSS = """
    LineInput, LineInput:focus {
        height: 1;
        border: none;
        padding: 0 1;
        background: $panel;
    }
    LineInput:focus {
        background: $primary 25%;
    }
    """

    def __init__(self, value: str = "", **options: Any) -> None:
        super().__init__(value, **options)
        # A cursor that blinks sends something to the terminal twice a second for nothing.
        self.cursor_blink = False

    def _on_paste(self, event: events.Paste) -> None:
        text = event.text.removesuffix("\n").removesuffix("\r")
        if text.isprintable() and len(text) <= LONGEST_TEXT:
            self.replace(text, *self.selection)
        else:
            self.post_message(self.Pasted(self, text))
        event.stop()
        event.prevent_default()
