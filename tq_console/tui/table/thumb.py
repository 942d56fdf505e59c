"""How a scroll bar looks, so that it is drawn again only when it looks different."""

from __future__ import annotations

from math import ceil

_PARTS = 8
"""Steps that a cell of the bar can show."""


def thumb(size: int, virtual_size: int, window_size: int, position: float) -> tuple[int, int]:
    """Steps at which the thumb begins and ends.

    Args:
        size: Cells of the bar.
        virtual_size: Lines that there are.
        window_size: Lines on screen.
        position: Lines above the first one on screen.

    Source: `ScrollBarRender.render_bar` of Textual, which draws it.
    """
    if not size or virtual_size <= window_size:
        return 0, size * _PARTS
    length = max(1.0, window_size * size / virtual_size)
    start = int((size - length) * position / (virtual_size - window_size) * _PARTS)
    return start, start + ceil(length * _PARTS)


def changed_cells(before: tuple[int, int], now: tuple[int, int]) -> list[tuple[int, int]]:
    """Stretches of the bar to draw again, as first cell and number of cells: what either edge of the thumb passed."""
    stretches = []
    for old, new in zip(before, now, strict=True):
        if old != new:
            first, last = min(old, new) // _PARTS, max(old, new) // _PARTS
            stretches.append((first, last - first + 1))
    return stretches
