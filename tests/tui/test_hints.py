"""The bottom line shows as many keys as fit, and always the one that shows the rest."""

from __future__ import annotations

import pytest
from textual.binding import ActiveBinding, Binding
from textual.dom import DOMNode

from tq_console.tui.frame.hints import hint_line, key_name

KEYS = [
    Binding("r", "retry", "retry"),
    Binding("X", "cancel", "cancel"),
    Binding("slash", "filter", "filter"),
    Binding("z", "hidden", "hidden", show=False),
    Binding("question_mark", "help", "help"),
    Binding("colon", "palette", "commands"),
]


def shown(width: int, bindings: list[Binding] = KEYS) -> str:
    node = DOMNode()
    return "".join(text for text, _ in hint_line([ActiveBinding(node, b, True) for b in bindings], width))


@pytest.mark.parametrize("width", range(8, 80))
def test_help_is_always_there_and_nothing_is_cut(width: int) -> None:
    line = shown(width)
    assert len(line) <= width
    assert "? help" in line


def test_what_is_hidden_or_cannot_be_used_is_left_out() -> None:
    assert "hidden" not in shown(80)
    node = DOMNode()
    assert hint_line([ActiveBinding(node, KEYS[0], False)], 80) == []


def test_the_nearest_keys_come_first() -> None:
    assert shown(80).split() == ["r", "retry", "X", "cancel", "/", "filter", "?", "help", ":", "commands"]
    assert shown(28).split() == ["r", "retry", "X", "cancel", "?", "help"]


@pytest.mark.parametrize(("key", "name"), [("enter", "⏎"), ("ctrl+backslash", "ctrl+\\"), ("j,down", "j"), ("K", "K")])
def test_keys_are_named_as_people_write_them(key: str, name: str) -> None:
    assert key_name(key) == name
