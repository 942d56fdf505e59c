"""A table alone in an app, over a list that the test changes; it records what is drawn and what is said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

from textual import on
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.pilot import Pilot
from textual.strip import Strip

from tq_console.tui.table.rows import Cell, Column, Row, Window
from tq_console.tui.table.table import VirtualTable

COLUMNS = (
    Column("ID", (10, 10, 10), is_pinned=True),
    Column("AGE", (5, 5, 5), is_right=True),
    Column("TEXT", (10, 10, 10), grows=True),
)
SIZE = (40, 11)
"""Ten lines for rows below the heading."""
LINES = 10


def row(name: str, age: str = "1s", text: str = "words") -> Row:
    return Row(name, (Cell(name), Cell(age), Cell(text)))


def rows(*names: str) -> tuple[Row, ...]:
    return tuple(row(name) for name in names)


def numbered(first: int, count: int) -> tuple[Row, ...]:
    return rows(*(f"r{i}" for i in range(first, first + count)))


def whole(some: Sequence[Row]) -> Window:
    """All of a list."""
    return Window(len(some), 0, tuple(some))


class Recorded(VirtualTable):
    """Keeps what it asks to be drawn, and how many lines it draws."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.drawn: list[Region] = []
        self.whole_drawn = self.layouts = self.lines_drawn = 0

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        self.drawn += regions
        self.layouts += layout
        self.whole_drawn += not regions
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def _drawn(self, y: int) -> Strip:
        self.lines_drawn += 1
        return super()._drawn(y)

    def forget(self) -> None:
        """Begins to record anew."""
        self.drawn.clear()
        self.whole_drawn = self.layouts = self.lines_drawn = 0


class TableApp(App[None]):
    """The table and nothing else."""

    ENABLE_COMMAND_PALETTE = False

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        self.columns = columns
        self.said: list[Any] = []

    def compose(self) -> ComposeResult:
        """The table."""
        yield Recorded(self.columns, empty_text="no task")

    @on(VirtualTable.CursorMoved)
    @on(VirtualTable.Opened)
    @on(VirtualTable.WindowWanted)
    @on(VirtualTable.MarksChanged)
    def _hear(self, event: VirtualTable.TableMessage) -> None:
        self.said.append(event)


class OnScreen:
    """What a test does with a table and sees of it."""

    def __init__(self, pilot: Pilot[None], app: TableApp) -> None:
        self.pilot, self.app = pilot, app
        self.table = app.query_one(Recorded)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def show(self, window: Window | Sequence[Row], *, ghost: bool = False) -> None:
        self.table.show(window if isinstance(window, Window) else whole(window), ghost=ghost)
        await self.pilot.pause()

    def text(self) -> list[str]:
        """The lines on screen below the heading, as the terminal has them, without the scroll bar."""
        width = self.table._layout_now.width
        return [strip.crop(0, width).text.rstrip() for strip in self.app.screen._compositor.render_strips()][1:]

    def names(self) -> list[str]:
        """The first word of each line on screen, without the signs."""
        return [line[2:].split(" ", maxsplit=1)[0] for line in self.text()]

    @property
    def cursor_line(self) -> int:
        """Line on screen of the bar."""
        (line,) = [y for y, text in enumerate(self.text()) if text.startswith("▌")]
        return line

    def heard(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.app.said if isinstance(event, kind)]


@asynccontextmanager
async def table_on_screen(
    some: Window | Sequence[Row] | None = None,
    *,
    columns: Sequence[Column] = COLUMNS,
    size: tuple[int, int] = SIZE,
    prepare: Callable[[VirtualTable], None] = lambda _: None,
) -> AsyncIterator[OnScreen]:
    """A table with the focus, and its first window shown."""
    app = TableApp(columns)
    async with app.run_test(size=size) as pilot:
        screen = OnScreen(pilot, app)
        prepare(screen.table)
        screen.table.focus()
        if some is not None:
            await screen.show(some)
        await pilot.pause()
        app.said.clear()
        screen.table.forget()
        yield screen
