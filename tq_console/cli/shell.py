"""`tq shell`: a prompt that takes the words after `tq`, on one connection; or the lines of a pipe, as a batch."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tq_console.cli.commands import command
from tq_console.cli.exit_codes import ExitCode
from tq_console.cli.invocation import Invocation
from tq_console.cli.known_names import SeeingOutput, SeenIds
from tq_console.cli.line import words_of
from tq_console.view.text import visible

if TYPE_CHECKING:
    from tq_console.cli.output import Output
    from tq_core.settings import BrokerAddress
    from tq_core.transport.runner import SyncRunner

LEAVE = ("exit", "quit")
MAX_LINE_CHARS = 1_000_000


@command(
    examples="""
        tq shell                             # a prompt; TAB completes, Ctrl-C ends a command, Ctrl-D leaves
        tq shell --context prod --json
        tq shell < morning.tq                # the lines of a file, until one fails
        tq shell --keep-going < morning.tq   # all of them; the exit code is that of the first that failed
    """
)
@click.option("--keep-going", is_flag=True, help="Without a terminal: go on after a line that failed.")
@click.pass_obj
def shell(invocation: Invocation, keep_going: bool) -> int:
    """Take commands at a prompt, or from a pipe, on one connection.

    A line is what would follow `tq`. Of its own the shell has `--json` (JSON on or off), `help [COMMAND]` and `exit`.
    Lines that begin with # are remarks. What holds a secret, or begins with a blank, is not kept in the history.
    """
    session = Session(invocation)
    if sys.stdin.isatty():
        from tq_console.cli.shell_prompt import converse

        return converse(session)
    return _run_batch(session, is_keeping_going=keep_going)


class Session:
    """Runs lines one after the other, each as a command of its own, on the connection of the shell."""

    def __init__(self, invocation: Invocation) -> None:
        self.invocation = invocation
        self.seen = SeenIds()

    def run(self, line: str) -> int:
        """Runs one line and returns its exit code; all that is to be said has been said."""
        from tq_console.cli.main import run

        if len(line) > MAX_LINE_CHARS:
            return self._refuse(f"a line of {len(line):,} characters: at most {MAX_LINE_CHARS:,}")
        if not line.strip() or line.lstrip().startswith("#"):
            return ExitCode.OK
        try:
            words = words_of(line)
        except click.UsageError as error:
            return self._refuse(error.format_message())
        if words == ["--json"]:
            self.invocation.is_json = not self.invocation.is_json
            self.say(f"JSON is {'on' if self.invocation.is_json else 'off'}")
            return ExitCode.OK
        if words[:1] == ["help"]:
            words = [*words[1:], "--help"]
        if words[:1] == ["shell"] and not {"-h", "--help"} & set(words):
            return self._refuse("this is `tq shell` already")
        self.seen.look(line)
        code = run(words, open_invocation=lambda: _LineInvocation(self))
        if code == ExitCode.INTERRUPTED:
            self.invocation.close()  # an answer that is still on its way is nobody's
        return code

    def _refuse(self, text: str) -> int:
        self.say(text)
        return ExitCode.USAGE

    @staticmethod
    def say(text: str) -> None:
        """One line of the shell itself, on stderr."""
        print(f"tq: {visible(text)}", file=sys.stderr, flush=True)


class _LineInvocation(Invocation):
    """One line: with the shell's broker, unless it names another."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.unlock = session.invocation.unlock
        self.is_json = session.invocation.is_json

    @property
    def _is_elsewhere(self) -> bool:
        return self.url is not None or self.context is not None

    @functools.cached_property
    def out(self) -> Output:
        return SeeingOutput(is_json=self.is_json, seen=self._session.seen)

    @functools.cached_property
    def address(self) -> BrokerAddress:
        return super().address if self._is_elsewhere else self._session.invocation.address

    @property
    def runner(self) -> SyncRunner:
        return super().runner if self._is_elsewhere else self._session.invocation.runner


def _run_batch(session: Session, *, is_keeping_going: bool) -> int:
    """Runs the lines of standard input; the first that fails ends it, or is what the exit code tells."""
    lines, first_failure = sys.stdin, int(ExitCode.OK)
    with Path(os.devnull).open(encoding="utf-8") as nothing:
        sys.stdin = nothing  # the lines are no command's input
        try:
            for number, line in enumerate(lines, 1):
                if line.split() in ([word] for word in LEAVE):
                    break
                code = session.run(line)
                if code == ExitCode.OK:
                    continue
                if code == ExitCode.INTERRUPTED or not is_keeping_going:
                    session.say(f"line {number} ended with exit code {code}: the lines after it were not run")
                    return code
                first_failure = first_failure or code
        finally:
            sys.stdin = lines
    return first_failure
