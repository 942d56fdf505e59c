"""The line that folds the options of a task away, and says what they are."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from tq_console.tui.look.canvas import Canvas, Line


class Fold(Canvas, can_focus=True):
    """Opens and closes what is below it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter,space", "unfold", "open, close", show=False, tooltip="Open or close the options", id="fold.toggle"
        ),
    ]
    DEFAULT_CSS = """
    Fold {
        height: 1;
        padding: 0 1;
        margin-top: 1;
    }
    Screen.-short Fold {
        margin-top: 0;
    }
    Fold:focus {
        background: $primary 25%;
    }
    """

    class Toggled(Message):
        """It is to be opened or closed."""

    def show(self, *, is_open: bool, said: str) -> None:
        """Paints itself."""
        line: Line = [
            ("▾ " if is_open else "▸ ", "cell--accent"),
            ("options", "cell--bold"),
            (f"   {said}", "cell--dim"),
        ]
        self.paint([line])

    def action_unfold(self) -> None:
        """Asks its owner."""
        self.post_message(self.Toggled())

    def on_click(self) -> None:
        """As enter."""
        self.post_message(self.Toggled())
