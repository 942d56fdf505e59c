"""Starts the console and makes sure that all it started ends with it."""

from __future__ import annotations

import gc
import os
import signal
import sys

from tq_core.settings import BrokerAddress


def run_console(address: BrokerAddress, *, actor: str, is_read_only: bool = False) -> int:
    """Runs the console until its user leaves; returns the exit code.

    Args:
        actor: Who is written down with each change.
    """
    # What is made while starting stays: to look through it again and again for garbage takes a tenth of the start.
    gc.disable()
    from tq_console.tui.app import ConsoleApp
    from tq_console.tui.terminal_app import ENDING_SIGNALS
    from tq_console.tui.watch.link import Link

    app = ConsoleApp(Link(address, actor=actor, is_read_only=is_read_only), on_first_frame=_collect_again)
    handlers = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    try:
        code = app.run()
    finally:
        # The event loop leaves the default behind, and who called us may have other plans.
        for number, handler in handlers.items():
            signal.signal(number, handler)
        app.local_workers.stop_all()
    return app.return_code or code or 0


def _collect_again() -> None:
    gc.freeze()
    gc.enable()


def has_terminal() -> bool:
    """Whether there is a terminal to draw on and keys to read."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
