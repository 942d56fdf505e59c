"""Going from one broker to another, and letting changes through to a protected one, without a restart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.widgets import ContentSwitcher

from tq_console.tui.watch.link import Link
from tq_console.tui.wiring.screens import screen_named
from tq_core.errors import NotFoundError, RefusedError
from tq_core.names import nearest
from tq_core.settings import BrokerAddress, contexts, resolve_broker

if TYPE_CHECKING:
    from tq_console.tui.app import ConsoleApp


@dataclass(frozen=True, slots=True)
class Choice:
    """A broker that can be gone to."""

    name: str
    address: str
    """Without its secrets."""
    color: str | None = None
    marks: str = ""
    is_here: bool = False


class Contexts:
    """The brokers of one console."""

    def __init__(self, app: ConsoleApp) -> None:
        self._app = app
        self._started_with = app.link.address
        self._was_unlocked = False

    def choices(self) -> list[Choice]:
        """All contexts of the configuration and, where it is none of them, the broker that the console began with.

        Raises:
            BrokerConfigError: the configuration cannot be read.
        """
        from tq_core.broker_url import masked_url

        here = self._app.link.name
        found = [
            Choice(
                context.name,
                masked_url(context.url),
                context.color or ("red" if context.is_protected else None),
                ", ".join(
                    word
                    for word, is_so in (("protected", context.is_protected), ("read-only", context.is_read_only))
                    if is_so
                ),
                context.name == here,
            )
            for context in contexts().values()
        ]
        first = self._started_with
        if first.context is None:
            found.insert(0, Choice(first.display_url, "where this console began", None, "", first.display_url == here))
        return found

    async def switch(self, name: str) -> None:
        """Shows another broker: panes begin anew, what is above them is left, local workers go on.

        Raises:
            RefusedError: a change is still under way.
            NotFoundError: there is no such context.
            BrokerConfigError: the configuration or the address is wrong.
        """
        app = self._app
        if app.is_in_browser:
            raise RefusedError("a page shows the broker that it was opened for and no other")
        if name == app.link.name:
            return
        if app.performer.under_way:
            raise RefusedError(f"a change of {app.link.name} is still under way: wait for it to end")
        address = self._address(name)
        if address.scheme == "memory":
            raise RefusedError(f"{address.display_url} lives inside one program and cannot be seen from here")
        left, running = app.link.name, len(app.local_workers.running)
        old = app.link
        while app.screen is not app.base:
            app.pop_screen()
        app.connect(Link(address, actor=old.actor, is_read_only=app.is_for_looking, clock=app.clock))
        self._was_unlocked = False
        await self._renew_panes()
        await old.aclose()
        # What was said was about the other one.
        app.clear_notifications()
        kept = f"; {running} local worker{'s' if running > 1 else ''} of {left} go on" if running else ""
        app.notify(f"{app.link.name} is shown now{kept}", timeout=4)

    def _address(self, name: str) -> BrokerAddress:
        first = self._started_with
        if first.context is None and name == first.display_url:
            return first
        known = contexts()
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known) or 'none'}"
            raise NotFoundError(f"there is no context {name!r}: {hint}")
        return resolve_broker(context=name)

    async def _renew_panes(self) -> None:
        app = self._app
        body = app.base.query_one("#body", ContentSwitcher)
        shown = app.pane.id or ""
        app.is_renewing = True
        try:
            await body.remove_children()
            await body.mount(screen_named(shown).make(app.means))
        finally:
            app.is_renewing = False
        app.frame.fit()
        app.pane.take_focus()
        app.frame.paint()
        app.begin_asking()

    # --- protected ones ---

    async def unlock(self, *, for_s: float, why: str) -> None:
        """Lets changes through for a while.

        Raises:
            TqError: as Link.unlock.
        """
        app = self._app
        await app.link.unlock(for_s=for_s, why=why)
        self._was_unlocked = True
        app.frame.paint_header()
        minutes = f"{for_s / 60:g} min" if for_s >= 60 else f"{for_s:g} s"
        app.notify(f"{app.link.name} lets changes through for {minutes}; :lock ends that sooner", severity="warning")

    def lock(self) -> None:
        """Refuses changes again."""
        self._app.link.lock()
        self.look()

    def look(self) -> None:
        """Says when a broker has locked itself again; to be called every second or so."""
        app = self._app
        is_unlocked = app.link.unlocked_s > 0
        if self._was_unlocked and not is_unlocked:
            app.notify(f"{app.link.name} is locked again: it can be looked at only", severity="warning")
            app.frame.paint()
        self._was_unlocked = is_unlocked
