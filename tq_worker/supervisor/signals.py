"""What the signals of the outside world mean for a node."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

WATCHED = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """The first SIGTERM or SIGINT asks the node to leave, the second to hurry; more change nothing."""

    def __init__(self, *, leave: Callable[[str], None], hurry: Callable[[str], None]) -> None:
        self._leave, self._hurry = leave, hurry
        self._count = 0

    def install(self) -> None:
        """Takes the signals over, on the running loop."""
        loop = asyncio.get_running_loop()
        for number in WATCHED:
            loop.add_signal_handler(number, self._came, number)
        # A terminal that is closed is no reason to drop what runs: it is asked to leave as by SIGTERM.
        loop.add_signal_handler(signal.SIGHUP, self._came, signal.SIGHUP)

    def _came(self, number: signal.Signals) -> None:
        self._count += 1
        if self._count == 1:
            self._leave(number.name)
        elif self._count == 2:
            self._hurry(number.name)
