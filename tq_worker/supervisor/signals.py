"""What the signals of the outside world mean for a node.

    SIGTERM, SIGINT, SIGHUP    the first asks the node to leave, the second to hurry, more change nothing
    SIGQUIT                    hurry

Hurrying is still orderly: what runs is given back at no cost.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable

LEAVE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ONE_WISH_S = 0.3
"""Signals that come so soon after the first are the same wish: a wrapper often passes on what the terminal sent too."""


class Signals:
    """Counts what came."""

    def __init__(self, *, leave: Callable[[str], None], hurry: Callable[[str], None]) -> None:
        self._leave, self._hurry = leave, hurry
        self._first_at: float | None = None

    def install(self) -> None:
        """Takes the signals over, on the running loop."""
        loop = asyncio.get_running_loop()
        for number in LEAVE:
            # nohup makes a process ignore that its terminal was closed, and so it shall be.
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._came, number)
        loop.add_signal_handler(signal.SIGQUIT, self._hurry, signal.SIGQUIT.name)

    def _came(self, number: signal.Signals) -> None:
        now = time.monotonic()
        if self._first_at is None:
            self._first_at = now
            self._leave(number.name)
        elif now - self._first_at > ONE_WISH_S:
            self._hurry(number.name)
