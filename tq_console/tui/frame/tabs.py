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
        line, self._ends = tab_line(tabs, current, width=self.app.size.width)
        self.paint([line])

    def on_click(self, event: events.Click) -> None:
        """Tells which tab was clicked."""
        for end, tab_id in self._ends:
            if event.x < end:
                self.post_message(self.Chosen(tab_id))
                return


_FORMS = ((True, 99), (False, 99), (False, 5), (False, 4), (False, 0))
"""From the roomiest to the tightest: whether there is air around keys, and how many letters titles have."""


def tab_line(tabs: Sequence[Tab], current: str, *, width: int) -> tuple[Line, list[tuple[int, str]]]:
    """The spans of the tabs, and the cell after the end of each; titles are cut so that the last tab is seen too."""
    forms = [_tabs(tabs, current, is_airy=is_airy, letters=letters) for is_airy, letters in _FORMS]
    return next(((line, ends) for line, ends in forms if not ends or ends[-1][0] <= width), forms[-1])


def _tabs(tabs: Sequence[Tab], current: str, *, is_airy: bool, letters: int) -> tuple[Line, list[tuple[int, str]]]:
    line: list[Span] = []
    ends = []
    used = 0
    for tab in tabs:
        is_current = tab.id == current
        # The one that is shown keeps its name while there is room for any.
        title = tab.title if is_current and letters else tab.title[:letters]
        name = f"{tab.key} {title}" if is_airy else f"{tab.key}{title}"
        mark = "▸" if is_current else " " if is_airy else ""
        spans: list[Span] = [(f"{mark}{name} ", "cell--selected" if is_current else "cell--dim")]
        if tab.badge:
            spans.append((f"{tab.badge} ", tab.badge_style))
        line += spans
        used += sum(len(t) for t, _ in spans)
        ends.append((used, tab.id))
    return line, ends
