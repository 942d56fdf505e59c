"""The words that choose tasks: `type:mail* queue:default error:timeout`; all of them must fit."""

from __future__ import annotations

import fnmatch
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tq_core.model import TaskView

WORDS = ("type", "queue", "error", "reason", "id")


def _error_text(task: TaskView) -> str:
    error = task.error or {}
    return " ".join(str(error.get(field, "")) for field in ("reason", "type", "message", "by", "why"))


_TEXTS: dict[str, Callable[[TaskView], str]] = {
    "type": lambda task: task.type,
    "queue": lambda task: task.queue,
    "reason": lambda task: str((task.error or {}).get("reason", "")),
    "id": lambda task: task.id,
}


class TaskFilter:
    """A parsed filter."""

    def __init__(self, words: list[tuple[str, str]]) -> None:
        self._words = words

    @property
    def queue(self) -> str | None:
        """The one queue it names, where it names one without a pattern."""
        named = [value for word, value in self._words if word == "queue"]
        return named[0] if len(named) == 1 and not any(c in named[0] for c in "*?[") else None

    def matches(self, task: TaskView) -> bool:
        """Whether every word fits: `error:` is looked for in the error's text, the others are whole, with * and ?."""
        for word, wanted in self._words:
            if word == "error":
                text, pattern = _error_text(task).lower(), wanted.lower()
                if pattern not in text and not fnmatch.fnmatchcase(text, f"*{pattern}*"):
                    return False
            elif not fnmatch.fnmatchcase(_TEXTS[word](task), wanted):
                return False
        return True


def parse_filter(text: str) -> TaskFilter:
    """A filter from its text.

    Raises:
        BadParameter: a word is not known or has no value.
    """
    try:
        parts = shlex.split(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}") from error
    words = []
    for part in parts:
        word, colon, value = part.partition(":")
        if not colon or word not in WORDS or not value:
            raise click.BadParameter(f"{part!r}: write {', '.join(f'{w}:…' for w in WORDS)}; * stands for any text")
        words.append((word, value))
    if not words:
        raise click.BadParameter(f"an empty filter: write {', '.join(f'{w}:…' for w in WORDS)}")
    return TaskFilter(words)


class Filter(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """A filter of tasks."""

    name = "words"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> TaskFilter:
        """The parsed filter."""
        if isinstance(value, TaskFilter):
            return value
        try:
            return parse_filter(str(value))
        except click.BadParameter as error:
            self.fail(error.message, param, ctx)


FILTER = Filter()
