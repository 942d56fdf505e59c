"""How a line is drawn: always exactly as many cells as asked, and nothing in it that a terminal would obey."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.style import Style
from textual.strip import Strip

from tq_console.tui.table.fitted import fitted
from tq_console.tui.table.layout import lay_out
from tq_console.tui.table.line import Bar, Kind, Line, difference, draw, draw_heading
from tq_console.tui.table.rows import NORMAL, Cell, Column, Row

COLUMNS = (
    Column("ID", (8, 8, 8), is_pinned=True),
    Column("AGE", (6, 6, 6), is_right=True),
    Column("TEXT", (10, 10, 10), grows=True),
)
LAYOUT = lay_out(COLUMNS, NORMAL, 40)
NASTY = (
    "[/foo] [bold red]x",
    "\x1b[2J\x1b]0;title\x07\x9b31m",
    "a\0b\nc\td\re",
    "\ud800 lone \udfff",
    "\u202eright to left\u2066\u200b\u200d\ufeff",
    "漢字カナ文字の長い名前",
    "e\u0301" * 20,
    "\u0301\u0301starts with marks",
    "👩‍👩‍👧‍👦 🇩🇪 ❤️ 👍🏽 #️⃣",
    "שלום עולם",
    "مرحبا بالعالم",
    "z" + "\u0336" * 500,
)
texts = st.one_of(
    st.text(st.characters(codec=None), max_size=40),
    st.sampled_from(NASTY),
    st.lists(
        st.sampled_from(["漢", "e\u0301", "\ufe0f", "❤", "\u200d", "👩", "a", "\x1b[", "\u0300"]), max_size=20
    ).map("".join),
)
lines = st.builds(
    Line,
    st.sampled_from(Kind),
    st.builds(Row, st.just("id"), st.tuples(*[st.builds(Cell, texts)] * 3)),
    st.sampled_from(Bar),
    st.booleans(),
    texts,
)


def plain(_: str) -> Style:
    return Style.null()


def drawn(line: Line, layout: object = LAYOUT) -> Strip:
    return draw(line, layout, base=Style.null(), style_of=plain)  # type: ignore[arg-type]


def row(*cells: str) -> Row:
    return Row("id", tuple(map(Cell, cells)))


def obeyed(text: str) -> list[str]:
    return [char for char in text if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]


def column_texts(strip: Strip) -> list[str]:
    """What stands in the cells of each column, however the line is made of segments."""
    return [strip.crop(place.x, place.end).text for place in LAYOUT.places]


# --- any text ---


@given(texts, st.integers(0, 30), st.booleans())
def test_any_text_takes_exactly_the_cells_asked_for(text: str, cells: int, is_right: bool) -> None:
    assert cell_len(fitted(text, cells, is_right=is_right)) == cells


@given(texts, st.integers(1, 30))
def test_no_text_holds_anything_that_a_terminal_would_obey(text: str, cells: int) -> None:
    assert not obeyed(fitted(text, cells))


@given(lines, st.integers(0, 60))
def test_any_line_is_exactly_as_wide_as_the_table(line: Line, width: int) -> None:
    strip = drawn(line, lay_out(COLUMNS, NORMAL, width))

    assert cell_len(strip.text) == strip.cell_length == width
    assert not obeyed(strip.text)


@given(texts, texts, texts)
def test_any_texts_stand_in_their_columns(one: str, two: str, three: str) -> None:
    strip = drawn(Line(Kind.ROW, row(one, two, three)))

    assert column_texts(strip) == [fitted(one, 8), fitted(two, 6, is_right=True), fitted(three, LAYOUT.places[2].width)]


# --- single cases ---


def test_a_long_text_ends_in_an_ellipsis() -> None:
    assert fitted("abcdefgh", 5) == "abcd…"


def test_a_text_that_just_fits_is_whole() -> None:
    assert fitted("abcde", 5) == "abcde"


def test_a_short_text_stands_at_the_side_of_its_column() -> None:
    assert (fitted("ab", 4), fitted("ab", 4, is_right=True)) == ("ab  ", "  ab")


def test_a_wide_character_that_would_be_halved_gives_way_to_a_space() -> None:
    assert fitted("漢字漢字", 4) == "漢… "


def test_marks_stay_with_their_base() -> None:
    assert fitted("e\u0301" * 9, 3) == "e\u0301e\u0301…"


def test_marks_without_a_base_get_one() -> None:
    assert fitted("\u0301a", 3) == "◌\u0301a "


def test_a_pile_of_marks_is_cut() -> None:
    assert len(fitted("z" + "\u0336" * 5000, 4)) < 40


def test_markup_is_shown_as_it_is() -> None:
    assert fitted("[/foo] [b]", 12) == "[/foo] [b]  "


def test_control_characters_are_escaped() -> None:
    assert fitted("\x1b[2J\n", 12) == "\\x1b[2J\\n   "


def test_megabytes_of_text_are_cut_without_being_looked_at() -> None:
    assert fitted("x" * 5_000_000, 4) == "xxx…"


def test_the_cursor_is_a_bar_and_a_mark_is_a_sign() -> None:
    assert drawn(Line(Kind.ROW, row("a", "b", "c"), Bar.FOCUSED, is_marked=True)).text.startswith("▌●a")


def test_a_ghost_says_what_became_of_it_and_keeps_its_name() -> None:
    text = drawn(Line(Kind.GHOST, row("a", "b", "c"), Bar.FOCUSED, note="→ completed")).text

    assert text.startswith("▌✗a")
    assert "✗ → completed" in text


def test_a_row_that_is_not_loaded_is_a_line_of_dots() -> None:
    assert drawn(Line(Kind.PLACEHOLDER)).text.split() == ["…", "…", "…"]


def test_a_row_with_too_few_cells_is_filled_up() -> None:
    assert drawn(Line(Kind.ROW, row("a"))).text.strip() == "a"


def test_the_words_for_an_empty_list_are_centred() -> None:
    assert drawn(Line(Kind.EMPTY, note="no task")).text == "no task".center(40)


def test_the_heading_says_that_columns_are_left_out() -> None:
    columns = (COLUMNS[0], Column("TYPE", (9, 9, 9)), Column("QUEUE", (9, 9, 9)), Column("LAST", (9, 9, 9)))
    first = draw_heading(columns, lay_out(columns, NORMAL, 32), Style.null())
    then = draw_heading(columns, lay_out(columns, NORMAL, 32, skip=9), Style.null())

    assert first.text.rstrip().endswith(">")
    assert then.text.startswith(" <ID")
    assert "LAST" in then.text


# --- what differs ---


@pytest.mark.parametrize(
    ("now", "cells"),
    [
        (row("a", "b", "c"), None),
        (row("a", "X", "c"), (11, 17)),
        (row("X", "b", "X"), (2, 40)),
        (Row("id", (Cell("a"), Cell("b", "cell--bad"), Cell("c"))), (11, 17)),
        (Row("id", (Cell("a"), Cell("b"), Cell("c")), "cell--bad"), (0, 40)),
    ],
    ids=["nothing", "a cell", "two cells apart", "its style", "the style of the row"],
)
def test_what_differs_is_the_stretch_of_cells_that_changed(now: Row, cells: tuple[int, int] | None) -> None:
    assert difference(Line(Kind.ROW, row("a", "b", "c")), Line(Kind.ROW, now), LAYOUT) == cells


def test_the_cursor_changes_its_whole_line() -> None:
    before = Line(Kind.ROW, row("a", "b", "c"))

    assert difference(before, Line(Kind.ROW, row("a", "b", "c"), Bar.FOCUSED), LAYOUT) == (0, 40)


def test_a_change_in_a_column_that_is_not_shown_differs_in_nothing() -> None:
    narrow = lay_out((COLUMNS[0], Column("GONE", (0, 0, 0)), COLUMNS[2]), NORMAL, 40)

    assert difference(Line(Kind.ROW, row("a", "b", "c")), Line(Kind.ROW, row("a", "X", "c")), narrow) is None
