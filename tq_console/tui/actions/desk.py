"""What a window is given that asks the broker by itself, or makes plans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual.app import App

if TYPE_CHECKING:
    from tq_console.tui.actions.performing import Performer
    from tq_console.tui.watch.link import Link
    from tq_console.view.secrets import Masker


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The means of one console."""

    app: App[Any]
    link: Link
    performer: Performer
    masker: Masker
    actor: str
    """Who is written down with each change."""
