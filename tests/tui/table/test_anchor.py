"""A list that changes under the operator: the row under the cursor stays where it is on screen."""

from __future__ import annotations

from tests.tui.table.table_on_screen import LINES, numbered, row, rows, table_on_screen
from tq_console.tui.table.rows import Window
from tq_console.tui.table.table import VirtualTable

HUNDRED = numbered(0, 100)


async def test_rows_that_come_in_above_leave_the_cursor_on_its_row_and_its_line() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.press("j", "j")
        before = screen.text()
        await screen.show(numbered(-4, 104))

        assert (screen.table.cursor_id, screen.table.cursor_index, screen.cursor_line) == ("r2", 6, 2)
        assert screen.text() == before


async def test_rows_that_leave_above_do_too() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.press("G", *["k"] * 20)
        line = screen.cursor_line
        await screen.show(HUNDRED[30:])

        assert (screen.table.cursor_id, screen.cursor_line) == ("r79", line)


async def test_where_the_list_is_too_short_the_line_moves_and_the_row_is_kept() -> None:
    async with table_on_screen(rows("a", "b", "c")) as screen:
        await screen.press("j")
        await screen.show(rows("b", "c"))

        assert (screen.table.cursor_id, screen.cursor_line) == ("b", 0)


async def test_a_row_that_moves_in_the_list_takes_the_cursor_with_it() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.press(*["j"] * 30)
        line = screen.cursor_line
        await screen.show((*HUNDRED[:30], *HUNDRED[31:60], HUNDRED[30], *HUNDRED[60:]))

        assert (screen.table.cursor_id, screen.table.cursor_index, screen.cursor_line) == ("r30", 59, line)


async def test_new_rows_above_are_counted_until_the_user_goes_to_the_top() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.show(numbered(-4, 104))
        await screen.show(numbered(-7, 107))
        assert screen.table.new_above == 7

        await screen.press("j")
        assert screen.table.new_above == 7

        await screen.press("g")
        assert screen.table.new_above == 0
        assert screen.table.cursor_id == "r-7"


async def test_rows_above_that_are_on_screen_are_not_counted_as_new() -> None:
    async with table_on_screen(rows("a", "b")) as screen:
        await screen.show(rows("x", "a", "b"))

        assert screen.table.new_above == 0


async def test_moving_down_does_not_make_rows_new() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.press("pagedown")
        await screen.show(HUNDRED)

        assert screen.table.new_above == 0


# --- ghosts ---


async def test_a_row_that_left_stays_as_a_ghost_in_its_place() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.press("j", "j")
        await screen.show((*HUNDRED[:2], *HUNDRED[3:]))

        assert screen.table.is_ghost
        assert screen.names() == [f"r{i}" for i in range(LINES)]
        assert screen.text()[2].startswith("▌✗r2")
        assert "✗ gone" in screen.text()[2]
        assert screen.table.cursor_row == row("r2")
        assert screen.table.marked_or_cursor() == ("r2",)


async def test_the_owner_says_what_became_of_the_ghost() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.show(HUNDRED[1:])
        screen.table.ghost_note = "→ completed"
        await screen.pilot.pause()

        assert "✗ → completed" in screen.text()[0]


async def test_the_note_of_one_ghost_is_not_that_of_the_next() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.show(HUNDRED[1:])
        screen.table.ghost_note = "→ completed"
        await screen.press("j")
        await screen.show(HUNDRED[2:])

        assert "✗ gone" in screen.text()[0]


async def test_a_ghost_is_gone_when_the_cursor_moves_on_to_the_row_below() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.press("j", "j")
        await screen.show((*HUNDRED[:2], *HUNDRED[3:]))
        await screen.press("j")

        assert not screen.table.is_ghost
        assert (screen.table.cursor_id, screen.cursor_line) == ("r3", 2)
        assert screen.names()[:4] == ["r0", "r1", "r3", "r4"]


async def test_a_ghost_is_gone_when_the_cursor_moves_on_to_the_row_above() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.press("j", "j")
        await screen.show((*HUNDRED[:2], *HUNDRED[3:]))
        await screen.press("k")

        assert (screen.table.cursor_id, screen.cursor_line) == ("r1", 1)
        assert screen.names()[:4] == ["r0", "r1", "r3", "r4"]


async def test_a_ghost_stays_between_its_neighbours_while_the_list_goes_on() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.press("j", "j")
        before = screen.names()
        await screen.show((*HUNDRED[:2], *HUNDRED[3:]))
        await screen.show((*rows("x", "y"), *HUNDRED[:2], *HUNDRED[3:]))

        assert screen.names() == before
        assert screen.cursor_line == 2


async def test_a_click_below_a_ghost_takes_the_row_that_was_clicked() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.press("j", "j")
        await screen.show((*HUNDRED[:2], *HUNDRED[3:]))
        await screen.pilot.click(screen.table, offset=(5, 1 + 5))
        await screen.pilot.pause()

        assert screen.table.cursor_id == "r5"


async def test_the_last_row_of_a_list_leaves_a_ghost_that_any_key_dissolves() -> None:
    async with table_on_screen(rows("a")) as screen:
        await screen.show([])
        assert screen.text()[0].startswith("▌✗a")

        await screen.press("j")
        assert screen.table.cursor_id is None
        assert "no task" in "\n".join(screen.text())


async def test_a_ghost_that_comes_back_is_a_row_again() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.show(HUNDRED[1:])
        await screen.show(HUNDRED)

        assert not screen.table.is_ghost
        assert screen.names()[:2] == ["r0", "r1"]


async def test_the_rows_around_a_ghost_are_what_the_table_holds_on_to() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.press("j", "j")
        await screen.show((*HUNDRED[:2], *HUNDRED[3:]))

        assert (screen.table.wanted.anchor_id, screen.table.wanted.anchor_index) == ("r3", 2)


# --- windows ---


async def test_rows_that_are_not_loaded_are_dots_and_are_asked_for() -> None:
    async with table_on_screen(Window(1000, 0, HUNDRED[:30])) as screen:
        await screen.press("G")

        assert set(screen.names()) == {"…"}
        assert screen.table.cursor_id is None
        assert len(screen.heard(VirtualTable.WindowWanted)) == 1
        wanted = screen.table.wanted
        assert wanted.first <= 990 - LINES
        assert wanted.first + wanted.count >= 1000


async def test_the_cursor_takes_the_row_that_arrives_under_it() -> None:
    async with table_on_screen(Window(1000, 0, HUNDRED[:30])) as screen:
        await screen.press("G")
        await screen.show(Window(1000, 970, numbered(970, 30)))

        assert screen.table.cursor_id == "r999"
        assert screen.names() == [f"r{i}" for i in range(990, 1000)]
        assert (screen.heard(VirtualTable.CursorMoved)[-1].row_id) == "r999"


async def test_rows_are_asked_for_before_they_are_on_screen() -> None:
    async with table_on_screen(Window(1000, 0, HUNDRED[:20])) as screen:
        await screen.press(*["j"] * 14)
        assert not screen.heard(VirtualTable.WindowWanted)

        await screen.press("j")
        assert len(screen.heard(VirtualTable.WindowWanted)) == 1
        assert "…" not in screen.names()


async def test_an_answer_that_falls_short_is_not_asked_for_in_a_loop() -> None:
    async with table_on_screen(Window(1000, 0, HUNDRED[:30])) as screen:
        await screen.press("G")
        for _ in range(3):
            await screen.show(Window(1000, 0, HUNDRED[:30]))

        assert len(screen.heard(VirtualTable.WindowWanted)) == 1


async def test_what_is_wanted_reaches_a_page_beyond_both_edges() -> None:
    async with table_on_screen(HUNDRED) as screen:
        assert (screen.table.wanted.first, screen.table.wanted.count) == (0, 20)

        await screen.press("pagedown", "pagedown", "pagedown")

        assert (screen.table.wanted.first, screen.table.wanted.count) == (20, 30)
        assert (screen.table.wanted.anchor_id, screen.table.wanted.anchor_index) == ("r30", 30)


async def test_a_table_that_has_nothing_asks_for_its_first_rows() -> None:
    async with table_on_screen() as screen:
        assert screen.table.wanted.first == 0
        assert screen.table.wanted.count >= LINES
        assert screen.table.wanted.anchor_id is None


async def test_a_million_rows_cost_no_more_than_those_on_screen() -> None:
    million = 1_000_000
    async with table_on_screen(Window(million, 0, HUNDRED[:30])) as screen:
        for first in (0, 500_000, million - 30):
            screen.table.move_to(first)
            await screen.show(Window(million, max(0, first - 20), numbered(max(0, first - 20), 50)))
        assert screen.names() == [f"r{i}" for i in range(999_961, 999_971)]
        assert screen.table.cursor_id == "r999970"

        screen.table.forget()
        await screen.press("G")

        assert screen.names()[-1] == "r999999"
        assert screen.table.lines_drawn <= LINES + 1
        assert screen.table.layouts == 0


async def test_another_list_begins_at_its_top_with_nothing_marked() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.press("space", "G")
        screen.table.reset(screen.app.columns, empty_text="no other")
        await screen.pilot.pause()
        assert (screen.table.cursor_id, screen.table.cursor_index, screen.table.marked) == (None, 0, ())
        assert set(screen.names()) == {""}

        await screen.show([])
        assert "no other" in "\n".join(screen.text())

        await screen.show(numbered(500, 30))
        assert screen.names()[0] == "r500"
