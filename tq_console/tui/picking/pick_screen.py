"""A small window that offers things to choose from; typing narrows them down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from tq_console.tui.look.canvas import Canvas, Line
from tq_console.view.text import cell_width, fit, pad, visible

ROWS_MAX = 12
TEXT_CELLS = 28


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that can be chosen."""

    id: str
    text: str
    """From anywhere; made safe where it is painted."""
    note: str = ""
    style: str = ""


class PickScreen(ModalScreen[str | None]):
    """Returns the id of what was chosen, or what was typed where that may be; None where nothing was."""

    DEFAULT_CSS = """
    PickScreen {
        align: center middle;
        #pick-box {
            width: 76; max-width: 96%; height: auto; max-height: 90%;
            border: round $border; background: $surface; padding: 0 1;
            border-title-color: $secondary; border-title-style: bold;
        }
        Canvas { height: auto; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "leave it", tooltip="Choose nothing", id="pick.leave"),
        Binding("down,ctrl+n", "move(1)", "next", show=False, tooltip="The next one", id="pick.down"),
        Binding("up", "move(-1)", "before", show=False, tooltip="The one before", id="pick.up"),
        Binding("pagedown", "move(10)", "page down", show=False, tooltip="Ten further", id="pick.page_down"),
        Binding("pageup", "move(-10)", "page up", show=False, tooltip="Ten back", id="pick.page_up"),
    ]

    def __init__(
        self,
        title: str,
        choices: Sequence[Choice],
        *,
        about: str = "",
        verb: str = "choose",
        chosen: str | None = None,
        read: Callable[[str], str] | None = None,
    ) -> None:
        """Makes the window.

        Args:
            title: Our own words.
            about: What it is about, in one line; from anywhere.
            verb: What enter does.
            chosen: The id under the cursor at first.
            read: What was typed as an id, where nothing offered fits; raises ValueError, whose text is shown.
        """
        super().__init__()
        self._title, self._about, self._verb, self._read = title, about, verb, read
        self._choices = tuple(choices)
        self._at = next((n for n, choice in enumerate(choices) if choice.id == chosen), 0)
        self._problem = ""

    def compose(self) -> ComposeResult:
        """What it is about, what is typed, what fits."""
        with Vertical(id="pick-box") as box:
            box.border_title = self._title
            yield Canvas(id="pick-about")
            yield Input(placeholder="type to narrow down", id="pick-words", compact=True)
            yield Canvas(id="pick-list")

    def on_mount(self) -> None:
        """Takes the keys."""
        about = self.query_one("#pick-about", Canvas)
        about.display = bool(self._about)
        about.paint([[(self._about, "cell--dim")]])
        self.query_one(Input).focus()
        self._paint()

    def on_resize(self) -> None:
        """Fits it anew."""
        self.call_after_refresh(self._paint)

    @property
    def _fitting(self) -> list[Choice]:
        words = self.query_one(Input).value.casefold().split()
        return [c for c in self._choices if all(word in f"{c.text} {c.note}".casefold() for word in words)]

    def _paint(self) -> None:
        canvas = self.query_one("#pick-list", Canvas)
        fitting = self._fitting
        self._at = max(0, min(self._at, len(fitting) - 1))
        rows = min(ROWS_MAX, max(3, self.app.size.height - 10))
        first = max(0, min(self._at - rows // 2, len(fitting) - rows))
        shown = fitting[first : first + rows]
        width = max(20, canvas.size.width or 60)
        widest = min(max((cell_width(visible(c.text)) for c in shown), default=0), max(TEXT_CELLS, width // 2))
        lines: list[Line] = []
        for n, choice in enumerate(shown, first):
            text = pad(fit(visible(choice.text), widest), widest)
            mark = ("▌ ", "cell--accent") if n == self._at else ("  ", "")
            style = "cell--bold" if n == self._at else choice.style
            lines.append([mark, (text, style), (f"  {visible(choice.note)}", "cell--dim")])
        if not fitting:
            lines.append([("nothing fits" if self._choices else "there is nothing to choose", "cell--dim")])
        if len(fitting) > rows:
            lines.append([(f"  {self._at + 1} of {len(fitting):,}", "cell--dim")])
        keys = [("⏎", "cell--key"), (f" {self._verb}    ", ""), ("esc", "cell--key"), (" leave it", "")]
        lines += [[(self._problem, "cell--bad")], keys]
        canvas.paint(lines)

    def on_input_changed(self) -> None:
        """Narrows down."""
        self._at, self._problem = 0, ""
        self._paint()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Chooses what is under the cursor, or what was typed."""
        event.stop()
        fitting, typed = self._fitting, event.value.strip()
        if self._read is not None and typed and (not fitting or typed.isdigit()):
            try:
                self._end(self._read(typed))
            except ValueError as error:
                self._problem = str(error)
                self._paint()
        elif fitting:
            self._end(fitting[self._at].id)

    def on_key(self, event: events.Key) -> None:
        """Arrows move in the list, whoever has the focus."""
        if event.key in ("down", "up"):
            event.stop()
            event.prevent_default()
            self.action_move(1 if event.key == "down" else -1)

    def action_move(self, step: int) -> None:
        """Moves the cursor."""
        self._at += step
        self._paint()

    def action_leave(self) -> None:
        """Chooses nothing."""
        self._end(None)

    def _end(self, choice: str | None) -> None:
        # A second press, that was on its way already, ends nothing else.
        if self.app.screen is self:
            self.dismiss(choice)
