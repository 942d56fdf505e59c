"""An alert rule: `oldest(mail) > 2m for 30s`, read from its text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tq_core.errors import InvalidInputError

DURATION, COUNT, SHARE, RATE = "a duration such as 2m", "a number such as 100 or 10k", "a share such as 5%", "a rate"
METRICS = {
    "oldest": DURATION,
    "depth": COUNT,
    "dlq": COUNT,
    "running": COUNT,
    "retrying": COUNT,
    "workers": COUNT,
    "nodes": COUNT,
    "failures": SHARE,
    "in": RATE,
    "out": RATE,
}
"""What can be watched, and how its limit is written."""
MEANINGS = {
    "oldest": "age of the oldest pending task",
    "depth": "pending tasks",
    "dlq": "tasks that failed for good",
    "running": "running tasks",
    "retrying": "tasks that wait to be tried again",
    "workers": "live workers that serve it",
    "nodes": "live nodes that serve it",
    "failures": "share of the attempts of the last minute that failed",
    "in": "tasks enqueued per second, over the last minute",
    "out": "tasks completed per second, over the last minute",
}
OPERATORS = (">=", "<=", ">", "<")
_UNITS_MS: dict[str, float] = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_UNITS_OF: dict[str, dict[str, float]] = {
    DURATION: _UNITS_MS,
    COUNT: {"": 1, "k": 1_000, "M": 1_000_000},
    SHARE: {"%": 0.01},
    RATE: {"/s": 1, "/m": 1 / 60},
}
_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[A-Za-z]+")
_QUEUE = re.compile(r"[A-Za-z0-9_.*?\[\]-]+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_UNIT = re.compile(r"[A-Za-z%/]*")
LONGEST = 200


@dataclass(frozen=True, slots=True)
class Rule:
    """When to say that something is wrong."""

    text: str
    """As it was written, blanks made one."""
    metric: str
    """One of METRICS."""
    queue: str | None
    """A queue, or a pattern with * or ?; None = all of them together."""
    operator: str
    limit: float
    """In ms, tasks, a share of one, or tasks per second."""
    for_s: float
    """So long it must have been so without a break."""

    @property
    def is_pattern(self) -> bool:
        """Whether each queue that fits the name is looked at by itself."""
        return self.queue is not None and any(sign in self.queue for sign in "*?[")

    def is_met(self, value: float) -> bool:
        """Whether a value is what the rule warns of."""
        match self.operator:
            case ">":
                return value > self.limit
            case ">=":
                return value >= self.limit
            case "<":
                return value < self.limit
            case _:
                return value <= self.limit


def parse_rule(text: str) -> Rule:
    """A rule from its text.

    Raises:
        InvalidInputError: it cannot be read; says where and what was expected there.
    """
    if len(text) > LONGEST:
        raise InvalidInputError(f"{text[:40]!r}…: a rule has at most {LONGEST} characters")
    reader = _Reader(text)
    metric = reader.one_of(METRICS, f"one of {', '.join(METRICS)}")
    queue = None
    if reader.sign("("):
        queue = reader.match(_QUEUE, "the name of a queue, perhaps with *")
        if not reader.sign(")"):
            raise reader.expected('")"')
    operator = next((sign for sign in OPERATORS if reader.sign(sign)), None)
    if operator is None:
        raise reader.expected(f"one of {' '.join(OPERATORS)}")
    limit = reader.quantity(METRICS[metric])
    for_s = 0.0
    if not reader.is_at_end:
        if reader.match(_WORD, '"for" and a duration, or nothing') != "for":
            raise reader.expected('"for" and a duration, or nothing', is_back=True)
        for_s = reader.quantity(DURATION) / 1000
    if not reader.is_at_end:
        raise reader.expected("nothing more")
    return Rule(" ".join(text.split()), metric, queue, operator, limit, for_s)


class _Reader:
    """Reads a text from the left, and knows where it is."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._before = text, 0, 0
        self._skip()

    @property
    def is_at_end(self) -> bool:
        return self._at >= len(self._text)

    def sign(self, sign: str) -> bool:
        """Takes a sign, if it stands here."""
        if not self._text.startswith(sign, self._at):
            return False
        self._take(len(sign))
        return True

    def match(self, pattern: re.Pattern[str], what: str) -> str:
        found = pattern.match(self._text, self._at)
        if found is None or not found.group():
            raise self.expected(what)
        self._take(len(found.group()))
        return found.group()

    def one_of(self, words: dict[str, str], what: str) -> str:
        word = self.match(_WORD, what)
        if word not in words:
            raise self.expected(what, is_back=True)
        return word

    def quantity(self, kind: str) -> float:
        """A number with its unit, in the base unit of its kind."""
        number = self.match_glued(_NUMBER, kind)
        unit = self.match_glued(_UNIT, kind)
        if unit not in _UNITS_OF[kind]:
            units = " ".join(word for word in _UNITS_OF[kind] if word)
            raise self.expected(f"{kind} (units: {units})", is_back=True)
        self._skip()
        return float(number) * _UNITS_OF[kind][unit]

    def match_glued(self, pattern: re.Pattern[str], what: str) -> str:
        """As `match`, without skipping the blanks after it; the text may be empty where the pattern allows it."""
        found = pattern.match(self._text, self._at)
        if found is None:
            raise self.expected(what)
        self._before, self._at = self._at, found.end()
        return found.group()

    def expected(self, what: str, *, is_back: bool = False) -> InvalidInputError:
        """The error that says what should stand here, or where the last word began."""
        at = self._before if is_back else self._at
        here = repr(self._text[at : at + 12]) if at < len(self._text) else "the end"
        return InvalidInputError(f"{self._text!r}, at character {at + 1}: expected {what}, found {here}")

    def _take(self, count: int) -> None:
        self._before = self._at
        self._at += count
        self._skip()

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at
