"""Cuts Lua 5.1 source into tokens: enough to see which words stand where, strings and comments told apart."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass


class Kind(enum.Enum):
    """What a token is."""

    NAME = "name"
    STRING = "string"
    NUMBER = "number"
    SIGN = "sign"


@dataclass(frozen=True)
class Token:
    """One token; the text of a string is what stands between its quotes, escapes left as they are."""

    kind: Kind
    text: str
    line: int


_LONG_BRACKET = re.compile(r"\[(=*)\[")
_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<number>0[xX][0-9A-Fa-f]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<string>"(?:[^"\\\n]|\\(?:.|\n))*"|'(?:[^'\\\n]|\\(?:.|\n))*')
  | (?P<sign>\.\.\.|\.\.|[=~<>]=|[-+*/%^\#<>=(){}\[\];:,.])
    """,
    re.VERBOSE,
)


def tokens_of(source: str) -> Iterator[Token]:
    """Yield the tokens of a script, without comments.

    Raises:
        ValueError: a character or an open string that is not Lua; the compiler says it better, so ask it first.
    """
    position, line = 0, 1
    while position < len(source):
        end = _end_of_comment(source, position)
        if end is None and (bracket := _LONG_BRACKET.match(source, position)):
            end = _end_of_long_bracket(source, bracket)
            first = bracket.end()
            yield Token(Kind.STRING, source[first : end - len(bracket[0])], line)
        elif end is None:
            found = _TOKEN.match(source, position)
            if found is None:
                raise ValueError(f"line {line}: {source[position]!r} begins no Lua token")
            end = found.end()
            if found.lastgroup == "string":
                yield Token(Kind.STRING, found[0][1:-1], line)
            elif found.lastgroup != "space":
                yield Token(Kind(found.lastgroup), found[0], line)
        line += source.count("\n", position, end)
        position = end


def _end_of_comment(source: str, position: int) -> int | None:
    if not source.startswith("--", position):
        return None
    bracket = _LONG_BRACKET.match(source, position + 2)
    if bracket:
        return _end_of_long_bracket(source, bracket)
    end = source.find("\n", position)
    return len(source) if end < 0 else end


def _end_of_long_bracket(source: str, bracket: re.Match[str]) -> int:
    closing = f"]{bracket[1]}]"
    start = source.find(closing, bracket.end())
    if start < 0:
        raise ValueError(f"line {source.count(chr(10), 0, bracket.start()) + 1}: {bracket[0]} is never closed")
    return start + len(closing)
