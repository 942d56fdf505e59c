"""One line of a table: what it shows, how it is drawn, and which cells of it differ from what stood there before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tq_console.tui.table.fitted import fitted
from tq_console.tui.table.layout import SIGN_WIDTH, Layout
from tq_console.tui.table.rows import Cell, Column, Row

CURSOR_SIGN, MARK_SIGN, GHOST_SIGN = "▌", "●", "✗"
_NO_CELL = Cell("")

StyleOf = Callable[[str], Style]
"""From the name of a component class to what it changes of a style."""


class Kind(Enum):
    """What a line holds."""

    BLANK = "below the last row"
    ROW = "a row"
    GHOST = "the row under the cursor after it has left the list"
    PLACEHOLDER = "a row that is not loaded"
    EMPTY = "the words for a list without rows"


class Bar(Enum):
    """Whether the cursor is on a line, and whether keys go to it."""

    NONE = ""
    FOCUSED = "table--cursor"
    BLURRED = "table--cursor-blurred"


@dataclass(frozen=True, slots=True)
class Line:
    """What a line shows; equal lines are drawn alike."""

    kind: Kind
    row: Row | None = None
    bar: Bar = Bar.NONE
    is_marked: bool = False
    note: str = ""
    """What became of a ghost, or the words of an empty list."""


BLANK = Line(Kind.BLANK)


def draw(line: Line, layout: Layout, *, base: Style, style_of: StyleOf) -> Strip:
    """The line as cells, exactly as many as the layout is wide."""
    if line.kind is Kind.BLANK:
        return Strip([Segment(" " * layout.width, base)] if layout.width else [], layout.width)
    if line.kind is Kind.EMPTY:
        words = fitted(line.note, layout.width).strip()
        before = (layout.width - cell_len(words)) // 2
        text = fitted(" " * before + words, layout.width)
        return Strip([Segment(text, base + style_of("table--dim"))], layout.width)
    whole = base + _whole_style(line, style_of)
    cells = _Cells(layout.width)
    cells.add(_signs(line), SIGN_WIDTH, whole + style_of("table--signs"))
    if line.row is None or line.kind is Kind.PLACEHOLDER:
        for place in layout.places:
            cells.skip_to(place.x, whole)
            cells.add(fitted("…", place.width, is_right=place.is_right), place.width, whole)
    else:
        for place, cell in zip(layout.places, _shown(line, layout), strict=True):
            cells.skip_to(place.x, whole)
            style = whole + style_of(cell.style) if cell.style and line.kind is not Kind.GHOST else whole
            cells.add(fitted(cell.text, place.width, is_right=place.is_right), place.width, style)
    cells.skip_to(layout.width, whole)
    return cells.strip()


def draw_heading(columns: Sequence[Column], layout: Layout, style: Style) -> Strip:
    """The titles, with arrows where columns are left out."""
    cells = _Cells(layout.width)
    cells.add(" <" if layout.skipped else "  ", SIGN_WIDTH, style)
    for place in layout.places:
        cells.skip_to(place.x, style)
        title = columns[place.column].title
        if layout.has_more and place is layout.places[-1]:
            cells.add(fitted(title, place.width - 1, is_right=place.is_right), place.width - 1, style)
            cells.add(">", 1, style)
        else:
            cells.add(fitted(title, place.width, is_right=place.is_right), place.width, style)
    cells.skip_to(layout.width, style)
    return cells.strip()


def difference(before: Line, now: Line, layout: Layout) -> tuple[int, int] | None:
    """First cell to draw again and the one after the last; None where both look alike.

    It is one stretch even where single columns far apart differ: the terminal gets each stretch of a line with all
    that is left of it, so that two would cost more than the one that spans both.
    """
    if before == now:
        return None
    whole = 0, layout.width
    if before.row is None or now.row is None or before.row.style != now.row.style:
        return whole
    if (before.kind, before.bar, before.is_marked) != (now.kind, now.bar, now.is_marked):
        return whole
    pairs = zip(layout.places, _shown(before, layout), _shown(now, layout), strict=True)
    changed = [place for place, old, new in pairs if old != new]
    return (changed[0].x, changed[-1].end) if changed else None


def _shown(line: Line, layout: Layout) -> list[Cell]:
    """The cells on screen of a row; what became of a ghost stands in the widest after the first, which names it."""
    row = line.row.cells if line.row else ()
    cells = [row[place.column] if place.column < len(row) else _NO_CELL for place in layout.places]
    if line.kind is Kind.GHOST and cells:
        widest = max(range(len(cells)), key=lambda i: (i > 0, layout.places[i].width, i))
        cells[widest] = Cell(f"{GHOST_SIGN} {line.note}")
    return cells


def _signs(line: Line) -> str:
    bar = " " if line.bar is Bar.NONE else CURSOR_SIGN
    sign = GHOST_SIGN if line.kind is Kind.GHOST else MARK_SIGN if line.is_marked else " "
    return bar + sign


def _whole_style(line: Line, style_of: StyleOf) -> Style:
    names = []
    if line.kind is Kind.PLACEHOLDER:
        names.append("table--placeholder")
    elif line.kind is Kind.GHOST:
        names.append("table--ghost")
    elif line.row is not None and line.row.style:
        names.append(line.row.style)
    if line.is_marked:
        names.append("table--marked")
    if line.bar is not Bar.NONE:
        names.append(line.bar.value)
    return Style.combine(style_of(name) for name in names) if names else Style.null()


class _Cells:
    """Segments of a line, cut where it ends; as few as possible, since each costs the terminal its codes."""

    def __init__(self, width: int) -> None:
        self._width, self._x = width, 0
        self._segments: list[Segment] = []

    def add(self, text: str, cells: int, style: Style) -> None:
        """Appends a text of so many cells."""
        room = self._width - self._x
        if cells > room:
            text, cells = fitted(text, room), max(0, room)
        if cells <= 0:
            return
        self._x += cells
        last = self._joinable()
        if last is not None and last.style == style:
            self._segments[-1] = Segment(last.text + text, style)
        else:
            self._segments.append(Segment(text, style))

    def skip_to(self, x: int, style: Style) -> None:
        """Appends spaces up to a cell."""
        cells = min(x, self._width) - self._x
        last = self._joinable()
        if last is not None and last.style is not None and _is_same_blank(last.style, style):
            style = last.style
        self.add(" " * cells, cells, style)

    def _joinable(self) -> Segment | None:
        # Rich loses a combining mark where it cuts a segment behind it, so a text that may end in one stays alone.
        last = self._segments[-1] if self._segments else None
        return last if last is not None and last.text[-1:].isascii() else None

    def strip(self) -> Strip:
        return Strip(self._segments, self._width)


def _is_same_blank(one: Style, other: Style) -> bool:
    """Whether a space looks the same in both styles."""
    if one == other:
        return True
    has_lines = any(s.underline or s.underline2 or s.strike or s.overline or s.reverse for s in (one, other))
    return one.bgcolor == other.bgcolor and not has_lines
