"""What may stand next in a query that is being typed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tq_core.model import PRIORITIES, TaskState
from tq_core.query.grammar import quoted_where_needed
from tq_core.query.keys import KEYS, Sort

MOST = 40
_SPACE = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Known:
    """Names that exist, for values."""

    queues: Sequence[str] = ()
    types: Sequence[str] = ()
    workers: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One way to go on."""

    text: str
    """What takes the place of the word so far."""
    about: str = ""


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Ways to go on with the word at the cursor, which begins at `start`."""

    start: int
    found: tuple[Suggestion, ...] = ()


def suggest(text: str, cursor: int, known: Known) -> Suggestions:
    """The ways to go on, the likeliest first; none inside a text that may be anything."""
    start = _word_start(text[:cursor])
    word = text[start:cursor]
    if word[:1] == "-":
        start, word = start + 1, word[1:]
    name, colon, value = word.partition(":")
    if not colon:
        return Suggestions(start, tuple(_keys(word))[:MOST])
    head = name + colon
    if value[:1] in ("'", '"'):
        value = value[1:]
    found = [
        Suggestion(f"{head}{each if each[0] in '<>' else quoted_where_needed(each)} ", about)
        for each, about in _like(value, _values(name, known))
        if each != value
    ]
    return Suggestions(start, tuple(found[:MOST]))


def _word_start(before: str) -> int:
    """Where the word begins in which the text ends."""
    start, quote = 0, ""
    for at, char in enumerate(before):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in _SPACE or (char == "(" and before[start:at].strip("-") == ""):
            start = at + 1
    return start


def _keys(word: str) -> Iterable[Suggestion]:
    for key in KEYS.values():
        if key.name.startswith(word.lower()) or (key.sort is Sort.DATA and word == f"{key.name}."):
            sign = "." if key.sort is Sort.DATA else ":>" if key.sort is Sort.DURATION else ":"
            if word != f"{key.name}{sign}":
                yield Suggestion(f"{key.name}{sign}", f"{key.about}, {key.example}")
    for joining, about in (("NOT ", "what does not fit the next"), ("OR ", "either side")):
        if word and joining.startswith(word):
            yield Suggestion(joining, about)


def _values(name: str, known: Known) -> Iterable[tuple[str, str]]:
    match name:
        case "state":
            return [(str(state), "") for state in TaskState]
        case "priority":
            return [(label, str(number)) for label, number in PRIORITIES.items()]
        case "queue":
            return [(queue, "") for queue in known.queues]
        case "type":
            return [(task_type, "") for task_type in known.types]
        case "worker":
            return [(worker, "") for worker in known.workers]
        case "age" | "ended" | "took":
            return [(value, KEYS[name].about) for value in (">10m", ">1h", ">1d", "<5m", "<1h")]
        case "attempt":
            return [(value, KEYS[name].about) for value in (">1", ">2", "1")]
    return []


def _like(value: str, choices: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those that begin so, then those that hold it."""
    wanted = value.lower()
    # Names come from anywhere: what cannot be seen is not put into anybody's line.
    known = [choice for choice in choices if choice[0].isprintable()]
    first = [choice for choice in known if choice[0].lower().startswith(wanted)]
    return first + [choice for choice in known if wanted in choice[0].lower() and choice not in first]
