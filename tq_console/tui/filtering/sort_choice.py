"""Asks by which column a list is to be sorted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.app import App

from tq_console.tui.filtering.picker import Choice, Picker
from tq_console.tui.lists.held_order import HeldOrder


def choose_order(app: App[Any], order: HeldOrder[Any], then: Callable[[], None]) -> None:
    """Opens the choice; `then` is called where one was made."""
    titles = order.titles
    choices = [
        Choice("in the list's own order"),
        *(Choice(title, "again: the other way round" if title == order.by else "") for title in titles),
    ]

    def chosen(number: int | None) -> None:
        if number is not None:
            order.choose(titles[number - 1] if number else "")
            then()

    at = titles.index(order.by) + 1 if order.by in titles else 0
    app.push_screen(Picker("Sort by", choices, at=at), chosen)
