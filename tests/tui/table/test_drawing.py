"""What is drawn again when something changes: those cells, and nothing else."""

from __future__ import annotations

import pytest
from textual.geometry import Region

from tests.tui.table.table_on_screen import LINES, numbered, row, rows, table_on_screen
from tq_console.tui.table.rows import WIDE, Cell, Row, Window

AGE = (13, 5)
"""Where the column of ages stands: its first cell and its width."""


async def test_nothing_is_drawn_when_nothing_changed() -> None:
    async with table_on_screen(numbered(0, 100)) as screen:
        await screen.show(numbered(0, 100))

        assert (screen.table.drawn, screen.table.whole_drawn, screen.table.lines_drawn) == ([], 0, 0)


async def test_one_changed_cell_draws_that_cell() -> None:
    async with table_on_screen(numbered(0, 100)) as screen:
        some = list(numbered(0, 100))
        some[4] = row("r4", age="2s")
        await screen.show(some)

        assert screen.table.drawn == [Region(AGE[0], 1 + 4, AGE[1], 1)]
        assert screen.table.whole_drawn == 0
        assert screen.table.lines_drawn == 1


async def test_a_change_off_screen_draws_nothing() -> None:
    async with table_on_screen(numbered(0, 100)) as screen:
        some = list(numbered(0, 100))
        some[40] = row("r40", age="2s")
        await screen.show(some)

        assert screen.table.drawn == []


async def test_a_cell_of_another_style_is_drawn_again() -> None:
    async with table_on_screen(rows("a", "b")) as screen:
        await screen.show([row("a"), Row("b", (Cell("b"), Cell("1s", "cell--bad"), Cell("words")))])

        assert screen.table.drawn == [Region(AGE[0], 2, AGE[1], 1)]


async def test_a_move_draws_two_lines() -> None:
    async with table_on_screen(numbered(0, 100)) as screen:
        await screen.press("j")

        assert {region.y for region in screen.table.drawn} == {1, 2}
        assert screen.table.whole_drawn == 0


async def test_rows_that_come_in_above_draw_nothing_because_the_view_goes_along() -> None:
    async with table_on_screen(numbered(0, 100)) as screen:
        await screen.show(numbered(-4, 104))

        assert (screen.table.drawn, screen.table.whole_drawn, screen.table.layouts) == ([], 0, 0)


async def test_a_list_that_grows_is_not_laid_out_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    async with table_on_screen(Window(5000, 0, numbered(0, 40))) as screen:
        await screen.show(Window(5000, 0, numbered(0, 40)))
        bars: list[object] = []
        monkeypatch.setattr(screen.table.vertical_scrollbar, "refresh", lambda *args, **_: bars.append(args))
        await screen.show(Window(5001, 0, numbered(0, 40)))

        assert (screen.table.drawn, screen.table.whole_drawn, screen.table.layouts) == ([], 0, 0)
        assert bars == []
        assert screen.table.max_scroll_y == 5001 - LINES


async def test_the_scroll_bar_is_drawn_when_it_looks_different(monkeypatch: pytest.MonkeyPatch) -> None:
    async with table_on_screen(numbered(0, 100)) as screen:
        bars: list[object] = []
        monkeypatch.setattr(screen.table.vertical_scrollbar, "refresh", lambda *args, **_: bars.append(args))
        await screen.press("G")

        assert bars


async def test_the_scroll_bar_comes_and_goes_with_the_length_of_the_list() -> None:
    async with table_on_screen(rows("a", "b")) as screen:
        seen = []
        for some in (rows("a", "b"), numbered(0, 100), rows("a", "b")):
            await screen.show(some)
            await screen.pilot.pause()
            seen.append((screen.table.show_vertical_scrollbar, screen.table._layout_now.width))

        assert seen == [(False, 39), (True, 39), (False, 39)]


async def test_the_cursor_is_seen_to_have_no_keys_when_the_focus_is_elsewhere() -> None:
    async with table_on_screen(rows("a", "b")) as screen:
        focused = screen.table.render_line(1)
        screen.app.set_focus(None)
        await screen.pilot.pause()

        assert screen.table.render_line(1).text == focused.text
        assert screen.table.render_line(1) != focused


async def test_another_theme_changes_the_colours_and_not_the_text() -> None:
    async with table_on_screen([Row("a", (Cell("a", "cell--good"), Cell("1s"), Cell("words")))]) as screen:
        before = screen.table.render_line(1)
        screen.app.theme = "textual-light"
        await screen.pilot.pause()

        assert screen.table.render_line(1).text == before.text
        assert screen.table.render_line(1) != before


async def test_dim_text_is_between_the_colours_of_text_and_background() -> None:
    dim = Row("a", (Cell("a", "cell--dim"), Cell("1s"), Cell("words")))
    async with table_on_screen([row("x"), dim]) as screen:
        plain, dimmed = (list(screen.table.render_line(y))[1].style for y in (1, 2))

        assert plain is not None
        assert dimmed is not None
        assert dimmed.color is not None
        assert dimmed.color != plain.color
        assert dimmed.color.get_truecolor() != (255, 255, 255)


async def test_an_unknown_style_is_drawn_plainly() -> None:
    async with table_on_screen([Row("a", (Cell("a", "cell--unheard-of"), Cell("1s"), Cell("words")))]) as screen:
        assert "words" in screen.text()[0]


async def test_text_that_looks_like_markup_or_codes_is_shown() -> None:
    async with table_on_screen([row("a", text="[/foo] \x1b[2J")], size=(60, 11)) as screen:
        assert "[/foo] \\x1b[2J" in screen.text()[0]


async def test_a_smaller_terminal_keeps_the_cursor_on_screen() -> None:
    async with table_on_screen(numbered(0, 100)) as screen:
        await screen.press(*["j"] * 9)
        await screen.pilot.resize_terminal(30, 6)
        await screen.pilot.pause()

        assert screen.text()[screen.cursor_line].startswith("▌ r9")


async def test_a_terminal_of_one_line_and_one_cell_breaks_nothing() -> None:
    async with table_on_screen(numbered(0, 100)) as screen:
        for size in ((1, 1), (3, 2), (40, 11)):
            await screen.pilot.resize_terminal(*size)
            await screen.press("j")

        assert screen.table.cursor_id == "r3"


async def test_another_breakpoint_lays_out_the_columns_anew() -> None:
    async with table_on_screen(numbered(0, 3)) as screen:
        screen.table.breakpoint = WIDE
        await screen.pilot.pause()

        assert screen.text()[0].index("1s") == 17
