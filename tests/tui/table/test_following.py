"""Where the cursor is after the list has changed."""

from __future__ import annotations

from tq_console.tui.table.following import Cursor, follow, neighbour, row_at
from tq_console.tui.table.rows import Row, Window


def window(names: str, *, offset: int = 0, total: int | None = None) -> Window:
    return Window(offset + len(names) if total is None else total, offset, tuple(Row(name, ()) for name in names))


def followed(cursor: Cursor, before: Window, now: Window, *, is_gone: bool = False) -> tuple[int, str | None, bool]:
    indices = {row.id: now.offset + i for i, row in enumerate(now.rows)}
    result = follow(cursor, before, now, indices, is_gone=is_gone)
    return result.index, result.id, result.is_ghost


def on(name: str, before: Window) -> Cursor:
    index = next(before.offset + i for i, row in enumerate(before.rows) if row.id == name)
    return Cursor(index, row_at(before, index))


BEFORE = window("abcde")


def test_the_cursor_stays_on_its_row() -> None:
    assert followed(on("c", BEFORE), BEFORE, window("xyabcde")) == (4, "c", False)


def test_a_row_that_left_is_a_ghost_above_the_one_that_was_below() -> None:
    assert followed(on("c", BEFORE), BEFORE, window("xabde")) == (3, "c", True)


def test_a_ghost_whose_neighbour_left_too_is_above_the_next_that_stayed() -> None:
    assert followed(on("b", BEFORE), BEFORE, window("ae")) == (1, "b", True)


def test_a_ghost_at_the_end_is_below_the_last_that_stayed() -> None:
    assert followed(on("e", BEFORE), BEFORE, window("xab")) == (3, "e", True)


def test_a_ghost_goes_with_its_neighbours() -> None:
    ghost = Cursor(2, BEFORE.rows[2], is_ghost=True)

    assert followed(ghost, window("abde"), window("xyabde")) == (4, "c", True)


def test_a_row_that_comes_back_is_no_ghost() -> None:
    ghost = Cursor(2, BEFORE.rows[2], is_ghost=True)

    assert followed(ghost, window("abde"), window("cabde")) == (0, "c", False)


def test_a_row_outside_the_window_is_not_taken_for_gone() -> None:
    assert followed(on("c", BEFORE), BEFORE, window("vwxyz", offset=50)) == (2, "c", False)


def test_the_owner_may_know_that_a_row_is_gone() -> None:
    assert followed(on("c", BEFORE), BEFORE, window("vwxyz", offset=50), is_gone=True)[1:] == ("c", True)


def test_an_index_that_was_not_loaded_takes_the_row_that_arrives() -> None:
    assert followed(Cursor(51), BEFORE, window("vwxyz", offset=50)) == (51, "w", False)


def test_an_index_beyond_the_end_moves_to_the_last_row() -> None:
    assert followed(Cursor(51), BEFORE, window("abc")) == (2, "c", False)


def test_an_empty_list_leaves_a_ghost_alone() -> None:
    assert followed(on("c", BEFORE), BEFORE, window("")) == (0, "c", True)


def test_an_empty_list_has_no_row_for_a_cursor_without_one() -> None:
    assert followed(Cursor(), BEFORE, window("")) == (0, None, False)


def test_the_row_below_a_ghost_is_held_on_to_in_its_place() -> None:
    held = neighbour(Cursor(2, BEFORE.rows[2], is_ghost=True), window("abde"))

    assert held is not None
    assert (held[0].id, held[1]) == ("d", 2)


def test_the_row_above_a_ghost_at_the_end_is_held_on_to() -> None:
    held = neighbour(Cursor(2, BEFORE.rows[2], is_ghost=True), window("ab"))

    assert held is not None
    assert (held[0].id, held[1]) == ("b", 1)
