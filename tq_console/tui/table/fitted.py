"""A text from anywhere as exactly so many cells of a line."""

from __future__ import annotations

from functools import lru_cache

from rich.cells import cell_len, get_character_cell_size, split_graphemes

from tq_console.view.text import ELLIPSIS, visible

_MARKS_FOR_EACH_CELL = 4
"""A character may carry so many combining marks before the text counts as longer than its cells."""
_BASE = "\u25cc"
"""Carries marks that come first in a text, which would otherwise stand on the cell before it."""


def fitted(text: str, cells: int, *, is_right: bool = False) -> str:
    """The text made safe, cut with an ellipsis or filled with spaces; its `cell_len` is `cells`."""
    if cells <= 0:
        return ""
    # A longer one is cut anyway; looking at all of it would let a text of megabytes slow the table down.
    longest = cells * _MARKS_FOR_EACH_CELL + 1
    return _fitted(text[:longest], cells, len(text) > longest, is_right)


@lru_cache(maxsize=8192)
def _fitted(text: str, cells: int, is_cut: bool, is_right: bool) -> str:
    head = visible(text)
    if head and not get_character_cell_size(head[0]):
        head = _BASE + head
    width = cell_len(head)
    if is_cut or width > cells:
        head, width = _cut(head, cells - 1)
        head, width = head + ELLIPSIS, width + 1
    gap = " " * (cells - width)
    return gap + head if is_right else head + gap


def _cut(text: str, cells: int) -> tuple[str, int]:
    """As many whole characters as fit, with their marks, and the cells that they take."""
    used, end = 0, 0
    for _, stop, width in split_graphemes(text)[0]:
        if used + width > cells:
            break
        used, end = used + width, stop
    return text[:end], used
