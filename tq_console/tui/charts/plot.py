"""Charts over time: lines of braille dots, bars of eighth blocks, with both axes and what each line means now.

A value holds for the whole of its step, and nothing is drawn between two of them but the way from one to the other;
where nothing is known there is a gap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tq_console.tui.charts.axis import ceiling, time_labels
from tq_console.tui.look.canvas import Line, Span
from tq_console.tui.look.glyphs import BLOCKS

Values: TypeAlias = Sequence[float | None]

LABEL_CELLS = 7
"""Of the upright axis."""
LOWEST = 4
"""Lines that a chart needs: its title, two of the plot, the times."""
_BRAILLE = 0x2800
_DOT = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))
"""By column and height in a cell, from below."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart."""

    word: str
    values: Values
    style: str


@dataclass(frozen=True, kw_only=True)
class Plot:
    """What a chart shows."""

    title: str
    series: tuple[Series, ...]
    span_ms: tuple[int, int]
    """Begin of the first step and end of the last."""
    unit: Callable[[float], str]
    """How a value reads."""
    is_time_ms: bool = False
    """Whether the values are durations."""
    has_bars: bool = False
    """Bars instead of lines; only the first series is shown."""
    note: str = ""
    """Said where nothing was measured."""


def plot_lines(plot: Plot, *, width: int, height: int) -> list[Line]:
    """A chart of exactly so many lines, each at most so wide."""
    if height < LOWEST or width < LABEL_CELLS + 8:
        return [_title(plot, width)][:height] + [[] for _ in range(max(0, height - 1))]
    rows, columns = height - 2, width - LABEL_CELLS - 1
    shown = plot.series[:1] if plot.has_bars else plot.series
    known = [v for series in shown for v in series.values if v is not None]
    top = ceiling(max(known, default=0.0), is_time_ms=plot.is_time_ms)
    if not known:
        body: list[list[Span]] = [[(" " * columns, "")] for _ in range(rows)]
        words = (plot.note or "nothing measured in this time")[:columns]
        body[rows // 2] = [(words.center(columns), "cell--dim")]
    elif plot.has_bars:
        body = _bars(shown[0], top, columns, rows)
    else:
        body = _dots(shown, top, columns, rows)
    lines: list[Line] = [_title(plot, width)]
    for y, spans in enumerate(body):
        label = plot.unit(top) if y == 0 and known else plot.unit(0.0) if y == rows - 1 and known else ""
        lines.append([(f"{label[: LABEL_CELLS - 1]:>{LABEL_CELLS - 1}} ", "cell--dim"), ("│", "cell--dim"), *spans])
    times = time_labels(*plot.span_ms, columns)
    lines.append([(" " * (LABEL_CELLS + 1) + times, "cell--dim")])
    return lines


def _title(plot: Plot, width: int) -> Line:
    """What the chart is and what its lines are at now; the last that do not fit are left out."""
    spans: list[Span] = [(plot.title, "cell--title")]
    used = len(plot.title)
    for series in plot.series:
        last = next((v for v in reversed(series.values) if v is not None), None)
        # A time was measured in steps: what is known is that it is below this.
        text = f"{series.word} {'-' if last is None else ('<' if plot.is_time_ms else '') + plot.unit(last)}"
        if used + 2 + len(text) > width:
            break
        spans += [("  ", ""), (text, series.style)]
        used += 2 + len(text)
    return spans


def _dots(shown: Sequence[Series], top: float, columns: int, rows: int) -> list[list[Span]]:
    """Lines of dots, two to a cell across and four up; where two lines meet, the later one gives the colour."""
    bits = [[0] * columns for _ in range(rows)]
    styles = [[""] * columns for _ in range(rows)]
    highest = rows * 4 - 1
    # The first series is the one that matters: drawn last, it is on top.
    for series in reversed(shown):
        before: int | None = None
        for x, value in enumerate(_spread(series.values, columns * 2)):
            if value is None:
                before = None
                continue
            here = round(min(1.0, max(0.0, value / top)) * highest)
            low, high = (here, here) if before is None else (min(before, here), max(before, here))
            for y in range(low, high + 1):
                row, column = rows - 1 - y // 4, x // 2
                bits[row][column] |= _DOT[x % 2][y % 4]
                styles[row][column] = series.style
            before = here
    return [
        _spans([chr(_BRAILLE + b) if b else " " for b in row], style) for row, style in zip(bits, styles, strict=True)
    ]


def _bars(series: Series, top: float, columns: int, rows: int) -> list[list[Span]]:
    heights = [
        0 if not value else max(1, round(min(1.0, value / top) * rows * 8)) for value in _spread(series.values, columns)
    ]
    lines = []
    for row in range(rows):
        below = (rows - 1 - row) * 8
        cells = [BLOCKS[max(0, min(8, height - below))] for height in heights]
        lines.append(_spans(cells, [series.style] * columns))
    return lines


def _spread(values: Values, cells: int) -> list[float | None]:
    """Values over so many cells: each as wide as it takes, and where several share one, the highest of them."""
    count = len(values)
    if not count:
        return [None] * cells
    found: list[float | None] = []
    for cell in range(cells):
        first = cell * count // cells
        last = max(first + 1, (cell + 1) * count // cells)
        known = [v for v in values[first:last] if v is not None]
        found.append(max(known) if known else None)
    return found


def _spans(cells: Sequence[str], styles: Sequence[str]) -> list[Span]:
    """Cells with their styles as few spans."""
    spans: list[Span] = []
    for cell, style in zip(cells, styles, strict=True):
        style_here = style if cell != " " else spans[-1][1] if spans else ""
        if spans and spans[-1][1] == style_here:
            spans[-1] = (spans[-1][0] + cell, style_here)
        else:
            spans.append((cell, style_here))
    return spans
