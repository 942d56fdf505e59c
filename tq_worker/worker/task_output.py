"""What the process of a task prints, on stdout or stderr, as lines of the task's log.

Both go into one pipe, so that their order is kept. A handler that prints without end is slowed down by its full pipe,
and of what it printed between two looks the last lines are kept: neither this process nor the log drowns in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable

from tq_core.roles.task_logs import MAX_LINES

LOOK_EVERY_S = 0.05
MAX_LOOK_BYTES = 1024 * 1024
"""What is taken out of the pipe at once, and what it holds, so that a handler may print 20 MB a second."""
MAX_LINE_BYTES = 8192
"""So much of a line is kept; what does not end is a line after so much."""
_READ_BYTES = 65536


class TaskOutput:
    """Reads one pipe, on the event loop."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._ours, self.theirs = os.pipe()
        os.set_blocking(self._ours, False)
        with contextlib.suppress(AttributeError, OSError):  # not on this system, or too many are that large
            fcntl.fcntl(self._ours, fcntl.F_SETPIPE_SZ, MAX_LOOK_BYTES)
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.TimerHandle | None = None
        self._rest = b""
        """A line that has not ended yet."""
        self._loop.add_reader(self._ours, self._ready)

    def close_theirs(self) -> None:
        """Leaves the other end to the task's process; can be done again."""
        if self.theirs >= 0:
            os.close(self.theirs)
            self.theirs = -1

    def finish(self) -> None:
        """Says what was printed until now, and reads no more; can be done again.

        Not until the end of the pipe: what the handler started may hold it open.
        """
        self.close_theirs()
        if self._ours < 0:
            return
        if self._next is not None:
            self._next.cancel()
        self._loop.remove_reader(self._ours)
        self._look()
        if self._rest:
            self._tell([self._rest])
        os.close(self._ours)
        self._ours = -1

    def _ready(self) -> None:
        self._loop.remove_reader(self._ours)
        if self._look():
            self._next = self._loop.call_later(LOOK_EVERY_S, self._loop.add_reader, self._ours, self._ready)

    def _look(self) -> bool:
        """Says what is there; returns whether more may come."""
        chunks, size, is_open = [self._rest], 0, True
        while size < MAX_LOOK_BYTES:
            try:
                chunk = os.read(self._ours, _READ_BYTES)
            except BlockingIOError:
                break
            if not chunk:
                is_open = False
                break
            chunks.append(chunk)
            size += len(chunk)
        *lines, self._rest = b"".join(chunks).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            lines.append(self._rest)
            self._rest = b""
        self._tell(lines)
        return is_open

    def _tell(self, lines: list[bytes]) -> None:
        if len(lines) > MAX_LINES:
            self._say(f"({len(lines) - MAX_LINES + 1} lines left out: they came too fast)")
            lines = lines[1 - MAX_LINES :]
        for line in lines:
            self._say(line[:MAX_LINE_BYTES].removesuffix(b"\r").decode("utf-8", "replace"))
