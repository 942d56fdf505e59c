"""The words that choose tasks: `type:mail* queue:default error:timeout invoice`; all of them must fit."""

from __future__ import annotations

import fnmatch
import shlex
from collections.abc import Callable

import msgspec

from tq_core.errors import InvalidInputError
from tq_core.model import TaskView

WORDS = ("type", "queue", "error", "reason", "id", "worker")
ANYWHERE = ""
"""The word of a text without one: it may be anywhere."""


def _error_text(task: TaskView) -> str:
    error = task.error or (task.history[-1].detail if task.history else {})
    return " ".join(str(error.get(field, "")) for field in ("reason", "type", "message", "by", "why"))


def _all_text(task: TaskView) -> str:
    args = task.payload_text if task.args is None else msgspec.json.encode(task.args).decode()
    return " ".join((task.id, task.type, task.queue, task.worker_id or "", args, _error_text(task)))


_TEXTS: dict[str, Callable[[TaskView], str]] = {
    "type": lambda task: task.type,
    "queue": lambda task: task.queue,
    "reason": lambda task: str((task.error or {}).get("reason", "")),
    "id": lambda task: task.id,
    "worker": lambda task: task.worker_id or "",
}


class TaskFilter:
    """A parsed filter."""

    def __init__(self, words: list[tuple[str, str]], text: str) -> None:
        self._words = words
        self.text = text

    @property
    def queue(self) -> str | None:
        """The one queue it names, where it names one without a pattern."""
        named = [value for word, value in self._words if word == "queue"]
        return named[0] if len(named) == 1 and not any(c in named[0] for c in "*?[") else None

    def matches(self, task: TaskView) -> bool:
        """Whether every word fits.

        `error:` is looked for in the error's text and a bare word anywhere, in any case of letters; the others are
        whole, with * and ?.
        """
        return all(self._fits(task, word, wanted) for word, wanted in self._words)

    @staticmethod
    def _fits(task: TaskView, word: str, wanted: str) -> bool:
        if word in ("error", ANYWHERE):
            text, pattern = (_error_text(task) if word == "error" else _all_text(task)).lower(), wanted.lower()
            return pattern in text or fnmatch.fnmatchcase(text, f"*{pattern}*")
        return fnmatch.fnmatchcase(_TEXTS[word](task), wanted)


def parse_filter(text: str) -> TaskFilter:
    """A filter from its text; a word without a colon may be anywhere in a task.

    Raises:
        InvalidInputError: a word is not known or has no value.
    """
    try:
        parts = shlex.split(text)
    except ValueError as error:
        raise InvalidInputError(f"{text!r}: {error}") from error
    known = ", ".join(f"{w}:…" for w in WORDS)
    words = []
    for part in parts:
        word, colon, value = part.partition(":")
        if not colon and part in WORDS:
            raise InvalidInputError(f"{part!r}: write {part}:… , or *{part}* where you look for that text")
        if not colon:
            words.append((ANYWHERE, part))
        elif word in WORDS and value:
            words.append((word, value))
        else:
            raise InvalidInputError(f"{part!r}: write {known} or a plain word; * stands for any text")
    if not words:
        raise InvalidInputError(f"an empty filter: write {known} or a plain word")
    return TaskFilter(words, text)
