"""What is painted is safe, as wide as it should be, and sent to the terminal only where it changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.geometry import Region

from tq_console.tui.look.canvas import Canvas, _changed

HOSTILE = "\x1b]0;owned\x07 [/foo] \x00 \u202e abc 漢字 e\u0301 👩‍👩‍👧"


class Recorder(Canvas):
    """Keeps the regions that it asked to be drawn again."""

    def __init__(self) -> None:
        super().__init__()
        self.regions: list[Region] = []

    def refresh(self, *regions: Region, **options: bool) -> Recorder:
        self.regions += regions
        super().refresh(*regions, **options)
        return self


class Host(App[None]):
    CSS = "Recorder { height: 3; width: 40; }"

    def compose(self) -> ComposeResult:
        yield Recorder()


async def test_only_the_cells_that_changed_are_drawn_again() -> None:
    app = Host()
    async with app.run_test(size=(40, 5)) as pilot:
        canvas = app.query_one(Recorder)
        canvas.paint([[("depth ", "cell--dim"), ("4,102", ""), (" out 12/s", "")], [("same", "")]])
        await pilot.pause()
        canvas.regions.clear()
        canvas.paint([[("depth ", "cell--dim"), ("4,107", ""), (" out 12/s", "")], [("same", "")]])
        assert canvas.regions == [Region(10, 0, 1, 1)]
        canvas.regions.clear()
        canvas.paint([[("depth ", "cell--dim"), ("4,107", ""), (" out 12/s", "")], [("same", "")]])
        assert canvas.regions == []


async def test_hostile_text_is_shown_and_never_obeyed() -> None:
    app = Host()
    async with app.run_test(size=(40, 5)) as pilot:
        canvas = app.query_one(Recorder)
        canvas.paint([[(HOSTILE, "cell--bad")]])
        await pilot.pause()
        strip = canvas.render_line(0)
        assert strip.cell_length == 40
        assert strip.text.isprintable()
        assert strip.text.startswith("\\x1b]0;owned\\x07 [/foo] \\x00 \\u202e")


async def test_every_style_has_its_rule_in_both_themes() -> None:
    app = Host()
    async with app.run_test() as pilot:
        canvas = app.query_one(Recorder)
        for style in Canvas.STYLES:
            assert canvas._style(style) != canvas._style(""), style
        before = canvas._style("cell--title")
        app.theme = "textual-light"
        await pilot.pause()
        assert canvas._style("cell--title") != before


spans = st.lists(
    st.tuples(st.text(st.sampled_from("ab漢e 1"), max_size=6), st.sampled_from(["", "cell--bad"])), max_size=5
)


@given(spans, spans)
def test_the_changed_range_covers_every_cell_that_differs(
    before: list[tuple[str, str]], now: list[tuple[str, str]]
) -> None:
    def cells(line: list[tuple[str, str]]) -> list[tuple[str, str]]:
        found = []
        for text, style in line:
            for char in text:
                found += [(char, style)] * cell_len(char)
        return found

    start, end = _changed(before, now)
    old, new = cells(before), cells(now)
    for x in range(max(len(old), len(new))):
        if (old[x] if x < len(old) else None) != (new[x] if x < len(new) else None):
            assert start <= x < end


@pytest.mark.parametrize("lines", [0, 1, 30])
async def test_a_canvas_that_grows_is_as_high_as_its_lines(lines: int) -> None:
    class Growing(App[None]):
        CSS = "Canvas { height: auto; }"

        def compose(self) -> ComposeResult:
            yield Canvas()

    app = Growing()
    async with app.run_test(size=(20, 50)) as pilot:
        canvas = app.query_one(Canvas)
        canvas.paint([[(f"line {n}", "")] for n in range(lines)])
        await pilot.pause()
        assert canvas.size.height == max(1, lines)


class Growing(Host):
    CSS = "Recorder { height: 3; width: 1fr; }"


async def test_what_is_painted_while_the_terminal_grows_is_as_wide_as_it_is_then() -> None:
    app = Growing()
    async with app.run_test(size=(20, 5)) as pilot:
        canvas = app.query_one(Recorder)
        canvas.paint([[("a", "")]])
        narrow = canvas.render_line(0)
        await pilot.resize_terminal(60, 5)
        canvas._strips[0] = narrow
        assert canvas.render_line(0).cell_length == 60
