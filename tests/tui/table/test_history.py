"""A long random history of keys and changes: after each step the screen shows what a full redraw would show."""

from __future__ import annotations

import random

import pytest

from tests.tui.table.table_on_screen import OnScreen, row, table_on_screen
from tq_console.tui.table.rows import Row, Window

KEYS = ["j", "k", "pagedown", "pageup", "ctrl+d", "ctrl+u", "g", "G", "space", "v", "left", "right", "ctrl+backslash"]
STEPS = 50


class ChangingList:
    """A list that rows enter, leave and change in, as a busy queue does."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.made = chance, 0
        self.rows: list[Row] = []
        self.enter(60)

    def enter(self, count: int) -> None:
        """New rows come in, most of them at the top."""
        for _ in range(count):
            self.made += 1
            self.rows.insert(0 if self.chance.random() < 0.7 else len(self.rows), row(f"n{self.made}"))

    def leave(self) -> None:
        """Some rows leave, now and then all."""
        share = 1.0 if self.chance.random() < 0.05 else self.chance.random() / 3
        self.rows = [some for some in self.rows if self.chance.random() > share]

    def change(self) -> None:
        """Some rows get another age."""
        for i in range(len(self.rows)):
            if self.chance.random() < 0.2:
                self.rows[i] = row(self.rows[i].id, age=f"{self.chance.randrange(60)}s")

    def window(self, screen: OnScreen) -> Window:
        """What the table wants, found by the row that it holds on to, as a provider does."""
        wanted = screen.table.wanted
        at = next((i for i, some in enumerate(self.rows) if some.id == wanted.anchor_id), wanted.anchor_index)
        first = max(0, min(wanted.first + at - wanted.anchor_index, len(self.rows)))
        return Window(len(self.rows), first, tuple(self.rows[first : first + wanted.count]))


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
async def test_after_any_history_the_screen_shows_the_list_and_the_cursor(seed: int) -> None:
    chance = random.Random(seed)
    some = ChangingList(chance)
    async with table_on_screen(some.rows) as screen:
        for _ in range(STEPS):
            act = chance.choice(("key", "key", "enter", "leave", "change"))
            held, line = screen.table.cursor_id, screen.table.cursor_index - screen.table._top
            if act == "key":
                await screen.press(chance.choice(KEYS))
            else:
                {"enter": lambda: some.enter(chance.randrange(5)), "leave": some.leave, "change": some.change}[act]()
                await screen.show(some.window(screen))
                assert held is None or screen.table.cursor_id == held
                is_clamped = screen.table._top in {0, screen.table.max_scroll_y}
                assert is_clamped or screen.table.cursor_index - screen.table._top == line
            sent = screen.text()
            screen.table._strips.clear()
            screen.table.refresh()
            await screen.pilot.pause()

            assert screen.text() == sent
            assert screen.table.total == 0 or sent[screen.table.cursor_index - screen.table._top].startswith("▌")
