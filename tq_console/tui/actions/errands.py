"""Something to be asked of the broker once, by a key, besides what the screen needs again and again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from textual.message import Message

from tq_console.tui.actions.stopping import Stop
from tq_core.transport.steps import Flow

T = TypeVar("T")


class Reader(Protocol):
    """The way to the broker, for who only reads."""

    async def ask(self, flow: Flow[T]) -> T: ...


Say = Callable[[str], None]
Errand = Callable[[Reader, Say], Awaitable[str]]
"""Given a reader and how to say how far it is; returns what is to be said at the end, "" = nothing."""


class ErrandWanted(Message):
    """An errand is to be run in a worker of the app's."""

    def __init__(self, errand: Errand, *, ends_by: Stop | None = None) -> None:
        super().__init__()
        self.errand, self.ends_by = errand, ends_by
