"""A line of words after `tq`, as people type it into `tq shell` and the console: cut into words, and completed.

Commands, options and choices are completed by click from the commands themselves. What only the broker can tell (names
of queues, types, nodes, tasks) is asked of a `Known`, which the caller brings.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import click
from click.shell_completion import CompletionItem, ShellComplete, split_arg_string
from click.types import StringParamType

from tq_console.cli.invocation import Invocation

_BY_NAME = {
    "queue": "queues",
    "queues": "queues",
    "task_type": "types",
    "task_id": "tasks",
    "task_ids": "tasks",
    "from_id": "tasks",
    "depends_on": "tasks",
    "nodes": "nodes",
    "worker": "workers",
    "words": "fields",
}
"""Parameter -> what it names, wherever it stands."""
_BY_PLACE = {
    "queues pause names": "queues",
    "queues resume names": "queues",
    "queues purge name": "queues",
    "queues limit name": "queues",
    "queues breaker name": "queues",
    "tasks move to": "queues",
    "cron remove names": "schedules",
    "cron run names": "schedules",
    "cron pause names": "schedules",
    "cron resume names": "schedules",
    "workers stacks name": "workers",
}
"""The same where a parameter's name alone does not tell."""


class Known(Protocol):
    """What may be named at the moment."""

    def names(self, kind: str) -> Iterable[tuple[str, str]]:
        """Names of queues, types, tasks, nodes, workers or schedules, each with a word about it."""

    def fields(self, task_type: str) -> Sequence[str]:
        """The names of a type's arguments."""


class Suggestion(NamedTuple):
    """One way on."""

    text: str
    """What takes the place of what was typed from `start` on, quoted where that is needed."""
    shown: str
    help: str
    start: int
    """An index into the line."""


def words_of(text: str) -> list[str]:
    """The words of a line, as a shell reads them; a leading `tq` is left out.

    Raises:
        UsageError: a quotation is not closed.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        what = "a quotation is not closed" if "quotation" in str(error) else "a backslash at the end escapes nothing"
        raise click.UsageError(f"{what} in {text.strip()!r}") from error
    return words[1:] if words[:1] == ["tq"] else words


def suggestions(text: str, known: Known) -> list[Suggestion]:
    """What may follow at the end of a line; nothing where it makes no sense so far."""
    from tq_console.cli.main import tq

    start = _start_of_last_word(text)
    words, typed = split_arg_string(text[:start]), "".join(split_arg_string(text[start:])[:1])
    if words[:1] == ["tq"]:
        words = words[1:]
    if typed.startswith("-") and "=" in typed:  # click answers with values alone
        start += text[start:].index("=") + 1
    try:
        _teach(tq, words)
        items = ShellComplete(tq, {"obj": _Completing(known)}, "tq", "").get_completions(words, typed)
    except (click.ClickException, click.exceptions.Exit):
        return []
    return [Suggestion(_written(i.value), i.value, _first_line(i.help), start) for i in items if i.type == "plain"]


class _Completing(Invocation):
    """Stands where a command's invocation would, while a line is only looked at."""

    def __init__(self, known: Known) -> None:
        super().__init__()
        self.known = known


class _Named(StringParamType):
    """A text that names something which the broker knows."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
        """Names that begin, or failing that hold, what was typed; those that stand there already are left out."""
        del param
        invocation = ctx.find_object(_Completing)
        if invocation is None:
            return []
        given = {word for value in ctx.params.values() if isinstance(value, tuple) for word in value}
        if self.kind == "fields":
            done = {str(word).partition("=")[0] for word in given}
            fields = invocation.known.fields(str(ctx.params.get("task_type") or ""))
            found = [(f"{field}=", "") for field in fields if field not in done]
        else:
            found = [(name, text) for name, text in invocation.known.names(self.kind) if name not in given]
        fitting = [item for item in found if item[0].startswith(incomplete)]
        fitting = fitting or [item for item in found if incomplete in item[0]]
        return [CompletionItem(name, help=text) for name, text in fitting]


def _teach(group: click.Group, words: Sequence[str]) -> None:
    """Gives the parameters of the command that a line calls the types that complete their names."""
    command: click.Command = group
    path = []
    context = click.Context(group, resilient_parsing=True)
    for word in words:
        if isinstance(command, click.Group) and (inner := command.get_command(context, word)) is not None:
            command = inner
            path.append(word)
    for parameter in command.params:
        place = " ".join((*path, parameter.name or ""))
        kind = _BY_PLACE.get(place) or _BY_NAME.get(parameter.name or "")
        if kind and type(parameter.type) is StringParamType:
            parameter.type = _Named(kind)


def _start_of_last_word(text: str) -> int:
    """Where the word begins that the end of the text is in, by the rules of a shell."""
    start, quote, position = 0, "", 0
    while position < len(text):
        sign = text[position]
        if sign == "\\" and quote != "'":
            position += 1
        elif quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign.isspace():
            start = position + 1
        position += 1
    return start


def _written(value: str) -> str:
    return value if value.endswith("=") and shlex.quote(value[:-1]) == value[:-1] else shlex.quote(value)


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]
