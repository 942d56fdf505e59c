"""The bottom line: what the keys do here, as many as fit, the nearest first."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from textual.binding import ActiveBinding
from textual.keys import format_key

from tq_console.tui.look.canvas import Line, Span


def hint_line(bindings: Iterable[ActiveBinding], width: int, *, useless: Collection[str] = ()) -> Line:
    """Keys and their words; bindings that are not to be shown, or cannot be used now, are left out.

    Args:
        useless: Actions that would do nothing to what is chosen.
    """
    hints: dict[str, tuple[str, str]] = {}
    for active in bindings:
        binding = active.binding
        if binding.show and active.enabled and binding.description and binding.action not in useless:
            hints.setdefault(binding.action, (key_name(binding.key_display or binding.key), binding.description))
    # The way to all other keys is never cut.
    room = width - sum(_cells(hint) for action, hint in hints.items() if action == ALWAYS)
    line: list[Span] = []
    is_full = False
    for action, hint in hints.items():
        cells = 0 if action == ALWAYS else _cells(hint)
        is_full = is_full or cells > room
        if action == ALWAYS or not is_full:
            room -= cells
            line += [(f" {hint[0]}", "cell--key"), (f" {hint[1]} ", "cell--dim")]
    return line


ALWAYS = "help"


def _cells(hint: tuple[str, str]) -> int:
    return len(hint[0]) + len(hint[1]) + 3


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
    "exclamation_mark": "!",
    "escape": "esc",
    "at": "@",
    "backslash": "\\",
    "ctrl+backslash": "ctrl+\\",
}
