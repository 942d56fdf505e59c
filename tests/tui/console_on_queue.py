"""The real console over a real queue, driven by keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot

from tests.queue_driver import QueueDriver
from tests.waiting import wait_until_async
from tq_console.cli.console import inside_commands
from tq_console.tui.app import ConsoleApp
from tq_console.tui.look.canvas import Canvas
from tq_console.tui.table.table import VirtualTable
from tq_console.tui.watch.link import Link
from tq_core.settings import resolve_broker

LONGEST_S = 10.0


class ConsoleOnQueue:
    """A console that is on screen."""

    def __init__(self, app: ConsoleApp, pilot: Pilot[Any], driver: QueueDriver) -> None:
        self.app, self.pilot, self.q = app, pilot, driver

    async def press(self, *keys: str) -> None:
        """Presses keys, and lets the console go on."""
        await self.pilot.press(*keys)

    async def until(self, predicate: Callable[[], Any], what: str) -> Any:
        """Waits until something is so, the console asking its broker all the while."""

        async def asked() -> Any:
            await self.pilot.pause()
            return predicate()

        return await wait_until_async(asked, LONGEST_S, what)

    async def until_shown(self, text: str) -> None:
        """Waits until a text is on screen."""
        await self.until(lambda: text in self.screen_text, f"{text!r} on screen")

    @property
    def screen_text(self) -> str:
        """What is on screen, as text."""
        width, height = self.app.size
        lines = self.app.screen._compositor.render_strips(self.app.size)[:height]
        return "\n".join("".join(segment.text for segment in strip)[:width] for strip in lines)

    @property
    def table(self) -> VirtualTable:
        """The table that is shown of the pane that is shown."""
        tables = self.app.pane.query(VirtualTable)
        return next(t for t in tables if all(widget.display for widget in t.ancestors_with_self))

    @property
    def header(self) -> str:
        return self.app.base.query_one("#header", Canvas).text

    @property
    def toasts(self) -> list[str]:
        """What the console has said."""
        return [notification.message for notification in self.app._notifications]

    @property
    def done(self) -> list[str]:
        """The commands that what was done here reads as."""
        return [performed.command for performed in self.app.performer.log]


@asynccontextmanager
async def console_on(
    driver: QueueDriver,
    *,
    size: tuple[int, int] = (120, 40),
    first: str = "overview",
    is_read_only: bool = False,
    interval_s: float = 0.1,
    by_group: bool = False,
) -> AsyncIterator[ConsoleOnQueue]:
    """Opens a console over the driver's queue; it is left when the block ends.

    Args:
        by_group: Of the DLQ, show the groups as it does by itself; else the tasks.
    """
    link = Link(resolve_broker(driver.url), actor="ann", is_read_only=is_read_only)
    app = ConsoleApp(link, first=first, interval_s=interval_s, make_commands=inside_commands)
    async with app.run_test(size=size, notifications=True) as pilot:
        console = ConsoleOnQueue(app, pilot, driver)
        await console.until(lambda: app.snapshot is not None or app.trouble is not None, "the first answer")
        if first == "dlq" and not by_group:
            await pilot.press("]")
            await console.until(lambda: app.trouble or (app.snapshot and app.snapshot.tasks), "the list of tasks")
        yield console
