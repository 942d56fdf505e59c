"""Alerts in the console: the header, the overview, the bell, and that nothing of it costs who has none."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.queue_driver import QueueDriver
from tests.tui.console_on_queue import ConsoleOnQueue, console_on
from tq_console.alerts.config import alerts_of
from tq_console.tui.app import ConsoleApp


def fired_in_log(console: ConsoleOnQueue) -> int:
    return [row.cells[2].text for row in console.table._window.rows].count("fired")


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_an_alert_rings_once_and_stands_in_the_header_and_the_overview(
    q: QueueDriver, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    bells: list[str] = []
    monkeypatch.setattr(ConsoleApp, "bell", lambda _: bells.append("rang"))
    async with console_on(q, size=size, first="queues") as console:
        rules = ({"when": "depth(mail) > 1", "name": "[/x]\x1b[1m"}, {"when": "dlq > 0", "bell": False})
        console.app.alerts.use(alerts_of({"alerts": list(rules)}))
        q.put_many(3)
        await console.until(lambda: "1 alert" in console.header, "the alert in the header")
        await console.until(lambda: any("depth(mail) > 1: 3" in toast for toast in console.toasts), "the toast")
        assert "[/x]\\x1b[1m" in console.header or size[0] < 100
        q.fail(q.take_one(), verdict="fatal")
        await console.until(lambda: "2 alerts" in console.header, "the second one")
        assert bells == ["rang"]

        await console.press("1")
        await console.until_shown("dlq > 0: 1")
        row = console.table.cursor_row
        assert row is not None
        assert "depth(mail) > 1: 2" in row.cells[0].text
        await console.press("enter")
        await console.until(lambda: console.app.pane.id == "tasks", "the tasks of the queue")
        snapshot = console.app.snapshot
        assert snapshot is not None
        assert [event.word for event in snapshot.alert_log] == ["fired", "fired"]

        await console.press("8")
        await console.until(lambda: console.app.pane.id == "log", "the log")
        await console.until(lambda: fired_in_log(console) == 2, "both in the log")

        # Another broker begins anew.
        console.app.alerts.begin()
        await console.until(lambda: len(console.app.snapshot.alert_log) == 2 and len(bells) == 2, "a new book")  # type: ignore[union-attr]


def test_who_has_no_alert_loads_nothing_of_them() -> None:
    code = "import sys, tq_console.tui.app; print([m for m in sys.modules if 'alerts.' in m or m == 'httpx'])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "['tq_console.tui.wiring.alerts']" or ran.stdout.strip() == "[]"
