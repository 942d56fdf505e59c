"""Where the cursor is after a list has changed under it: on the same row, or where that row was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tq_console.tui.table.rows import Row, Window


@dataclass(frozen=True, slots=True)
class Cursor:
    """A row that is held on to by its id."""

    index: int = 0
    """Its place in the list; of a ghost: that of the row that is next below it now."""
    row: Row | None = None
    """The row as it was last seen; None = not loaded yet."""
    is_ghost: bool = False
    """Whether it has left the list."""

    @property
    def id(self) -> str | None:
        """Id of the row; None = not loaded yet."""
        return self.row.id if self.row else None


def follow(cursor: Cursor, before: Window, now: Window, indices: Mapping[str, int], *, is_gone: bool = False) -> Cursor:
    """The cursor in the list as it is now.

    Args:
        cursor: Where it was in `before`.
        indices: Of each row of `now` by its id.
        is_gone: Whether it is known that the row has left the list, whatever the window covers.
    """
    if cursor.row is None:
        index = max(0, min(cursor.index, now.total - 1))
        return Cursor(index, row_at(now, index))
    index = indices.get(cursor.row.id, -1)
    if index >= 0:
        return Cursor(index, row_at(now, index))
    covered = now.offset <= cursor.index < now.offset + len(now.rows) or cursor.index >= now.total
    if not (is_gone or covered or cursor.is_ghost):
        return cursor
    return replace(cursor, index=_place_of_gone(cursor, before, now, indices), is_ghost=True)


def row_at(window: Window, index: int) -> Row | None:
    """The row at an index of the list; None where it is not loaded."""
    position = index - window.offset
    return window.rows[position] if 0 <= position < len(window.rows) else None


def neighbour(cursor: Cursor, window: Window) -> tuple[Row, int] | None:
    """The row to hold on to in place of a ghost, and its index: the one below it, or above where there is none."""
    for index in (cursor.index, cursor.index - 1):
        row = row_at(window, index)
        if row is not None:
            return row, index
    return None


def _place_of_gone(cursor: Cursor, before: Window, now: Window, indices: Mapping[str, int]) -> int:
    """Index of the first row that was below the cursor and is still there, else after the last that was above."""
    at = cursor.index - before.offset
    below = at if cursor.is_ghost else at + 1
    index = _first_of(before.rows[max(0, below) :], indices)
    if index is not None:
        return index
    index = _first_of(reversed(before.rows[: max(0, at)]), indices)
    if index is not None:
        return index + 1
    return max(0, min(cursor.index, now.total))


def _first_of(rows: Iterable[Row], indices: Mapping[str, int]) -> int | None:
    return next((indices[row.id] for row in rows if row.id in indices), None)
