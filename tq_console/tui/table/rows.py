"""What a table shows, as values: columns, cells, rows, and the window of a list that is loaded."""

from __future__ import annotations

from dataclasses import dataclass

NARROW, NORMAL, WIDE = 0, 1, 2
"""Breakpoints of the terminal's width, as indices into `Column.widths`."""
FULL = 3
"""In the place of a breakpoint: every column as wide as is worth while, whatever the terminal's width."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, and how wide it is at each breakpoint."""

    title: str
    widths: tuple[int, int, int]
    """Cells when narrow, normal, wide; 0 leaves the column out there."""
    is_right: bool = False
    grows: bool = False
    """Takes a share of the cells that the others leave."""
    full: int = 0
    """Cells where all columns are shown, left and right of the screen too; 0 = as when wide."""
    is_pinned: bool = False
    """Stays in place when the table is scrolled sideways; the first columns only."""

    def width(self, breakpoint_: int) -> int:
        """Cells at a breakpoint, or at FULL; 0 leaves the column out."""
        return (self.full or self.widths[WIDE]) if breakpoint_ == FULL else self.widths[breakpoint_]


@dataclass(frozen=True, slots=True)
class Cell:
    """A text from anywhere, made safe where it is drawn, with the component class that styles it ("" = the row's)."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a list."""

    id: str
    """What the cursor and the marks hold on to."""
    cells: tuple[Cell, ...]
    """One for each column of the table, in its order, shown or not."""
    style: str = ""
    """Component class of the whole line; "" = none."""


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a list that is loaded."""

    total: int
    """Rows that the whole list has."""
    offset: int
    """Rows before the first one here."""
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The part of a list that a table needs next: enough for its lines and some to either side."""

    first: int
    """Index of the first row."""
    count: int
    anchor_id: str | None
    """The row that must stay where it is on screen, wherever it has got to in the list; None = none is loaded yet."""
    anchor_index: int
    """Where that row was last."""
