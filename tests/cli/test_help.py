"""Every command says what it does and how it is used; finding that out imports next to nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from tests.cli.conftest import Tq
from tq_console.cli.main import COMMANDS
from tq_console.cli.main import tq as root


def all_commands(
    command: click.Command = root, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None, name
            yield from all_commands(inner, (*path, name))


COMMAND_LIST = list(all_commands())


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize(("path", "command"), COMMAND_LIST, ids=[" ".join(path) or "tq" for path, _ in COMMAND_LIST])
def test_every_command_has_help_with_an_example(
    tq: Tq, path: tuple[str, ...], command: click.Command, flag: str
) -> None:
    ran = tq.ok(*path, flag)
    assert command.help
    examples = ran.out.partition("Examples:\n")[2]
    assert " ".join(("tq", *path)) in examples
    assert not ran.err


@pytest.mark.parametrize(("path", "command"), COMMAND_LIST, ids=[" ".join(path) or "tq" for path, _ in COMMAND_LIST])
def test_every_option_says_what_it_does(path: tuple[str, ...], command: click.Command) -> None:
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, (path, parameter.name)


def test_the_list_of_commands_says_what_the_commands_say() -> None:
    for path, command in COMMAND_LIST:
        if len(path) == 1:
            assert command.help is not None
            assert COMMANDS[path[0]][1] == command.help.strip().splitlines()[0], path


def test_a_group_without_a_command_is_exit_code_2_and_its_help(tq: Tq) -> None:
    for words in ([], ["tasks"], ["dlq"]):
        ran = tq(*words)
        assert (ran.code, ran.out) == (2, "")
        assert "\nCommands:\n" in ran.err


def test_a_mistyped_command_is_refused_with_the_nearest(tq: Tq) -> None:
    for words, meant in ((["sumbit"], "submit"), (["taks"], "tasks"), (["tasks", "lst"], "list")):
        ran = tq(*words)
        assert (ran.code, ran.out) == (2, "")
        assert f"did you mean {meant}" in ran.err


def loaded_by(*words: str) -> set[str]:
    """The packages that a command has imported by its end."""
    program = (
        "import sys; from tq_console.cli.main import run; run(sys.argv[1:]); "
        "print('\\n' + ' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


HEAVY = {"textual", "rich", "httpx", "fastapi", "pydantic", "hypothesis", "fakeredis", "tq_worker"}


def test_what_needs_no_broker_does_not_load_redis() -> None:
    for words in (["--version"], ["-h"], ["submit", "-h"], ["tasks", "-h"], ["stats", "-h"]):
        assert not loaded_by(*words) & (HEAVY | {"redis", "asyncio"}), words


def test_commands_load_no_toolkit_that_they_do_not_need(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQ_URL", redis_url)
    for words in (["stats"], ["submit", "t"], ["tasks", "list"], ["health"]):
        assert not loaded_by(*words) & HEAVY, words


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_get_their_completion(tq: Tq, shell: str) -> None:
    assert "_TQ_COMPLETE" in tq.ok("completion", shell).out


def test_completion_knows_the_commands(tq: Tq, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TQ_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "tq tasks re")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert "plain,retry" in tq.process().out


def test_the_console_says_that_it_needs_a_terminal() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from tq_console.cli.main import console_main; console_main()"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (5, "")
    assert "needs a terminal" in done.stderr


def test_a_bug_ends_as_one_line(tq: Tq, monkeypatch: pytest.MonkeyPatch) -> None:
    from tq_console.cli import invocation

    def broken(*_: object) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr(invocation.Invocation, "run", broken)
    monkeypatch.setenv("TQ_URL", "redis://127.0.0.1:1")
    ran = tq("stats")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("tq: internal error, ZeroDivisionError: division by zero")
    assert ran.err.count("\n") == 1


def test_streams_that_are_closed_are_no_error(redis_url: str) -> None:
    command = "from tq_console.cli.main import main; main()"
    for closed in ("<&-", ">&-", "2>&-"):
        done = subprocess.run(
            ["sh", "-c", f'"{sys.executable}" -c "{command}" stats --url "{redis_url}" {closed}'],
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b""), closed
