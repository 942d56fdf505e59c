"""A value out of a few: opened with enter, searched by typing, passed over with the arrows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import Select

from tq_console.view.text import fit, visible

LONGEST = 60


class Choice(Select[int], inherit_bindings=False):
    """Chooses one of several values by its number; blank where the field is left out."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "show_overlay", "choose", tooltip="Choose a value", id="field.choose"),
    ]
    DEFAULT_CSS = """
    Choice {
        height: 1;
    }
    Choice.-textual-compact > SelectCurrent, Choice.-textual-compact:focus > SelectCurrent {
        height: 1;
        border: none;
        padding: 0 1;
        background: $panel;
    }
    Choice.-textual-compact:focus > SelectCurrent {
        background: $primary 25%;
    }
    Choice > SelectOverlay {
        border: round $border;
        max-height: 8;
        padding: 0;
    }
    """

    def __init__(self, words: Sequence[str], *, prompt: str, chosen: int | None) -> None:
        """Makes the choice.

        Args:
            words: The values as they are read; from anywhere.
            prompt: What stands there while nothing is chosen; our own words only.
        """
        # Rich's Text, for typing searches nothing else but strings, and those would be markup.
        options = [(Text(fit(visible(word), LONGEST)), number) for number, word in enumerate(words)]
        super().__init__(
            options,
            prompt=prompt,
            value=Select.NULL if chosen is None else chosen,
            compact=True,
        )

    @property
    def chosen(self) -> int | None:
        """The number of the chosen value."""
        return self.selection
