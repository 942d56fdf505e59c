"""A JSON value as lines that open and close; only what is open is looked at, so a megabyte costs what is on screen."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from tq_console.tui.detail.rows import CLOSED, FOLD, OPEN, Row, broken
from tq_console.view.formats import plural
from tq_console.view.secrets import Masker
from tq_console.view.text import cell_width, fit, json_line, visible

LINES_MAX = 400
"""Lines of one value that are shown; the rest is said in a number."""
OPEN_DEPTH = 2
"""Objects and lists are open at first down to here,"""
OPEN_ITEMS = 60
"""unless they have more items than these."""
TEXT_LINES = 40
"""Of a long text that was opened."""
DEEPEST = 100


def value_rows(value: Any, width: int, *, name: str, toggled: Collection[str], masker: Masker) -> list[Row]:
    """The value; what is secret is masked as it is come to.

    Args:
        name: Says which value it is; targets begin with it.
    """
    rows: list[Row] = []
    for row in _Tree(width, toggled, masker).inside(value, f"{FOLD}{name}", 0):
        if len(rows) == LINES_MAX:
            rows.append(Row([("… more lines: `tq tasks show` prints them all", "cell--dim")]))
            break
        rows.append(row)
    return rows or [Row([("nothing", "cell--dim")])]


@dataclass(frozen=True, slots=True)
class _Tree:
    """How a value is shown."""

    width: int
    toggled: Collection[str]
    masker: Masker

    def inside(self, value: Any, path: str, depth: int) -> Iterator[Row]:
        """What is in a container, or the value itself."""
        if isinstance(value, Mapping):
            for key, inner in value.items():
                name = str(key)
                is_secret = inner is not None and not isinstance(inner, bool) and self.masker.is_secret(name)
                shown = self.masker.masked({name: inner})[name] if is_secret else inner
                yield from self._item(f"{_text(name)}: ", shown, f"{path}/{name}", depth)
        elif isinstance(value, (list, tuple)):
            for n, inner in enumerate(value):
                yield from self._item("", inner, f"{path}/{n}", depth)
        else:
            yield from self._item("", value, path, depth)

    def _item(self, label: str, value: Any, path: str, depth: int) -> Iterator[Row]:
        # Indents do not grow beyond half of the room.
        indent = "  " * min(depth + 1, max(1, self.width // 4 - 2))
        room = max(8, self.width - len(indent) - 2)
        name = fit(visible(label), room // 2)
        if isinstance(value, (Mapping, list, tuple)) and value:
            is_open = (depth < OPEN_DEPTH and len(value) <= OPEN_ITEMS) != (path in self.toggled)
            is_map = isinstance(value, Mapping)
            count = ("{…} " if is_map else "[…] ") + plural(len(value), "field" if is_map else "item")
            sign, count = OPEN if is_open else CLOSED, fit(count, max(1, room - cell_width(name)))
            yield Row([(f"{indent}{sign} ", "cell--accent"), (name, "cell--key"), (count, "cell--dim")], path)
            if is_open and depth < DEEPEST:
                yield from self.inside(value, path, depth + 1)
        elif isinstance(value, str):
            yield from self._string((indent, name), value, room, path)
        else:
            text = fit(json_line(value), max(1, room - cell_width(name)))
            yield Row([(f"{indent}  ", ""), (name, "cell--key"), (text, "cell--accent")])

    def _string(self, before: tuple[str, str], value: str, room: int, path: str) -> Iterator[Row]:
        """A text: whole where it fits on a line, else its beginning, which opens."""
        indent, name = before
        # No more is looked at than could be shown.
        text = str(self.masker.masked(value[: LINES_MAX * self.width]))
        left = max(4, room - cell_width(name))
        whole = _text(text[: left + 1])
        if len(value) <= left and cell_width(whole) <= left:
            yield Row([(f"{indent}  ", ""), (name, "cell--key"), (whole, "")])
            return
        is_open = path in self.toggled
        note = fit(f" {len(value):,} characters", max(0, left - 4))
        begun = "" if is_open else fit(whole, max(4, left - len(note)))
        sign = OPEN if is_open else CLOSED
        yield Row([(f"{indent}{sign} ", "cell--accent"), (name, "cell--key"), (begun, ""), (note, "cell--dim")], path)
        if is_open:
            lines = broken(text, room, "")
            for line in lines[:TEXT_LINES]:
                yield Row([(f"{indent}  ", ""), *line])
            if len(lines) > TEXT_LINES or len(text) < len(value):
                more = f"{indent}  … more: `tq tasks show` prints all {len(value):,} characters"
                yield Row([(more, "cell--dim")])


def _text(text: str) -> str:
    try:
        return json_line(text)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        # Half of a surrogate pair, which JSON cannot hold.
        return visible(f'"{text}"')
