"""Where the columns of a table stand on a line, at one width of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tq_console.tui.table.rows import WIDE, Column

SIGN_WIDTH = 2
"""Cells at the left of each line: the bar of the cursor, the sign of a mark."""


@dataclass(frozen=True, slots=True)
class Place:
    """One column on screen."""

    column: int
    """Its index among all columns, which is also that of its cell in a row."""
    x: int
    width: int
    is_right: bool

    @property
    def end(self) -> int:
        """The first cell after it."""
        return self.x + self.width


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns on screen, left to right."""

    width: int
    """Cells of the whole line."""
    places: tuple[Place, ...]
    skipped: int
    """Columns left out at the left, after the pinned ones."""
    has_more: bool
    """Whether columns are left out or cut at the right."""


def lay_out(columns: Sequence[Column], breakpoint_: int, width: int, *, skip: int = 0) -> Layout:
    """Columns at their widths of the breakpoint; those that grow share what is left of the line.

    Args:
        breakpoint_: Index into `Column.widths`, or FULL.
        width: Cells of the line, those of the signs included.
        skip: Columns to leave out after the pinned ones: the table is scrolled sideways by so many.
    """
    gap = 2 if breakpoint_ >= WIDE else 1
    sized = [(index, column, column.width(breakpoint_)) for index, column in enumerate(columns)]
    sized = [entry for entry in sized if entry[2] > 0]
    pinned = 0
    while pinned < len(sized) and sized[pinned][1].is_pinned:
        pinned += 1
    skip = max(0, min(skip, _longest_skip(sized, pinned, gap, width)))
    shown = sized[:pinned] + sized[pinned + skip :]
    spare = width - _needed([cells for _, _, cells in shown], gap)
    growing = sum(column.grows for _, column, _ in shown)

    places: list[Place] = []
    x = SIGN_WIDTH
    for index, column, cells in shown:
        if x >= width:
            break
        wide = cells
        if column.grows and spare > 0:
            share = spare // growing
            wide, spare, growing = cells + share, spare - share, growing - 1
        places.append(Place(index, x, min(wide, width - x), column.is_right))
        x += wide + gap
    is_cut = bool(places) and places[-1].width < columns[places[-1].column].width(breakpoint_)
    return Layout(width, tuple(places), skip, len(places) < len(shown) or is_cut)


def _longest_skip(sized: Sequence[tuple[int, Column, int]], pinned: int, gap: int, width: int) -> int:
    """Columns to skip until the last one is whole; the last one itself is never skipped."""
    kept = [cells for _, _, cells in sized[:pinned]]
    rest = [cells for _, _, cells in sized[pinned:]]
    skip = 0
    while skip < len(rest) - 1 and _needed([*kept, *rest[skip:]], gap) > width:
        skip += 1
    return skip


def _needed(widths: Sequence[int], gap: int) -> int:
    return SIGN_WIDTH + sum(widths) + gap * max(0, len(widths) - 1)
