"""A window with a few choices, each with a letter; and one that asks for a line of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from tq_console.tui.look.canvas import Canvas, Line
from tq_console.tui.look.wrapping import wrapped
from tq_console.view.text import fit, pad, visible

LETTERS = "abcdefghilmnoprstuvwxyz"
"""Without those that move or leave."""
SHOWN = 16
ABOUT_LINES = 3
_CSS = """
    align: center middle;
    #window {
        width: 76; max-width: 96%; height: auto; max-height: 90%;
        border: round $border; border-title-color: $secondary; border-title-style: bold;
        background: $surface; padding: 0 1;
    }
    Canvas { height: auto; }
"""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several."""

    text: str
    about: str = ""


class Picker(ModalScreen[int | None]):
    """Asks which of several; the answer is its number, None for none."""

    DEFAULT_CSS = f"Picker {{{_CSS}}}"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "leave", tooltip="Choose nothing", id="picker.leave"),
        Binding("down,j", "move(1)", "down", show=False, tooltip="The next one", id="picker.down"),
        Binding("up,k", "move(-1)", "up", show=False, tooltip="The one before", id="picker.up"),
        Binding("enter", "choose", "choose", show=False, tooltip="Take this one", id="picker.choose"),
    ]

    def __init__(self, title: str, choices: Sequence[Choice], *, at: int = 0) -> None:
        super().__init__()
        self._title, self._choices, self._at = title, choices, at

    def compose(self) -> ComposeResult:
        """The choices."""
        with Vertical(id="window") as box:
            box.border_title = self._title
            yield Canvas()

    def on_mount(self) -> None:
        """Paints them."""
        self._paint()

    def on_resize(self) -> None:
        """Cuts anew what does not fit."""
        self.call_after_refresh(self._paint)

    def _paint(self) -> None:
        room = max(20, self.query_one(Canvas).size.width or 70)
        first = max(0, min(self._at - SHOWN // 2, len(self._choices) - SHOWN))
        wide = min(30, max((len(choice.text) for choice in self._choices), default=0))
        lines: list[Line] = []
        for number, choice in enumerate(self._choices[first : first + SHOWN], start=first):
            letter = LETTERS[number] if number < len(LETTERS) else " "
            text = pad(fit(visible(choice.text), wide), wide)
            style = "cell--selected" if number == self._at else ""
            about = fit(visible(choice.about), max(0, room - wide - 6))
            lines.append([(f" {letter} ", "cell--key"), (f"{text} ", style), (f" {about}", "cell--dim")])
        more = len(self._choices) - SHOWN
        lines += [[], [(f" ⏎ takes it, esc leaves{f', {more} more above or below' if more > 0 else ''}", "cell--dim")]]
        self.query_one(Canvas).paint(lines)

    def on_key(self, event: events.Key) -> None:
        """A letter takes its choice."""
        number = LETTERS.find(event.key) if len(event.key) == 1 else -1
        if 0 <= number < len(self._choices):
            event.stop()
            event.prevent_default()
            self._answer(number)

    def action_move(self, step: int) -> None:
        """To the next one."""
        self._at = max(0, min(self._at + step, len(self._choices) - 1))
        self._paint()

    def action_choose(self) -> None:
        """Takes it."""
        self._answer(self._at if self._choices else None)

    def action_leave(self) -> None:
        """Takes none."""
        self._answer(None)

    def _answer(self, number: int | None) -> None:
        if self.app.screen is self:
            self.dismiss(number)


class Prompt(ModalScreen[str | None]):
    """Asks for a line of text; None where it was left."""

    DEFAULT_CSS = f"Prompt {{{_CSS}}}"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "leave", tooltip="Say nothing", id="prompt.leave"),
    ]

    def __init__(self, title: str, *, text: str = "", about: Sequence[str] = (), placeholder: str = "") -> None:
        super().__init__()
        self._title, self._text, self._about, self._placeholder = title, text, about, placeholder

    def compose(self) -> ComposeResult:
        """What it is about, and the line."""
        with Vertical(id="window") as box:
            box.border_title = self._title
            yield Canvas()
            yield Input(self._text, placeholder=self._placeholder)

    def on_mount(self) -> None:
        """Says what it is about."""
        room = min(76, self.app.size.width * 96 // 100) - 4
        lines: list[Line] = [line for text in self._about for line in wrapped((text, "cell--dim"), room, ABOUT_LINES)]
        self.query_one(Canvas).paint(
            [*lines, [("⏎", "cell--key"), (" goes on    ", ""), ("esc", "cell--key"), (" leaves", "")]]
        )
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Says it."""
        event.stop()
        if self.app.screen is self:
            self.dismiss(event.value.strip() or None)

    def action_leave(self) -> None:
        """Says nothing."""
        if self.app.screen is self:
            self.dismiss(None)
