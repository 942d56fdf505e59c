"""Text from outside, made safe for a terminal, and its width in cells.

Arguments, results, error messages and names come from anybody. What could move the cursor, change colours, reorder a
line or hide in it (control characters of both sets, bidirectional and zero-width ones, lone surrogates) is shown as
the escape a programmer would write.
"""

from __future__ import annotations

import unicodedata
from typing import Any

import msgspec

ELLIPSIS = "…"
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_WIDE_SPACES = "\u00a0\u3000"


def visible(text: str) -> str:
    """The text as one line in which everything can be seen."""
    return text if text.isprintable() else "".join(map(_shown, text))


def visible_lines(text: str) -> list[str]:
    """The text as lines, each safe; tabs become four spaces."""
    return [visible(line.expandtabs(4)) for line in text.replace("\r\n", "\n").split("\n")]


def _shown(char: str) -> str:
    if char.isprintable() or char in _WIDE_SPACES:
        return char
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def json_line(value: Any, *, is_ascii: bool = False) -> str:
    """The value as JSON on one line, safe to print: what a terminal would obey is written as an escape.

    Args:
        is_ascii: Escape everything beyond ASCII too, for an output that cannot hold it.
    """
    text = msgspec.json.encode(value).decode()
    if text.isprintable() and (text.isascii() or not is_ascii):
        return text

    # Inside JSON such characters occur in strings only, where an escape means the same.
    def stays(char: str) -> bool:
        return char.isprintable() and (char.isascii() or not is_ascii)

    return "".join(c if stays(c) else _json_escape(c) for c in text)


def _json_escape(char: str) -> str:
    code = ord(char)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def cell_width(text: str) -> int:
    """Columns the text takes on a terminal; safe text only."""
    return len(text) if text.isascii() else sum(map(_char_width, text))


def _char_width(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def fit(text: str, cells: int) -> str:
    """The text, cut to a number of columns with an ellipsis where it is longer."""
    if cell_width(text) <= cells:
        return text
    if cells <= 0:
        return ""
    used, kept = 1, []
    for char in text:
        used += _char_width(char)
        if used > cells:
            break
        kept.append(char)
    return "".join(kept) + ELLIPSIS


def pad(text: str, cells: int, *, is_right: bool = False) -> str:
    """The text filled with spaces to a number of columns."""
    gap = " " * max(0, cells - cell_width(text))
    return gap + text if is_right else text + gap
