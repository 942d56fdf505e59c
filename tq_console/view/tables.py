"""Aligned columns of text: never wrapped, cut with an ellipsis to the width there is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tq_console.view.text import cell_width, fit, pad, visible

GAP = "  "
NARROWEST = 4
READABLE = 14

Paint = Callable[[str, str], str]
"""Puts a style (`bold`, `dim`, or a colour's name) around a text."""


@dataclass(frozen=True)
class Column:
    """One column: its heading, and how it behaves when room is short."""

    title: str
    is_right: bool = False
    is_flexible: bool = False
    """Gives up cells when the lines do not fit."""
    is_optional: bool = False
    """Left out whole when the lines do not fit even so, the last one first."""
    readable: int = READABLE
    """A flexible one keeps so many cells while there are optional ones to leave out, or others to narrow."""


@dataclass(frozen=True)
class Cell:
    """A text with a style."""

    text: str
    style: str = ""


def plain(text: str, style: str) -> str:
    """Paints nothing."""
    del style
    return text


def render(
    columns: Sequence[Column], rows: Iterable[Sequence[str | Cell]], *, width: int | None = None, paint: Paint = plain
) -> list[str]:
    """Lines of a table, the headings first.

    Args:
        rows: Texts from outside are welcome: they are made safe here.
        width: Columns of the terminal; None = as wide as it gets.
    """
    cells = [[_cell(c) for c in row] for row in rows]
    widths = [
        max([cell_width(column.title), *(cell_width(row[i].text) for row in cells)]) for i, column in enumerate(columns)
    ]
    if width is not None:
        kept = _kept(columns, widths, width)
        columns, widths = [columns[i] for i in kept], [widths[i] for i in kept]
        cells = [[row[i] for i in kept] for row in cells]
        _narrow(columns, widths, width)
    lines = [_line([Cell(c.title, "bold") for c in columns], columns, widths, paint)]
    lines += [_line(row, columns, widths, paint) for row in cells]
    return lines


def _cell(value: str | Cell) -> Cell:
    return Cell(visible(value)) if isinstance(value, str) else Cell(visible(value.text), value.style)


def _kept(columns: Sequence[Column], widths: Sequence[int], width: int) -> list[int]:
    """The columns to show: without the last optional ones where all of them would not be readable."""
    kept = list(range(len(columns)))
    least = [min(w, c.readable) if c.is_flexible else w for c, w in zip(columns, widths, strict=True)]
    for i in reversed(range(len(columns))):
        if sum(least[k] for k in kept) + len(GAP) * (len(kept) - 1) <= width:
            break
        if columns[i].is_optional:
            kept.remove(i)
    return kept


def _narrow(columns: Sequence[Column], widths: list[int], width: int) -> None:
    """Takes cells from the widest flexible column until the line fits, then from the last ones.

    What can be read stays so, as long as another column has more than it needs for that.
    """
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - width
    for least in ([c.readable for c in columns], [NARROWEST] * len(columns)):
        floors = [max(n, len(c.title)) for n, c in zip(least, columns, strict=True)]
        while excess > 0:
            flexible = [i for i, c in enumerate(columns) if c.is_flexible and widths[i] > floors[i]]
            if not flexible:
                break
            widest = max(flexible, key=lambda i: widths[i])
            runner_up = max((widths[i] for i in flexible if i != widest), default=0)
            taken = min(excess, max(1, widths[widest] - max(floors[widest], runner_up)))
            widths[widest] -= taken
            excess -= taken
    for i in reversed(range(len(widths))):
        taken = min(max(0, excess), widths[i])
        widths[i] -= taken
        excess -= taken


def _line(row: Sequence[Cell], columns: Sequence[Column], widths: Sequence[int], paint: Paint) -> str:
    parts = []
    for cell, column, width in zip(row, columns, widths, strict=True):
        if width == 0:
            continue
        text = pad(fit(cell.text, width), width, is_right=column.is_right)
        parts.append((text, cell.style))
    if not parts:
        return ""
    last_text, last_style = parts[-1]
    parts[-1] = (last_text.rstrip(), last_style)
    return GAP.join(paint(text, style) if style else text for text, style in parts)
