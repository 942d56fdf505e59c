"""The picker of brokers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.events import Click
from textual.screen import ModalScreen

from tq_console.tui.look.canvas import Canvas, Line
from tq_console.tui.look.context_colors import block_style


class Choice(Protocol):
    """A broker that can be gone to."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def color(self) -> str | None: ...
    @property
    def marks(self) -> str: ...
    @property
    def is_here(self) -> bool: ...


class ContextList(ModalScreen[str | None]):
    """Every context, each in its colour; gives the name of the chosen one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,f3", "leave", "leave", tooltip="Stay here", id="contexts.leave"),
        Binding("down,j", "move(1)", "down", show=False, tooltip="The next broker", id="contexts.down"),
        Binding("up,k", "move(-1)", "up", show=False, tooltip="The broker before", id="contexts.up"),
        Binding("enter", "choose", "go there", tooltip="Show this broker", id="contexts.choose"),
    ]

    def __init__(self, choices: Sequence[Choice]) -> None:
        super().__init__()
        self._choices = choices
        self._at = next((i for i, choice in enumerate(choices) if choice.is_here), 0)

    def compose(self) -> ComposeResult:
        """A list in a box."""
        with VerticalScroll(id="context-box") as box:
            box.border_title = "Contexts"
            box.border_subtitle = "⏎ goes there · esc stays"
            box.can_focus = False
            yield Canvas(id="context-lines")

    def on_mount(self) -> None:
        """Paints them."""
        self._paint()

    def _paint(self) -> None:
        if not self._choices:
            hint = "tq config add prod --url rediss://HOST --protected"
            lines: list[Line] = [[("there are no contexts yet; in a shell:", "")], [(f"  {hint}", "cell--key")]]
        else:
            wide = max(len(choice.name) for choice in self._choices)
            lines = [self._line(i, choice, wide) for i, choice in enumerate(self._choices)]
        self.query_one(Canvas).paint(lines)

    def _line(self, index: int, choice: Choice, wide: int) -> Line:
        marks = ", ".join(word for word in ("you are here" if choice.is_here else "", choice.marks) if word)
        return [
            ("▌ " if index == self._at else "  ", "cell--key"),
            (f" {choice.name.ljust(wide)} ", block_style(choice.color) or "cell--badge"),
            (f"  {choice.address}", "" if index == self._at else "cell--dim"),
            (f"  {marks}" if marks else "", "cell--warn"),
        ]

    def action_move(self, step: int) -> None:
        """Another one is marked."""
        if self._choices:
            self._at = min(len(self._choices) - 1, max(0, self._at + step))
            self._paint()
            self.query_one("#context-box").scroll_to(y=max(0, self._at - 4), animate=False)

    def on_click(self, event: Click) -> None:
        """The one that was clicked."""
        if isinstance(event.widget, Canvas) and event.y < len(self._choices):
            self._at = event.y
            self.action_choose()

    def action_choose(self) -> None:
        """Goes there."""
        if self.app.screen is self:
            self.dismiss(self._choices[self._at].name if self._choices else None)

    def action_leave(self) -> None:
        """Stays here."""
        if self.app.screen is self:
            self.dismiss(None)
