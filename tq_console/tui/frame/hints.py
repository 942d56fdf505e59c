"""The bottom line: what the keys do here, as many as fit, the nearest first."""

from __future__ import annotations

from collections.abc import Iterable

from textual.binding import ActiveBinding
from textual.keys import format_key

from tq_console.tui.look.canvas import Line, Span


def hint_line(bindings: Iterable[ActiveBinding], width: int) -> Line:
    """Keys and their words; bindings that are not to be shown, or cannot be used now, are left out."""
    line: list[Span] = []
    used = 0
    seen: set[str] = set()
    for active in bindings:
        binding = active.binding
        if not binding.show or not active.enabled or not binding.description or binding.action in seen:
            continue
        seen.add(binding.action)
        key = key_name(binding.key_display or binding.key)
        cells = len(key) + len(binding.description) + 3
        if used + cells > width:
            break
        line += [(f" {key}", "cell--key"), (f" {binding.description} ", "cell--dim")]
        used += cells
    return line


def key_name(key: str) -> str:
    """A key as people write it."""
    first = key.split(",", maxsplit=1)[0]
    return _NAMES.get(first) or format_key(first)


_NAMES = {
    "enter": "⏎",
    "space": "␣",
    "question_mark": "?",
    "slash": "/",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "colon": ":",
    "full_stop": ".",
    "escape": "esc",
    "at": "@",
    "backslash": "\\",
    "ctrl+backslash": "ctrl+\\",
}
