"""Lines of which some do something when they are chosen, and the sections that they stand in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from rich.cells import chop_cells

from tq_console.tui.look.canvas import Line, Span
from tq_console.view.text import visible

FOLD, TASK = "fold:", "task:"
"""What a target begins with: something that opens and closes, another task."""
OPEN, CLOSED = "▾", "▸"


@dataclass(frozen=True, slots=True)
class Row:
    """One line."""

    line: Line
    target: str = ""
    """What enter does: FOLD or TASK and a name; "" = nothing."""
    heading: str = ""
    """The section that begins here."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a task."""

    name: str
    title: str
    rows: Callable[[int], Sequence[Row]]
    """Made for a width, and only where the section is open."""
    note: str = ""
    is_open: bool = True
    """At first."""


def section_rows(sections: Sequence[Section], width: int, toggled: Collection[str]) -> list[Row]:
    """All sections, each below its heading; those in `toggled` the other way round than at first."""
    rows: list[Row] = []
    for section in sections:
        target = f"{FOLD}{section.name}"
        is_open = section.is_open != (target in toggled)
        heading: Line = [
            (f"{OPEN if is_open else CLOSED} {section.title} ", "cell--title"),
            (section.note, "cell--dim"),
        ]
        rows += [Row([]), Row(heading, target, section.name)]
        if is_open:
            rows += section.rows(width)
    return rows


def plain_rows(lines: Sequence[Line]) -> list[Row]:
    """Lines that do nothing."""
    return [Row(line) for line in lines]


def broken(text: str, width: int, style: str) -> list[Line]:
    """One safe text over as many lines as it takes, broken anywhere."""
    safe = visible(text)
    spans: list[Span] = [(part, style) for part in chop_cells(safe, max(10, width))] or [("", style)]
    return [[span] for span in spans]
