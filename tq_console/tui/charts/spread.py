"""How times are spread, as bars that lie on their side: the bound, the bar, how many and which share."""

from __future__ import annotations

from collections.abc import Sequence

from tq_console.tui.charts.axis import number, time_ms
from tq_console.tui.look.canvas import Line
from tq_console.view.history import Bar

_PARTS = " ▏▎▍▌▋▊▉"
_FACTS = 8 + 13
"""Cells for the bound, and for the numbers."""


def spread_lines(title: str, bars: Sequence[Bar], *, width: int, height: int, style: str) -> list[Line]:
    """A title and a bar a line, exactly so many lines; the bound is what the times are below."""
    lines: list[Line] = [[(title, "cell--title")]]
    if not bars:
        lines += [[], [("nothing measured in this time".center(max(0, width)), "cell--dim")]]
    room = max(0, width - _FACTS - 1)
    top = max((bar.hits for bar in bars), default=0)
    for i, bar in enumerate(bars):
        filled = _bar(bar.hits / top, room) if top else ""
        sign = "<" if i == 0 or bar.below_ms <= 1 else " "
        lines.append(
            [
                (f"{(sign + time_ms(bar.below_ms))[:7]:>7} ", "cell--dim"),
                (filled, style),
                (" " * (room - len(filled)), ""),
                (f"{number(bar.hits):>6} {bar.share:>4.0%}", "" if bar.hits else "cell--dim"),
            ]
        )
    return (lines + [[] for _ in range(height)])[:height]


def _bar(share: float, cells: int) -> str:
    """A bar of a share of the cells, to an eighth of one; what is not nothing is seen."""
    eighths = round(share * cells * 8)
    if share > 0:
        eighths = max(1, eighths)
    whole, part = divmod(eighths, 8)
    return "█" * whole + (_PARTS[part] if part else "")
