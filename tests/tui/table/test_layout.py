"""Where columns stand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tq_console.tui.table.layout import SIGN_WIDTH, lay_out
from tq_console.tui.table.rows import NARROW, NORMAL, WIDE, Column

ID = Column("ID", (8, 8, 12), is_pinned=True)
TYPE = Column("TYPE", (10, 12, 20))
WORKER = Column("WORKER", (0, 10, 10))
TEXT = Column("TEXT", (10, 12, 20), grows=True)
MORE = Column("MORE", (10, 12, 20), grows=True)


def places(*columns: Column, width: int, at: int = NORMAL, skip: int = 0) -> list[tuple[str, int, int]]:
    return [(columns[p.column].title, p.x, p.width) for p in lay_out(columns, at, width, skip=skip).places]


def test_columns_follow_each_other_with_a_gap_of_one_cell() -> None:
    assert places(ID, TYPE, WORKER, width=80) == [("ID", 2, 8), ("TYPE", 11, 12), ("WORKER", 24, 10)]


def test_the_gap_is_two_cells_when_wide() -> None:
    assert places(ID, TYPE, width=200, at=WIDE) == [("ID", 2, 12), ("TYPE", 16, 20)]


def test_a_column_of_width_zero_is_left_out() -> None:
    assert [title for title, _, _ in places(ID, WORKER, TYPE, width=80, at=NARROW)] == ["ID", "TYPE"]


def test_a_growing_column_takes_what_is_left() -> None:
    assert places(ID, TEXT, width=80) == [("ID", 2, 8), ("TEXT", 11, 69)]


def test_growing_columns_share_what_is_left_to_the_last_cell() -> None:
    (_, _, one), (_, x, other) = places(TEXT, MORE, width=60)

    assert x + other == 60
    assert abs(one - other) <= 1


def test_a_line_that_is_too_short_cuts_the_last_column_and_says_so() -> None:
    layout = lay_out((ID, TYPE, WORKER), NORMAL, 28)

    assert layout.places[-1].end == 28
    assert layout.has_more


def test_scrolled_sideways_the_pinned_columns_stay() -> None:
    assert [title for title, _, _ in places(ID, TYPE, WORKER, width=28, skip=1)] == ["ID", "WORKER"]


def test_scrolling_sideways_ends_where_the_last_column_is_whole() -> None:
    layout = lay_out((ID, TYPE, WORKER), NORMAL, 28, skip=99)

    assert layout.skipped == 1
    assert not layout.has_more


def test_a_table_that_fits_is_not_scrolled_sideways() -> None:
    assert lay_out((ID, TYPE), NORMAL, 80, skip=1).skipped == 0


@given(
    st.lists(st.builds(Column, st.just("C"), st.tuples(*[st.integers(0, 30)] * 3), grows=st.booleans()), max_size=8),
    st.sampled_from([NARROW, NORMAL, WIDE]),
    st.integers(0, 120),
    st.integers(0, 9),
)
def test_columns_never_overlap_nor_leave_the_line(columns: list[Column], at: int, width: int, skip: int) -> None:
    layout = lay_out(columns, at, width, skip=skip)

    x = SIGN_WIDTH
    for place in layout.places:
        assert place.x >= x
        assert place.width > 0
        x = place.end
    assert not layout.places or x <= width


@pytest.mark.parametrize("width", [0, 1, 2, 3])
def test_a_line_of_almost_no_cells_has_a_layout(width: int) -> None:
    assert all(place.end <= width for place in lay_out((ID, TYPE), NORMAL, width).places)
