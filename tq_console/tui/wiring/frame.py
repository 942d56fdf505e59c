"""Painting what is around every screen, and telling everything how much room there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tq_console.tui.frame.hints import hint_line
from tq_console.tui.frame.status import LinkState, header_lines
from tq_console.tui.frame.tabs import Tab, TabLine
from tq_console.tui.look.canvas import Canvas
from tq_console.tui.wiring.screens import SCREENS
from tq_core.model import TaskState

if TYPE_CHECKING:
    from tq_console.tui.app import ConsoleApp

WIDTHS = (100, 160)
"""From so many columns on the terminal counts as normal, as wide."""
WIDTH_CLASSES = ("-narrow", "-normal", "-wide")
TALL = 32
TALL_CLASS = "-tall"
SWITCH_S = 1.0
"""An answer for a screen may take so long before what it showed last is called stale."""


class Frame:
    """Header, tabs and hints of one console."""

    def __init__(self, app: ConsoleApp) -> None:
        self._app = app
        self._progress = ""

    # --- what is painted ---

    def paint(self) -> None:
        """All of it."""
        self.paint_header()
        self._paint_tabs()
        self._paint_hints()

    def paint_header(self) -> None:
        """Which broker, how fresh, the numbers."""
        app = self._app
        state = LinkState(
            name=app.link.name,
            is_read_only=app.link.is_read_only,
            is_for_looking=app.link.is_for_looking,
            is_protected=app.link.is_protected,
            color=app.link.color,
            unlocked_s=app.link.unlocked_s,
            is_frozen=app.poller.is_frozen,
            trouble=app.trouble,
        )
        now_s, width = app.clock(), app.size.width
        header = app.base.query_one("#header", Canvas)
        header.paint(header_lines(app.snapshot, state, now_s=now_s, width=width, data_s=self._data_s(now_s)))
        if app.detail is not None:
            app.detail.show_link(state, now_s)

    def _data_s(self, now_s: float) -> float | None:
        """When what is on screen was taken: a pane that nothing new has reached shows older data than the header."""
        app = self._app
        snapshot, shown = app.snapshot, app.pane.snapshot
        if snapshot is None or snapshot is shown:
            return snapshot.taken_s if snapshot else None
        is_just_coming = (
            app.trouble is None and not app.poller.is_frozen and now_s - app.navigation.switched_s < SWITCH_S
        )
        if is_just_coming or app.detail is not None:
            return snapshot.taken_s
        return min(snapshot.taken_s, shown.taken_s) if shown else None

    def _paint_tabs(self) -> None:
        app = self._app
        failed = app.snapshot.depths.get(TaskState.FAILED, 0) if app.snapshot else 0
        badges = {"dlq": f"{failed:,}" if failed else ""}
        tabs = [Tab(entry.name, entry.key, entry.title, badges.get(entry.name, ""), "cell--bad") for entry in SCREENS]
        app.base.query_one("#tabs", TabLine).show(tabs, app.pane.id or "")

    def _paint_hints(self) -> None:
        app = self._app
        hints = app.base.query_one("#hints", Canvas)
        if self._progress:
            hints.paint([[(f" {self._progress} ", "cell--badge-warn")]])
            return
        bindings = [] if app.screen is not app.base else list(app.screen.active_bindings.values())
        # What is special here comes first, what works everywhere last.
        bindings.sort(key=lambda active: _hint_rank(active.binding.id or ""))
        hints.paint([hint_line(bindings, app.size.width, useless=app.pane.useless())])

    def show_progress(self, text: str) -> None:
        """Says how far an act is, in the place of the hints; "" = none is under way."""
        if text != self._progress:
            self._progress = text
            self._paint_hints()

    # --- how much room there is ---

    def room(self) -> tuple[int, int]:
        """How wide (0 narrow, 1 normal, 2 wide) and how high (0 short, 1 tall) the terminal is."""
        return sum(self._app.size.width >= width for width in WIDTHS), int(self._app.size.height >= TALL)

    def room_classes(self) -> set[str]:
        """The room as classes for the style sheet."""
        horizontal, vertical = self.room()
        return {WIDTH_CLASSES[horizontal], *([TALL_CLASS] if vertical else [])}

    def fit(self) -> None:
        """Tells everything how much room there is."""
        base = self._app.base
        wanted = (base.classes - {*WIDTH_CLASSES, TALL_CLASS}) | self.room_classes()
        if wanted != base.classes:
            # In one step, for each styles everything anew.
            base.set_classes(wanted)
        for pane in self._app.panes:
            pane.set_breakpoints(*self.room())


def _hint_rank(binding_id: str) -> int:
    return 1 if binding_id == "app.help" else 2 if binding_id.startswith(("app.", "table.")) else 0
