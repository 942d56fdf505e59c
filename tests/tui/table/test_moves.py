"""Keys and the mouse: where the cursor goes, what is marked, what is said."""

from __future__ import annotations

import pytest
from textual.events import MouseScrollDown

from tests.tui.table.table_on_screen import COLUMNS, LINES, numbered, rows, table_on_screen
from tq_console.tui.table.rows import Column, Window
from tq_console.tui.table.table import VirtualTable

HUNDRED = numbered(0, 100)


@pytest.mark.parametrize(
    ("keys", "index", "top"),
    [
        (["j"], 1, 0),
        (["down", "down"], 2, 0),
        (["j", "j", "k"], 1, 0),
        (["j", "up"], 0, 0),
        (["k"], 0, 0),
        (["j"] * 10, 10, 1),
        (["pagedown"], 10, 10),
        (["j", "pagedown", "pageup"], 1, 0),
        (["ctrl+d"], 5, 5),
        (["ctrl+d", "ctrl+d", "ctrl+u"], 5, 5),
        (["G"], 99, 90),
        (["end"], 99, 90),
        (["G", "j"], 99, 90),
        (["G", "g"], 0, 0),
        (["G", "home"], 0, 0),
        (["G", "pagedown"], 99, 90),
        (["G", "k", "k"], 97, 90),
    ],
    ids=lambda value: "+".join(value[:3]) if isinstance(value, list) else None,
)
async def test_keys_move_the_cursor(keys: list[str], index: int, top: int) -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.press(*keys)

        assert (screen.table.cursor_index, screen.table.cursor_id) == (index, f"r{index}")
        assert screen.names() == [f"r{i}" for i in range(top, top + LINES)]
        assert screen.cursor_line == index - top


async def test_each_move_is_said_once() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.press("j", "k", "k")

        assert [(e.row_id, e.index) for e in screen.heard(VirtualTable.CursorMoved)] == [("r1", 1), ("r0", 0)]
        assert all(e.control is screen.table for e in screen.heard(VirtualTable.CursorMoved))


async def test_enter_opens_the_row_under_the_cursor() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.press("j", "enter")

        assert [e.row_id for e in screen.heard(VirtualTable.Opened)] == ["r1"]


async def test_an_empty_list_says_so_and_has_nothing_to_open_or_mark() -> None:
    async with table_on_screen([]) as screen:
        await screen.press("j", "G", "pagedown", "space", "v", "enter")

        assert "no task" in "\n".join(screen.text())
        assert screen.table.cursor_id is None
        assert screen.table.marked_or_cursor() == ()
        assert not screen.heard(VirtualTable.Opened)


# --- marks ---


async def test_space_marks_and_goes_on() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.press("space", "j", "space")

        assert screen.table.marked == ("r0", "r2")
        assert screen.table.cursor_id == "r3"
        assert [line[1] for line in screen.text()[:4]] == ["●", " ", "●", " "]
        assert len(screen.heard(VirtualTable.MarksChanged)) == 2


async def test_space_takes_a_mark_away() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.press("space", "k", "space")

        assert screen.table.marked == ()


async def test_space_on_the_last_row_draws_its_mark() -> None:
    async with table_on_screen(rows("a", "b")) as screen:
        await screen.press("j", "space")

        assert screen.text()[1].startswith("▌●b")


async def test_v_marks_from_the_last_mark_to_the_cursor() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.press("j", "space", "j", "j", "v")

        assert screen.table.marked == ("r1", "r2", "r3", "r4")


async def test_v_marks_upwards_too() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.press(*["j"] * 5, "space", "g", "j", "j", "j", "v")

        assert set(screen.table.marked) == {"r3", "r4", "r5"}


async def test_v_without_a_mark_marks_the_row_under_the_cursor() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.press("j", "v")

        assert screen.table.marked == ("r1",)


async def test_v_marks_loaded_rows_only() -> None:
    async with table_on_screen(Window(100, 0, HUNDRED[:20])) as screen:
        await screen.press("space", "pagedown", "pagedown", "pagedown", "v")

        assert len(screen.table.marked) == 20


async def test_a_range_begins_at_the_marked_row_wherever_it_has_got_to() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.press("space")
        await screen.show(numbered(-3, 100))
        await screen.press("j", "v")

        assert screen.table.marked == ("r0", "r1", "r2")


async def test_ctrl_backslash_takes_all_marks_away() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.press("space", "space", "ctrl+backslash")

        assert screen.table.marked == ()
        assert "●" not in "\n".join(screen.text())


async def test_marks_survive_new_windows_even_where_their_row_is_not_loaded() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.press("space", "space")
        await screen.show(Window(1000, 500, numbered(500, 50)))
        await screen.show(HUNDRED)

        assert screen.table.marked == ("r0", "r1")
        assert [line[1] for line in screen.text()[:3]] == ["●", "●", " "]


async def test_an_action_is_about_the_marks_else_about_the_cursor() -> None:
    async with table_on_screen(HUNDRED) as screen:
        assert screen.table.marked_or_cursor() == ("r0",)

        await screen.press("space", "space", "j")

        assert screen.table.marked_or_cursor() == ("r0", "r1")


# --- the mouse ---


async def test_a_click_moves_the_cursor_and_another_one_there_opens() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.pilot.click(screen.table, offset=(5, 4))
        await screen.pilot.pause()
        assert screen.table.cursor_id == "r3"
        assert not screen.heard(VirtualTable.Opened)

        await screen.pilot.click(screen.table, offset=(5, 4))
        await screen.pilot.pause()
        assert [e.row_id for e in screen.heard(VirtualTable.Opened)] == ["r3"]


@pytest.mark.parametrize(("line", "name"), [(1, "r0"), (4, "r3")], ids=["on the cursor", "elsewhere"])
async def test_a_double_click_opens_once(line: int, name: str) -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.pilot.click(screen.table, offset=(5, line), times=2)
        await screen.pilot.pause()

        assert [e.row_id for e in screen.heard(VirtualTable.Opened)] == [name]


async def test_a_click_on_the_heading_or_below_the_rows_does_nothing() -> None:
    async with table_on_screen(rows("a", "b")) as screen:
        await screen.pilot.click(screen.table, offset=(5, 0))
        await screen.pilot.click(screen.table, offset=(5, 8))
        await screen.pilot.pause()

        assert screen.app.said == []


async def test_the_wheel_takes_the_cursor_along_at_the_edge_of_the_view() -> None:
    async with table_on_screen(HUNDRED) as screen:
        screen.table.post_message(_wheel(screen.table))
        await screen.pilot.pause()

        assert screen.names()[0] == "r3"
        assert screen.table.cursor_id == "r3"


async def test_the_wheel_leaves_a_cursor_that_stays_on_screen_alone() -> None:
    async with table_on_screen(HUNDRED) as screen:
        await screen.press(*["j"] * 5)
        screen.table.post_message(_wheel(screen.table))
        await screen.pilot.pause()

        assert (screen.table.cursor_id, screen.cursor_line) == ("r5", 2)


async def test_the_scroll_bar_takes_the_cursor_along() -> None:
    async with table_on_screen(HUNDRED) as screen:
        screen.table.scroll_to(y=50, animate=False)
        await screen.pilot.pause()

        assert screen.names()[0] == "r50"
        assert screen.table.cursor_id == "r50"


def _wheel(table: VirtualTable) -> MouseScrollDown:
    return MouseScrollDown(table, x=5, y=5, delta_x=0, delta_y=1, button=0, shift=False, meta=False, ctrl=False)


# --- sideways ---

MANY = (COLUMNS[0], *(Column(name, (15, 15, 15)) for name in ("TYPE", "QUEUE", "LAST")))


async def test_right_and_left_scroll_columns_while_the_pinned_one_stays() -> None:
    async with table_on_screen(HUNDRED, columns=MANY) as screen:
        first = screen.app.screen._compositor.render_strips()[0].text.split()
        await screen.press("right")
        then = screen.app.screen._compositor.render_strips()[0].text.split()
        await screen.press("right", "right", "right")
        at_the_end = screen.app.screen._compositor.render_strips()[0].text.split()
        await screen.press("left", "left", "left", "left")
        back = screen.app.screen._compositor.render_strips()[0].text.split()

    assert first == back == ["ID", "TYPE", "QUEUE", ">"]
    assert then[:2] == ["<ID", "QUEUE"]
    assert at_the_end == ["<ID", "LAST"]
    assert screen.table.cursor_index == 0


async def test_every_binding_can_be_remapped() -> None:
    assert all(binding.id.startswith("table.") for binding in VirtualTable.BINDINGS)  # type: ignore[union-attr]
