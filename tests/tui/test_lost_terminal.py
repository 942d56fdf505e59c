"""A terminal that was closed holds up nobody who draws on it."""

from __future__ import annotations

import contextlib
import os

from textual.drivers._writer_thread import MAX_QUEUED_WRITES, WriterThread
from textual.drivers.linux_driver import LinuxDriver

from tq_console.tui.app import ConsoleApp
from tq_console.tui.lost_terminal import LosableFile, LosableTerminalDriver
from tq_console.tui.watch.link import Link
from tq_core.broker_url import BrokerScheme
from tq_core.settings import BrokerAddress


def test_more_is_drawn_than_is_queued_after_the_terminal_was_closed() -> None:
    ours, theirs = os.openpty()
    file = os.fdopen(theirs, "w", encoding="utf-8")
    os.close(ours)
    writer = WriterThread(LosableFile(file))  # type: ignore[arg-type]
    writer.start()

    for _ in range(5 * MAX_QUEUED_WRITES):
        writer.write("x" * 10_000)

    assert writer.is_alive()
    writer.stop()
    with contextlib.suppress(OSError):
        file.close()


def test_the_console_draws_on_a_terminal_that_may_go() -> None:
    app = ConsoleApp(Link(BrokerAddress(BrokerScheme.MEMORY, url="memory://x", source="TQ_URL", name="x"), actor="ann"))

    assert issubclass(LosableTerminalDriver, LinuxDriver)
    assert app.driver_class is LosableTerminalDriver
