"""When a scroll bar looks different."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.color import Color
from rich.segment import Segments
from textual.scrollbar import ScrollBarRender

from tq_console.tui.table.thumb import changed_cells, thumb

BACK, BAR = Color.parse("#000000"), Color.parse("#ffffff")
SIZE = 20


def test_a_longer_list_of_thousands_looks_the_same() -> None:
    assert thumb(SIZE, 5000, SIZE, 0) == thumb(SIZE, 5001, SIZE, 0)


def test_a_list_that_fits_has_a_thumb_as_long_as_the_bar() -> None:
    assert thumb(SIZE, SIZE, SIZE, 0) == (0, SIZE * 8)


@given(st.integers(SIZE + 1, 3000), st.integers(SIZE + 1, 3000), st.floats(0, 1), st.floats(0, 1))
def test_cells_of_the_bar_that_do_not_count_as_changed_are_drawn_alike(
    one: int, other: int, at: float, to: float
) -> None:
    before, now = (one, int((one - SIZE) * at)), (other, int((other - SIZE) * to))
    looks = [thumb(SIZE, length, SIZE, position) for length, position in (before, now)]
    changed = {y for first, count in changed_cells(*looks) for y in range(first, first + count)}

    differing = {y for y, (a, b) in enumerate(zip(textuals(*before), textuals(*now), strict=True)) if a != b}

    assert differing <= changed


def textuals(length: int, position: int) -> list[tuple[str, bool, bool]]:
    """Each cell of the bar as Textual draws it: its glyph, and whether its colours are those of the thumb."""
    bar = ScrollBarRender.render_bar(SIZE, length, SIZE, position, 1, True, BACK, BAR)
    assert isinstance(bar, Segments)
    return [
        (s.text, bool(s.style and s.style.reverse), bool(s.style and s.style.color))
        for s in bar.segments
        if s.text.strip("\n")
    ]
