"""The user's alert rules in the console: looked at with every snapshot, told in the header, by bell and by post."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tq_console.tui.watch.snapshot import Snapshot

if TYPE_CHECKING:
    from tq_console.alerts.book import AlertBook, AlertEvent
    from tq_console.alerts.config import Alerts
    from tq_console.alerts.webhook import Webhooks
    from tq_console.tui.app import ConsoleApp

TOAST_S = 10.0


class AlertWatch:
    """The alerts of the broker that is shown; nothing is imported for who has none."""

    def __init__(self, app: ConsoleApp) -> None:
        self._app = app
        self._alerts: Alerts | None = None
        self._book: AlertBook | None = None
        self._posts: Webhooks | None = None

    async def read(self) -> None:
        """Reads the rules from the configuration file; what is wrong with them is told."""
        from tq_console.alerts.config import read_alerts

        found = await asyncio.to_thread(read_alerts)
        if found.problems:
            text = "\n".join(found.problems[:3])
            self._app.notify(f"{text}\n$ tq alerts check", title="alerts", severity="warning", timeout=TOAST_S)
        self.use(found)

    def use(self, alerts: Alerts) -> None:
        """Looks at these from the next snapshot on."""
        self._alerts = alerts
        self.begin()

    def begin(self) -> None:
        """Begins anew: another broker is shown, of which nothing is known yet."""
        if self._alerts is None:
            return
        from tq_console.alerts.book import AlertBook

        context = self._app.link.address.context
        self._book = AlertBook(self._alerts.of(context.name if context else None))

    def look(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with what fires now; who is to be told is told."""
        book = self._book
        if book is None:
            return snapshot
        events = book.look(snapshot.queues, snapshot.fleet, now_s=snapshot.taken_s)
        if events:
            self._tell(events)
        return replace(snapshot, alerts=tuple(book.firing), alert_log=tuple(book.log))

    def _tell(self, events: Sequence[AlertEvent]) -> None:
        app = self._app
        for event in events:
            is_firing = event.state.is_firing
            app.notify(
                event.state.text,
                title=f"alert {event.word}",
                severity="error" if is_firing else "information",
                timeout=TOAST_S,
            )
            self._post(event)
        if any(event.state.is_firing and event.state.alert.has_bell for event in events):
            app.bell()

    def _post(self, event: AlertEvent) -> None:
        if event.state.alert.webhook is None:
            return
        if self._posts is None:
            from tq_console.alerts.webhook import Webhooks

            self._posts = Webhooks(on_failure=self._not_posted)
        self._posts.post(event, self._app.link.name)

    def _not_posted(self, text: str) -> None:
        """In the thread that posts."""
        # The console may be ending.
        with contextlib.suppress(Exception):
            self._app.call_from_thread(
                self._app.notify, text, title="an alert was not posted", severity="warning", timeout=TOAST_S
            )

    def close(self) -> None:
        """Posts nothing more."""
        if self._posts is not None:
            self._posts.close()
