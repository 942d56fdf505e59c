"""How far a long operation is, on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

REDRAW_S = 0.1
LINE_EVERY_S = 5.0
BAR_CELLS = 30
_CLEAR = "\r\x1b[2K"


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of something; the message says how far it got."""


class Progress:
    """Counts what is done and shows it; silent where it is over at once."""

    def __init__(self, what: str, *, total: int | None = None) -> None:
        """Begins to count.

        Args:
            what: Past participle for what happens to each, such as `enqueued`.
            total: None = not known.
        """
        self.done = 0
        self._what, self._total = what, total
        self._is_terminal = sys.stderr.isatty()
        self._next_s = time.monotonic() + (REDRAW_S if self._is_terminal else LINE_EVERY_S)
        self._is_drawn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Takes the bar away; an interruption is told how far it got."""
        self.clear()
        if isinstance(error, KeyboardInterrupt) and not isinstance(error, Interrupted):
            raise Interrupted(f"interrupted: {self.text}") from error

    @property
    def text(self) -> str:
        """`1,200 of 5,000 enqueued`."""
        return f"{self.done:,}{'' if self._total is None else f' of {self._total:,}'} {self._what}"

    def reach(self, done: int) -> None:
        """Says how many are done by now."""
        self.done = done
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        if self._is_terminal:
            self._next_s = now_s + REDRAW_S
            self._draw()
        else:
            self._next_s = now_s + LINE_EVERY_S
            print(f"tq: {self.text}", file=sys.stderr, flush=True)

    def advance(self, count: int) -> None:
        """Says that so many more are done."""
        self.reach(self.done + count)

    def clear(self) -> None:
        """Takes the bar off the terminal, so that a line can be written."""
        if self._is_drawn:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
            self._is_drawn = False

    def _draw(self) -> None:
        bar = ""
        if self._total:
            filled = min(BAR_CELLS, BAR_CELLS * self.done // self._total)
            bar = f"[{'#' * filled}{'.' * (BAR_CELLS - filled)}] "
        sys.stderr.write(f"{_CLEAR}{bar}{self.text}")
        sys.stderr.flush()
        self._is_drawn = True
