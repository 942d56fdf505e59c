"""The commands of `tq` run inside the console: the same parser, code and words, through the console's own link.

A command is given an `Invocation` whose way to the broker is the console's, so that what it changes is asked about as a
key would be, refused where the console may not write, and written down alike. It runs in a thread; what it prints is
caught.
"""

from __future__ import annotations

import contextlib
import functools
import io
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tq_console.cli.invocation import Invocation
from tq_console.cli.known_names import NamesOnBroker, SeeingOutput, SeenIds
from tq_console.cli.line import Suggestion, suggestions
from tq_console.tui.actions.plan import Level
from tq_console.tui.command_line.commands import CommandStoppedError
from tq_console.view.secret_lines import holds_secret
from tq_console.view.secrets import Masker
from tq_core.errors import RefusedError

if TYPE_CHECKING:
    from tq_console.cli.output import Output
    from tq_console.tui.command_line.commands import CommandDesk, Said
    from tq_core.settings import BrokerAddress
    from tq_core.transport.steps import Flow

T = TypeVar("T")

IN_A_SHELL = {
    "console": "this is the console already",
    "shell": "this line is one already",
    "demo": "it starts a broker and workers of its own: run it in a shell",
    "completion": "it is for shells: run it in one",
    "broker stop": "it would take away the broker that is shown: run it in a shell",
    "broker wipe": "it would take away the broker that is shown: run it in a shell",
}
"""What makes no sense in here, and why."""
CONFIG_READS = ("list", "show", "check", "keys", "path")
HARMLESS = frozenset(
    {
        *("queues pause", "queues resume", "workers pause", "workers resume", "cron pause", "cron resume"),
        *("tasks reprioritise", "undo", "submit", "jobs cancel"),
    }
)
"""What is done without a question, as its key is: it can be taken back by the command beside it."""
HARMLESS_FOR_ONE = frozenset({"tasks retry", "dlq retry", "workers scale"})
"""The same where exactly one is named; to scale to nothing asks."""


@dataclass(frozen=True)
class Parsed:
    """A line that click could read."""

    path: str
    """As `queues pause`."""
    params: dict[str, Any]


class InsideCommands:
    """All commands, for one console."""

    def __init__(self) -> None:
        self._seen = SeenIds()
        self._known: tuple[Any, NamesOnBroker] | None = None
        self._one_at_a_time = threading.Lock()

    def suggestions(self, text: str, desk: CommandDesk) -> Sequence[Suggestion]:
        """What may follow at the end of a line."""
        if self._known is None or self._known[0] is not desk:
            self._known = desk, NamesOnBroker(_Inside(desk, self._seen), self._seen)
        try:
            return suggestions(text, self._known[1])
        except click.Abort:
            return ()

    def words_of(self, group: str) -> Sequence[str]:
        """The commands in a group; none where there is no such group."""
        from tq_console.cli.main import tq

        context = click.Context(tq)
        found = tq.get_command(context, group)
        return found.list_commands(context) if isinstance(found, click.Group) else ()

    def problem(self, words: Sequence[str]) -> str:
        """Why these words are no command that can be run here; "" = they are one."""
        try:
            parsed = _parsed(words)
        except click.UsageError as error:
            return error.format_message()
        except click.exceptions.Exit:
            return ""
        path, params = parsed.path, parsed.params
        for name, why in IN_A_SHELL.items():
            if f"{path} ".startswith(f"{name} "):
                return f"{name}: {why}"
        if path.startswith("config") and path.removeprefix("config ") not in CONFIG_READS:
            return f"{path}: the configuration is changed in a shell; f3 or :ctx goes to another broker"
        if "-" in words or any(value == "-" for value in params.values()):
            return "there is no standard input here: name what is meant, or run it in a shell"
        return ""

    def level(self, words: Sequence[str]) -> Level:
        """How sure somebody must be of it, if it writes and asks nothing by itself."""
        try:
            parsed = _parsed(words)
        except (click.UsageError, click.exceptions.Exit):
            return Level.BAR
        if parsed.path in HARMLESS:
            return Level.NONE
        named = [value for value in parsed.params.values() if isinstance(value, tuple) and value]
        is_one = len(named) == 1 and len(named[0]) == 1 and not parsed.params.get("is_all")
        # A step down may end at nothing.
        is_harsh = "processes" in parsed.params and not str(parsed.params["processes"]).lstrip("+").strip("0").isdigit()
        return Level.NONE if parsed.path in HARMLESS_FOR_ONE and is_one and not is_harsh else Level.BAR

    def run(self, words: Sequence[str], desk: CommandDesk) -> int:
        """Runs one; all that it says is on the desk."""
        from tq_console.cli.main import run

        self._seen.look(" ".join(words))
        with self._one_at_a_time, _caught(desk.said):
            return run(words, open_invocation=lambda: _Inside(desk, self._seen))

    def holds_secret(self, line: str) -> bool:
        """Whether a line is not to be remembered."""
        return holds_secret(line, Masker.from_environment())


def _parsed(words: Sequence[str]) -> Parsed:
    """Reads the words as click would when they were run, and runs nothing."""
    from tq_console.cli.main import tq

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        context = tq.make_context("tq", list(words), obj=Invocation())
        path: list[str] = []
        command: click.Command = tq
        while isinstance(command, click.Group):
            # As click.Group.invoke does.
            name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])  # noqa: SLF001
            assert found is not None
            path.append(str(name))
            context = found.make_context(name, rest, parent=context)
            command = found
    return Parsed(" ".join(path), dict(context.params))


class _Inside(Invocation):
    """One command at a desk of the console."""

    def __init__(self, desk: CommandDesk, seen: SeenIds) -> None:
        super().__init__()
        self._desk, self._seen = desk, seen

    @functools.cached_property
    def out(self) -> Output:
        return _DeskOutput(is_json=self.is_json, seen=self._seen, columns=self._desk.width)

    @functools.cached_property
    def actor(self) -> str:
        return self._desk.link.actor

    @functools.cached_property
    def address(self) -> BrokerAddress:
        if self.url is not None or self.context is not None:
            raise RefusedError("commands are for the broker that is shown here: f3 or :ctx goes to another one")
        return self._desk.link.address

    @property
    def runner(self) -> Any:
        return SimpleNamespace(run=self.run, endpoint=SimpleNamespace(display=self.address.display_url))

    def run(self, flow: Flow[T]) -> T:
        _ = self.address
        with _aborting():
            return self._desk.ask(flow)

    def change(self, flow: Flow[T]) -> T:
        _ = self.address
        with _aborting():
            return self._desk.change(flow)

    def must_be_writable(self) -> None:
        if why := self._desk.link.refusal:
            raise RefusedError(why)

    def sure(self, what: str, *, can_undo: bool) -> bool | None:
        with _aborting():
            return self._desk.is_sure(what, can_undo=can_undo)

    def close(self) -> None:
        """The link is the console's."""


@contextlib.contextmanager
def _aborting() -> Iterator[None]:
    """Ends a command that was stopped as one that was interrupted."""
    try:
        yield
    except CommandStoppedError as error:
        raise click.Abort("stopped") from error


class _DeskOutput(SeeingOutput):
    """Words for a screen of the console."""

    def __init__(self, *, is_json: bool, seen: SeenIds, columns: int) -> None:
        super().__init__(is_json=is_json, seen=seen)
        self._columns = columns

    @property
    def width(self) -> int | None:
        return self._columns


class _Stream(io.TextIOBase):
    """What is printed goes to the desk."""

    def __init__(self, said: Said, *, is_talk: bool) -> None:
        self._said, self._is_talk = said, is_talk

    def write(self, text: str) -> int:
        self._said.write(text, is_talk=self._is_talk)
        return len(text)

    encoding = "utf-8"


@contextlib.contextmanager
def _caught(said: Said) -> Iterator[None]:
    """Puts streams of our own in the place of Python's; what somebody else has put there meanwhile stays."""
    ours: dict[str, Any] = {
        "stdin": io.StringIO(),
        "stdout": _Stream(said, is_talk=False),
        "stderr": _Stream(said, is_talk=True),
    }
    before = {name: getattr(sys, name) for name in ours}
    for name, stream in ours.items():
        setattr(sys, name, stream)
    try:
        yield
    finally:
        for name, stream in ours.items():
            if getattr(sys, name) is stream:
                setattr(sys, name, before[name])
