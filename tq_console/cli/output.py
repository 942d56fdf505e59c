"""Where a command's words go: data on stdout, talk on stderr, colour only where somebody looks."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from tq_console.view.tables import Cell, Column, render
from tq_console.view.text import json_line, visible

STYLES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}
STATE_STYLES = {
    "blocked": "dim",
    "scheduled": "blue",
    "pending": "",
    "running": "cyan",
    "retrying": "yellow",
    "completed": "green",
    "failed": "red",
    "cancelled": "magenta",
}


def has_colour(stream: TextIO) -> bool:
    """Whether a stream is a terminal whose reader did not ask for plain text."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Output:
    """The two streams of one command."""

    def __init__(self, *, is_json: bool) -> None:
        self.is_json = is_json

    def line(self, text: str = "") -> None:
        """One line of data; the text is safe already."""
        print(text)

    def record(self, value: Any) -> None:
        """One JSON object, on one line."""
        encoding = (sys.stdout.encoding or "utf-8").lower().replace("-", "")
        print(json_line(value, is_ascii=encoding != "utf8"))

    def records(self, values: Iterable[Any]) -> None:
        """A list, one JSON object on each line."""
        for value in values:
            self.record(value)

    def table(
        self, columns: Sequence[Column], rows: Iterable[Sequence[str | Cell]], *, empty: str = "nothing to list"
    ) -> None:
        """Aligned columns, cut to the terminal's width where there is one; for no rows only a word on stderr."""
        filled = list(rows)
        if not filled:
            self.talk(f"tq: {empty}")
            return
        for text in render(columns, filled, width=self.width, paint=self.paint):
            print(text)

    def talk(self, text: str) -> None:
        """One line for the person at the terminal, on stderr."""
        print(visible(text), file=sys.stderr, flush=True)

    @property
    def width(self) -> int | None:
        """Columns of the terminal; None where stdout is none, so that nothing is cut for a program."""
        return shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    def paint(self, text: str, style: str) -> str:
        """The text with a style of STYLES where colours are wanted."""
        number = STYLES.get(style)
        return f"\x1b[{number}m{text}\x1b[0m" if number and has_colour(sys.stdout) else text


def state_cell(state: str) -> Cell:
    """A state in its colour."""
    return Cell(state, STATE_STYLES.get(state, ""))
