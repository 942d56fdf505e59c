"""What the signals of the outside world mean for a node.

    SIGTERM, SIGINT    the first asks the node to leave, the second to hurry, more change nothing
    SIGQUIT            hurry
    SIGHUP             load the code anew; where it means that the terminal was closed, it is as SIGTERM

Hurrying is still orderly: what runs is given back at no cost.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable

from tq_worker.terminal import let_go_of_a_closed_terminal

LEAVE = (signal.SIGTERM, signal.SIGINT)
ONE_WISH_S = 0.3
"""Signals that come so soon after the first are the same wish: a wrapper often passes on what the terminal sent too."""


class Signals:
    """Counts what came."""

    def __init__(
        self, *, leave: Callable[[str], None], hurry: Callable[[str], None], reload: Callable[[str], None]
    ) -> None:
        self._leave, self._hurry, self._reload = leave, hurry, reload
        self._had_terminal = has_terminal()
        self._first_at: float | None = None

    def install(self) -> None:
        """Takes the signals over, on the running loop."""
        loop = asyncio.get_running_loop()
        for number in LEAVE:
            loop.add_signal_handler(number, self._came, number)
        # nohup makes a process ignore that its terminal was closed, and so it shall be.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGHUP, self._hung_up)
        loop.add_signal_handler(signal.SIGQUIT, self._hurry, signal.SIGQUIT.name)

    def _hung_up(self) -> None:
        # A kernel that hangs up takes the terminal away first; whoever sends the signal by hand leaves it there.
        if self._had_terminal and not has_terminal():
            let_go_of_a_closed_terminal()
            self._came(signal.SIGHUP)
        else:
            self._reload(signal.SIGHUP.name)

    def _came(self, number: signal.Signals) -> None:
        now = time.monotonic()
        if self._first_at is None:
            self._first_at = now
            self._leave(number.name)
        elif now - self._first_at > ONE_WISH_S and number is not signal.SIGHUP:
            self._hurry(number.name)


def has_terminal() -> bool:
    """Whether this process has a terminal that could be closed."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True
