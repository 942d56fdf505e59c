"""Going from place to place, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual.widgets import ContentSwitcher

from tq_console.tui.detail.detail_screen import DetailScreen
from tq_console.tui.frame.help import HelpScreen
from tq_console.tui.panes.pane import PlaceChosen
from tq_console.tui.watch.snapshot import Detail
from tq_console.tui.wiring.screens import screen_named

if TYPE_CHECKING:
    from tq_console.tui.app import ConsoleApp

VIEWS_KEPT = 20


class Navigation:
    """Which screen is shown, and which were before it."""

    def __init__(self, app: ConsoleApp, *, first: str) -> None:
        self._app = app
        self._views: list[str] = [first]
        self.switched_s = float("-inf")
        """When the screen was changed, on the app's clock."""

    async def go(self, name: str) -> None:
        """Shows a screen."""
        app = self._app
        while isinstance(app.screen, (DetailScreen, HelpScreen)):
            app.pop_screen()
        if app.screen is not app.base:
            app.notify("finish or leave what is open first: esc leaves it", severity="warning", timeout=3)
            return
        if name == app.pane.id:
            return
        self._views.append(app.pane.id or "")
        del self._views[:-VIEWS_KEPT]
        await self._switch(name)

    async def _switch(self, name: str) -> None:
        app = self._app
        await self._make(name)
        app.base.query_one("#body", ContentSwitcher).current = name
        self.switched_s = app.clock()
        app.pane.take_focus()
        app.frame.paint()
        app.ask_again(is_missing=app.pane.snapshot is None)

    async def _make(self, name: str) -> None:
        """Makes the pane where it has not been shown yet: what nobody looks at costs the start nothing."""
        app = self._app
        body = app.base.query_one("#body", ContentSwitcher)
        if body.query(f"#{name}"):
            return
        pane = screen_named(name).make(app.means)
        pane.display = False
        await body.mount(pane)
        pane.set_breakpoints(*app.frame.room())

    async def back(self) -> bool:
        """Shows the screen before this one; False where there was none."""
        if len(self._views) < 2:
            return False
        await self._switch(self._views.pop())
        return True

    async def go_to(self, place: PlaceChosen) -> None:
        """Shows a screen at a queue or state."""
        app = self._app
        await self.go(place.screen_name)
        if app.screen is app.base:
            if place.words:
                app.pane.search(place.words)
            else:
                app.pane.place(queue=place.queue, state=place.state)
            app.poller.poke()

    async def go_to_people(self) -> None:
        """Shows the Log, of what people did."""
        from tq_console.tui.panes.log import LogPane

        await self.go("log")
        if isinstance(self._app.pane, LogPane):
            self._app.pane.show_people()

    def open_task(self, task_id: str) -> None:
        """Shows a task whole."""
        app = self._app
        above = app.screen
        if above is not app.base and not (isinstance(above, DetailScreen) and above.task_id != task_id):
            # A second press, that came before the screen.
            return
        known = app.pane.known(task_id)
        before = replace(app.snapshot, detail=Detail(task_id, known)) if app.snapshot and known else None
        detail = DetailScreen(task_id, masker=app.masker, actor=app.link.actor, before=before)
        app.push_screen(detail, lambda _: self.uncover())
        app.ask_again(is_missing=True)

    def leave_above(self) -> bool:
        """Leaves what is above the panes; False where nothing is."""
        app = self._app
        if app.screen is app.base:
            return False
        app.pop_screen()
        self.uncover()
        return True

    def uncover(self) -> None:
        """What was above the panes is gone."""
        self._app.frame.paint()
        self._app.poller.poke()
