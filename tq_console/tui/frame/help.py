"""The help overlay: every key that works here, by what it is about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from tq_console.tui.frame.hints import key_name
from tq_console.tui.look.canvas import Canvas, Line

GROUPS = (
    ("here", "On this screen"),
    ("list", "In the list"),
    ("app", "Everywhere"),
)
"""First part of a binding's id -> heading."""


class HelpScreen(ModalScreen[None]):
    """All keys of the screen below."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "dismiss", "close", id="help.close"),
        Binding("j", "scroll(1)", "down", show=False, id="help.down"),
        Binding("k", "scroll(-1)", "up", show=False, id="help.up"),
    ]

    def __init__(self, title: str, bindings: Iterable[ActiveBinding]) -> None:
        super().__init__()
        self._title = title
        self._lines = help_lines(bindings)

    def compose(self) -> ComposeResult:
        """One canvas that can be scrolled."""
        with VerticalScroll(id="help-box") as box:
            box.border_title = f"Keys · {self._title}"
            box.border_subtitle = "esc closes"
            yield Canvas(id="help-lines")

    def on_mount(self) -> None:
        """Paints the keys."""
        self.query_one("#help-lines", Canvas).paint(self._lines)

    def action_scroll(self, lines: int) -> None:
        """Moves the page."""
        self.query_one("#help-box").scroll_relative(y=lines, animate=False)


def help_lines(bindings: Iterable[ActiveBinding]) -> list[Line]:
    """Keys by group, each with what it does; lower case reads or can be undone, upper case cannot and asks first."""
    keys: dict[tuple[str, str, str], list[str]] = {}
    for active in bindings:
        binding = active.binding
        # Only ours have ids; Textual's own few need no words.
        if not binding.description or binding.id is None:
            continue
        group = {"table": "list", "app": "app"}.get(binding.id.split(".", maxsplit=1)[0], "here")
        names = keys.setdefault((group, binding.action, binding.tooltip or binding.description), [])
        name = key_name(binding.key_display or binding.key)
        if name not in names:
            names.append(name)
    lines: list[Line] = []
    for group, heading in GROUPS:
        rows = [(" ".join(names), text) for (where, _, text), names in keys.items() if where == group]
        if rows:
            lines.append([(heading, "cell--title")])
            lines += [[(f"  {names:>11}  ", "cell--key"), (text, "")] for names, text in rows]
            lines.append([])
    lines.append([("lowercase keys read or do what can be undone; UPPERCASE ones ask first", "cell--dim")])
    return lines
