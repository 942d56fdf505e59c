"""An application that ends in order whatever becomes of its terminal, and whose words are text and nothing else."""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial

from rich.text import Text
from textual import work
from textual.app import App
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.notifications import SeverityLevel

from tq_console.tui.lost_terminal import LosableTerminalDriver
from tq_console.view.text import ELLIPSIS, visible, visible_lines

ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
INTERRUPTED = 130
DEBUG_VARIABLE = "TQ_DEBUG"
TOAST_MAX = 600
"""Characters of what is said in a corner: more would hide the screen."""


class TerminalApp(App[int]):
    """What the console is without tasks and queues."""

    is_ascii = False
    """Whether nothing but ASCII is drawn."""

    def get_driver_class(self) -> type[Driver]:
        """Textual's choice; for a terminal one that outlives it."""
        chosen = super().get_driver_class()
        return LosableTerminalDriver if chosen is LinuxDriver else chosen

    def copy_to_clipboard(self, text: str) -> None:
        """Puts a text into the clipboard of the terminal, wherever that is."""
        if not isinstance(self._driver, LinuxDriver):
            super().copy_to_clipboard(text)
            return
        self._clipboard = text
        self._give(text)

    @work(thread=True, group="clipboard", exit_on_error=False)
    def _give(self, text: str) -> None:
        from tq_console.tui import clipboard

        fitting = clipboard.fitting(text)
        if os.environ.get("TMUX") and clipboard.give_to_tmux(fitting):
            return
        if self._driver is not None:
            self._driver.write(clipboard.sequence(fitting))

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Says something in a corner, as text: what nodes, tasks and Redis say is part of it."""
        del markup
        cut = ELLIPSIS if len(message) > TOAST_MAX else ""
        text, about = "\n".join(visible_lines(message[:TOAST_MAX] + cut)), visible(title)
        super().notify(text, title=about, severity=severity, timeout=timeout, markup=False)

    def end_on_signals(self) -> None:
        """Lets a signal, or the terminal's going, end the console in order."""
        if self.is_headless:
            return
        loop = asyncio.get_running_loop()
        for number in ENDING_SIGNALS:
            loop.add_signal_handler(number, partial(self.exit, INTERRUPTED))

    def _fatal_error(self) -> None:
        """Ends with one line instead of Python's traceback: a bug of ours is no reason to frighten anybody."""
        error = self._exception
        if os.environ.get(DEBUG_VARIABLE):
            super()._fatal_error()
            return
        text = f"tq: internal error, {type(error).__name__}: {error}; {DEBUG_VARIABLE}=1 shows where"
        self._exit_renderables.append(Text(visible(" ".join(text.split()))))
        self._close_messages_no_wait()
