"""Starts the console and makes sure that all it started ends with it."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from tq_console.view.preferences import Preferences
from tq_core.broker.folder import state_root
from tq_core.settings import BrokerAddress

if TYPE_CHECKING:
    from tq_console.tui.command_line.commands import Commands

WELCOME_FILE = "console_welcomed"
LOW_BANDWIDTH = {"TEXTUAL_FPS": "8", "TEXTUAL_ANIMATIONS": "none", "TEXTUAL_SMOOTH_SCROLL": "0"}


def run_console(
    address: BrokerAddress,
    *,
    actor: str,
    make_commands: Callable[[], Commands] | None = None,
    is_read_only: bool = False,
    preferences: Preferences | None = None,
    is_in_browser: bool = False,
    unlock: str = "",
) -> int:
    """Runs the console until its user leaves; returns the exit code.

    Args:
        actor: Who is written down with each change.
        make_commands: Brings the commands for the line behind `:`.
        unlock: Why a protected broker is to be written to for the first minutes; "" = it is locked.
        is_in_browser: Whether it is drawn on a page, by the driver that the environment names.
    """
    if preferences is not None and preferences.is_low_bandwidth:
        # Textual reads them when it is imported.
        os.environ.update(LOW_BANDWIDTH)
    # What is made while starting stays: to look through it again and again for garbage takes a tenth of the start.
    gc.disable()
    from tq_console.tui.app import ConsoleApp
    from tq_console.tui.terminal_app import ENDING_SIGNALS
    from tq_console.tui.watch.link import Link

    app = ConsoleApp(
        Link(address, actor=actor, is_read_only=is_read_only),
        preferences=preferences,
        make_commands=make_commands,
        is_read_only=is_read_only,
        on_first_frame=_collect_again,
        is_in_browser=is_in_browser,
        unlock=unlock,
        welcome_file=None if is_in_browser else state_root(os.environ) / WELCOME_FILE,
    )
    handlers = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    try:
        code = app.run()
    finally:
        # The event loop leaves the default behind, and who called us may have other plans.
        for number, handler in handlers.items():
            signal.signal(number, handler)
        app.stop_local_workers()
    return app.return_code or code or 0


def _collect_again() -> None:
    gc.freeze()
    gc.enable()


def has_terminal() -> bool:
    """Whether there is a terminal to draw on and keys to read."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
