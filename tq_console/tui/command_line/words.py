"""What the words behind `:` mean here: a place to go to, an act of the console's own, or a command of `tq`."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

from tq_console.view.written import parse_duration_s
from tq_core.errors import InvalidInputError

SHORT = {
    "pause": "queues pause",
    "resume": "queues resume",
    "purge": "queues purge",
    "limit": "queues limit",
    "scale": "workers scale",
    "retry": "tasks retry",
    "cancel": "tasks cancel",
    "kill": "tasks kill",
    "show": "tasks show",
    "redrive": "dlq retry",
}
"""Shorter words for commands, so that what is done most is typed fastest."""
SEARCHED = ("tasks", "dlq")
"""Screens behind whose name a query may stand."""
MISSPELT = 0.8
OWN = {
    "queue": "queue NAME · the tasks of a queue",
    "task": "task ID · one task whole",
    "ctx": "ctx [NAME] · another broker",
    "unlock": "unlock 10m REASON · let changes through to a protected broker",
    "lock": "lock · let no more changes through",
    "export": "export csv|ndjson [FILE] · the rows of this list",
    "theme": "theme [NAME] · other colours",
    "freeze": "freeze · stop asking, or go on",
    "help": "help [COMMAND] · all keys, or how a command is called",
    "q": "q · leave the console",
    "quit": "quit · leave the console",
}
"""The console's own words, each with what follows it and what it does."""


class Go(NamedTuple):
    """To a screen, perhaps to what a query chooses there."""

    screen: str
    query: str = ""


class Act(NamedTuple):
    """One of OWN, with the words that follow it."""

    word: str
    rest: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """A command of `tq`."""

    words: tuple[str, ...]


def meaning(
    text: str, *, screens: Collection[str], commands: Callable[[str], Collection[str]]
) -> Go | Act | Run | None:
    """What a line means; None where there is nothing on it.

    Args:
        text: What was typed.
        screens: Names of the screens.
        commands: Name of a screen -> the commands of `tq` in a group of the same name.

    Raises:
        InvalidInputError: a quotation is not closed.
    """
    stripped = text.strip().removeprefix(":").strip()
    if not stripped:
        return None
    try:
        words = shlex.split(stripped)
    except ValueError as error:
        # A query may hold a single quotation mark.
        words = stripped.split()
        if words[0] not in screens:
            raise InvalidInputError(f"{error} in {stripped!r}".lower()) from error
    if words[0] == "tq" and len(words) > 1:
        words = words[1:]
        stripped = stripped.removeprefix("tq").strip()
    first, rest = words[0], words[1:]
    if first in OWN:
        return Act(first, tuple(rest))
    if first in screens and (not rest or (first in SEARCHED and _is_query(rest[0], commands(first)))):
        return Go(first, stripped.removeprefix(first).strip())
    return Run(tuple(expanded(words)))


def _is_query(word: str, commands: Collection[str]) -> bool:
    # A command that is misspelt is not searched for.
    return not (word.startswith("-") or difflib.get_close_matches(word, commands, n=1, cutoff=MISSPELT))


def expanded(words: list[str]) -> list[str]:
    """The words with a short one written out."""
    return [*SHORT[words[0]].split(), *words[1:]] if words and words[0] in SHORT else words


def unlock_words(rest: tuple[str, ...]) -> tuple[float, str]:
    """Seconds and reason behind `unlock`.

    Raises:
        InvalidInputError: one of them is missing or wrong.
    """
    if len(rest) < 2:
        raise InvalidInputError("say for how long and why, as in :unlock 10m replaying what the deploy broke")
    try:
        return parse_duration_s(rest[0]), " ".join(rest[1:])
    except ValueError as error:
        raise InvalidInputError(f"{rest[0]!r} is no duration: write 10m, 90s or 1h, and then why") from error
