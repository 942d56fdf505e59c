"""The line of tabs: each screen with its key and, where it says something, a count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from textual import events
from textual.message import Message

from tq_console.tui.look.canvas import Canvas, Line, Span


@dataclass(frozen=True, slots=True)
class Tab:
    """One tab."""

    id: str
    key: str
    title: str
    badge: str = ""
    badge_style: str = ""


class TabLine(Canvas):
    """Tabs in one line; a click chooses one."""

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, tab_id: str) -> None:
            super().__init__()
            self.tab_id = tab_id

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._ends: list[tuple[int, str]] = []

    def show(self, tabs: Sequence[Tab], current: str) -> None:
        """Paints the tabs, the current one marked."""
        line, self._ends = tab_line(tabs, current)
        self.paint([line])

    def on_click(self, event: events.Click) -> None:
        """Tells which tab was clicked."""
        for end, tab_id in self._ends:
            if event.x < end:
                self.post_message(self.Chosen(tab_id))
                return


def tab_line(tabs: Sequence[Tab], current: str) -> tuple[Line, list[tuple[int, str]]]:
    """The spans of the tabs, and the cell after the end of each."""
    line: list[Span] = []
    ends = []
    used = 0
    for tab in tabs:
        is_current = tab.id == current
        text = f" {tab.key} {tab.title} " if not is_current else f"▸{tab.key} {tab.title} "
        spans: list[Span] = [(text, "cell--selected" if is_current else "cell--dim")]
        if tab.badge:
            spans.append((f"{tab.badge} ", tab.badge_style))
        line += spans
        used += sum(len(t) for t, _ in spans)
        ends.append((used, tab.id))
    return line, ends
