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
    by_group: dict[str, list[tuple[str, str]]] = {group: [] for group, _ in GROUPS}
    seen: set[tuple[str, str]] = set()
    for active in bindings:
        binding = active.binding
        if not binding.description or binding.system:
            continue
        group = (binding.id or "here").split(".", maxsplit=1)[0]
        group = {"table": "list", "app": "app"}.get(group, "here")
        text = binding.tooltip or binding.description
        if (binding.action, text) in seen:
            continue
        seen.add((binding.action, text))
        by_group[group].append((key_name(binding.key_display or binding.key), text))
    lines: list[Line] = []
    for group, heading in GROUPS:
        if not by_group[group]:
            continue
        lines.append([(heading, "cell--title")])
        lines += [[(f"  {key:>9}  ", "cell--key"), (text, "")] for key, text in by_group[group]]
        lines.append([])
    lines.append([("lowercase keys read or do what can be undone; UPPERCASE ones ask first", "cell--dim")])
    return lines
