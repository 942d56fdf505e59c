"""Goes on without a terminal that was closed, so that the console can end in order."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, cast

from textual.drivers.linux_driver import LinuxDriver


class LosableFile:
    """A terminal to write to; what it no longer takes is forgotten.

    Textual's writer ends with the first write that fails. Once its queue is full the event loop then waits for it for
    ever, and neither the hangup nor any other signal is heard.
    """

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """Writes, or forgets; says how much in either case."""
        with contextlib.suppress(OSError):
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        """Sends what was written, or forgets it."""
        with contextlib.suppress(OSError):
            self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class LosableTerminalDriver(LinuxDriver):
    """Textual's driver over a terminal that may go."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._file = cast("Any", LosableFile(self._file))
        self._redrawn: Callable[[str], str] = str
        if getattr(self._app, "is_ascii", False):
            from tq_console.tui.look.ascii import to_ascii

            self._redrawn = to_ascii

    def write(self, data: str) -> None:
        """Sends what is drawn, in ASCII where that is asked for: the one place through which everything passes."""
        super().write(self._redrawn(data))
