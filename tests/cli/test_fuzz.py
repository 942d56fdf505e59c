"""Random command lines: an exit code of the table and words for people, never a traceback."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli.conftest import Tq
from tests.cli.test_help import COMMAND_LIST
from tests.queue_driver import QueueDriver
from tq_console.cli.exit_codes import ExitCode

LONG = {"demo", "console", "gateway", "broker", "completion"}
"""They start programs or a terminal, or serve until they are told to end."""
WAITING = {"--follow", "-f", "--wait", "wait"}
PATHS = [
    path
    for path, _ in COMMAND_LIST
    if path and path[0] not in LONG and path != ("alerts", "watch") and not WAITING & {*path}
]
OPTIONS = sorted(
    {
        name
        for _, command in COMMAND_LIST
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name not in WAITING and name not in {"--url", "--context"}
    }
)
WORDS = (
    st.sampled_from(OPTIONS)
    | st.sampled_from(
        (
            "mail",
            "x@mail",
            "work",
            "-1",
            "0",
            "1s",
            "1e400",
            "nan",
            "{",
            "[]",
            "a=b",
            "a:={",
            "@",
            "*",
            "\x1b[2J",
            "--",
            "=",
        )
    )
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(path=st.sampled_from(PATHS), words=st.lists(WORDS, max_size=5), stdin=st.text(max_size=20))
def test_any_command_line_ends_with_a_code_of_the_table(
    *,
    tq: Tq,
    mail: QueueDriver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: tuple[str, ...],
    words: list[str],
    stdin: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if not mail.raw.exists(mail.key("meta")):
        mail.put_one()

    ran = tq(*path, *words, stdin=stdin)

    assert ran.code in set(ExitCode), ran
    assert "Traceback" not in ran.err, ran
    assert "internal error" not in ran.err, ran
    assert "\x1b[2J" not in ran.err + ran.out
