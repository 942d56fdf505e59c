"""A chosen order that holds still: rows are put in it when it is chosen, and again only while nobody is moving."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

from tq_console.tui.table.rows import Column

T = TypeVar("T")
IDLE_S = 2.0
"""So long nobody must have moved before rows change places."""


class HeldOrder(Generic[T]):
    """By which column a list is sorted; by none it keeps its own order."""

    def __init__(
        self,
        id_of: Callable[[T], str],
        orders: Mapping[str, tuple[Callable[[T], Any], bool]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begins with the list's own order.

        Args:
            orders: Heading -> what it is sorted by, and whether the highest comes first.
        """
        self._id_of, self._orders, self._clock = id_of, orders, clock
        self.by = ""
        """The heading; "" = the list's own order."""
        self.is_reversed = False
        self._places: dict[str, int] = {}
        self._moved_s = float("-inf")

    @property
    def titles(self) -> list[str]:
        """The headings by which it can be sorted."""
        return list(self._orders)

    def choose(self, title: str) -> None:
        """Sorts by a column from now on; by the one it is sorted by: the other way round."""
        self.is_reversed = title == self.by and not self.is_reversed
        self.by = title
        self._places, self._moved_s = {}, float("-inf")

    def moved(self) -> None:
        """Somebody moves: rows stay where they are for a while."""
        self._moved_s = self._clock()

    def arrange(self, items: Sequence[T]) -> list[T]:
        """The items in order; those that are new since rows were put in their places come last until then."""
        if not self.by:
            return list(items)
        if self._places and self._clock() - self._moved_s < IDLE_S:
            return sorted(items, key=lambda item: self._places.get(self._id_of(item), len(self._places)))
        key, is_falling = self._orders[self.by]
        found = sorted(sorted(items, key=self._id_of), key=key, reverse=is_falling != self.is_reversed)
        self._places = {self._id_of(item): place for place, item in enumerate(found)}
        return found

    def columns(self, columns: Sequence[Column]) -> tuple[Column, ...]:
        """The columns, the one it is sorted by with a sign."""
        if not self.by:
            return tuple(columns)
        _, is_falling = self._orders[self.by]
        sign = "▼" if is_falling != self.is_reversed else "▲"
        return tuple(replace(c, title=f"{c.title}{sign}") if c.title == self.by else c for c in columns)
