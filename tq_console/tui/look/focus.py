"""Giving a widget the keys."""

from __future__ import annotations

from textual.widget import Widget


def focus_now(widget: Widget) -> None:
    """Gives a widget the keys at once; Textual's own way waits a turn, in which a fast hand's next key goes astray."""
    widget.screen.set_focus(widget)
