"""Text that is broken between words where it is too long for a line."""

from __future__ import annotations

import textwrap

from tq_console.tui.look.canvas import Line, Span
from tq_console.view.text import fit, visible


def wrapped(span: Span, cells: int, most: int) -> list[Line]:
    """One span as lines; at most so many, the last one says that there is more."""
    text, style = span
    # Long words are broken by characters, so each line is also held to its cells.
    lines = textwrap.wrap(visible(text), max(10, cells), max_lines=most, placeholder=" …")
    return [[(fit(line, max(10, cells)), style)] for line in lines]
