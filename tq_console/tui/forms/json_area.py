"""The arguments as JSON text, to be edited whole."""

from __future__ import annotations

from textual import events
from textual.widgets import TextArea

from tq_console.view.text import visible_lines


class JsonArea(TextArea):
    """Several lines of JSON; tab leads on, as everywhere in the form."""

    DEFAULT_CSS = """
    JsonArea, JsonArea:focus {
        height: 1fr;
        min-height: 5;
        border: none;
        padding: 0 1;
        background: $panel;
    }
    """

    def __init__(self, text: str) -> None:
        # Wrapping costs time with each key where there are very many lines, and JSON reads better unwrapped.
        super().__init__(text, soft_wrap=False, show_line_numbers=True, tab_behavior="focus", compact=True)
        self.cursor_blink = False

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        # What is no line end and cannot be shown would be no valid JSON either.
        result = self.replace("\n".join(visible_lines(event.text.replace("\r", "\n"))), *self.selection)
        self.move_cursor(result.end_location)
