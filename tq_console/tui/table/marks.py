"""Marked rows, by id, so that they survive any change of the list."""

from __future__ import annotations

from collections.abc import Iterable


class Marks:
    """An ordered set of ids, and where the last mark was set."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}
        self.is_all = False
        """Whether all rows of the list are marked, loaded or not, by no id of theirs."""
        self.anchor: tuple[str, int] | None = None
        """Row from which a range goes: its id, and its index when it was set."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Marked ids in the order in which they were marked."""
        return tuple(self._ids)

    def __contains__(self, row_id: str) -> bool:
        return self.is_all or row_id in self._ids

    def __len__(self) -> int:
        return len(self._ids)

    def toggle(self, row_id: str, index: int) -> None:
        """Sets or takes away one mark; a range goes from here."""
        self.is_all = False
        if row_id in self._ids:
            del self._ids[row_id]
        else:
            self._ids[row_id] = None
        self.anchor = row_id, index

    def add(self, row_ids: Iterable[str]) -> bool:
        """Marks all of them; returns whether any was not marked before."""
        before = -1 if self.is_all else len(self._ids)
        self.is_all = False
        self._ids.update(dict.fromkeys(row_ids))
        return len(self._ids) > before

    def add_all(self) -> None:
        """Marks all rows, and none by its id."""
        self._ids.clear()
        self.is_all = True

    def clear(self) -> bool:
        """Takes all marks away; returns whether there were any."""
        had = bool(self._ids) or self.is_all
        self._ids.clear()
        self.is_all = False
        self.anchor = None
        return had
