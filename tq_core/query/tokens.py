"""A query's text as tokens: words with their quotes taken off, and the signs between them.

Quotes and backslashes are those of a shell, since the filters before this language were read as shell words.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from tq_core.errors import InvalidQueryError

_SPACE = " \t\r\n"
JOINING = {"OR": "or", "AND": "and", "NOT": "not"}
"""Words that join others where they stand unquoted and in capital letters."""


class Kind(enum.Enum):
    """What a token is."""

    WORD = "a word"
    OPEN = '"("'
    CLOSE = '")"'
    OR = '"OR"'
    AND = '"AND"'
    NOT = '"NOT"'
    END = "the end"


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text."""

    kind: Kind
    start: int
    """Of its first character in the text."""
    end: int
    """After its last one."""
    text: str = ""
    """Of a word: without quotes and escapes."""
    quoted: tuple[bool, ...] = ()
    """For each character of `text`, whether it was quoted or escaped."""
    at: tuple[int, ...] = ()
    """For each character of `text`, where it stands."""

    def tail(self, skip: int) -> Token:
        """The same word without its first characters."""
        start = self.at[skip] if skip < len(self.at) else self.end
        return Token(self.kind, start, self.end, self.text[skip:], self.quoted[skip:], self.at[skip:])


def tokens(text: str) -> list[Token]:
    """All tokens, the last one END.

    Raises:
        InvalidQueryError: a quote is not closed, or a sign stands where it could be misread.
    """
    reader = _Reader(text)
    found = []
    while (token := reader.next()).kind is not Kind.END:
        found.append(token)
    return [*found, token]


class _Reader:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def next(self) -> Token:
        text = self._text
        while self._at < len(text) and text[self._at] in _SPACE:
            self._at += 1
        start = self._at
        if start == len(text):
            return Token(Kind.END, start, start)
        sign = {"(": Kind.OPEN, ")": Kind.CLOSE, "|": Kind.OR}.get(text[start])
        if sign is Kind.OR and start + 1 < len(text) and text[start + 1] not in _SPACE + "()":
            raise _glued(start)
        if sign is None and text.startswith("-(", start):
            sign = Kind.NOT
        if sign is not None:
            self._at += 1
            return Token(sign, start, self._at)
        return self._word()

    def _word(self) -> Token:
        text, start = self._text, self._at
        kept: list[tuple[str, bool, int]] = []
        depth = 0
        has_quotes = False
        while self._at < len(text) and (char := text[self._at]) not in _SPACE:
            here = self._at
            if char in "'\"":
                has_quotes = True
                kept += self._quoted(char)
                continue
            if char == "\\":
                if here + 1 == len(text):
                    raise InvalidQueryError(f'at {here + 1}: expected a character after "\\"', here)
                kept.append((text[here + 1], True, here))
                self._at += 2
                continue
            if char == "|":
                raise _glued(here)
            depth += {"(": 1, ")": -1}.get(char, 0)
            if depth < 0:
                break
            kept.append((char, False, here))
            self._at += 1
        word = "".join(char for char, _, _ in kept)
        is_bare = not has_quotes and not any(is_quoted for _, is_quoted, _ in kept)
        kind = Kind[word] if is_bare and word in JOINING else Kind.WORD
        return Token(kind, start, self._at, word, tuple(q for _, q, _ in kept), tuple(at for _, _, at in kept))

    def _quoted(self, quote: str) -> list[tuple[str, bool, int]]:
        text, start = self._text, self._at
        kept: list[tuple[str, bool, int]] = []
        self._at += 1
        while self._at < len(text):
            char = text[self._at]
            if char == quote:
                self._at += 1
                return kept
            if quote == '"' and char == "\\" and text[self._at + 1 : self._at + 2] in ('"', "\\"):
                self._at += 1
                char = text[self._at]
            kept.append((char, True, self._at))
            self._at += 1
        raise InvalidQueryError(f"at {start + 1}: expected a closing {quote}", start)


def _glued(position: int) -> InvalidQueryError:
    return InvalidQueryError(
        f'at {position + 1}: expected spaces around "|", which means OR; quote it where it is text', position
    )
