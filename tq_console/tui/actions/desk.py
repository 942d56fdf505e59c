"""What a window is given that asks the broker by itself, or makes plans."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from textual.app import App
from textual.message import Message

if TYPE_CHECKING:
    from tq_console.tui.actions.performing import Performer, Writer
    from tq_console.view.secrets import Masker


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The means of one console."""

    app: App[Any]
    link: Writer
    performer: Performer
    masker: Masker
    actor: str
    """Who is written down with each change."""


Opening: TypeAlias = Callable[[Desk], Awaitable[None]]


class WindowWanted(Message):
    """A window is to be opened; run in a worker of the app's, one at a time."""

    def __init__(self, opening: Opening) -> None:
        super().__init__()
        self.opening = opening
