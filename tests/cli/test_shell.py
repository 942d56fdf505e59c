"""`tq shell`: the words after `tq` at a prompt or from a pipe, on one connection."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from tests.cli.conftest import Tq
from tests.queue_driver import QueueDriver
from tests.tui.pty_terminal import Pty
from tests.waiting import wait_until
from tq_console.cli.line import suggestions, words_of
from tq_console.view.secret_lines import holds_secret
from tq_console.view.secrets import Masker

PROMPT = b"\x1b[?2004h"
"""What a terminal is told when a line may be typed."""


class Fleet:
    """What the completion is told."""

    def names(self, kind: str) -> Iterable[tuple[str, str]]:
        return [(f"{kind}-a", "first"), (f"{kind} b", "")]

    def fields(self, task_type: str) -> Sequence[str]:
        return ["to", "subject"] if task_type == "send_mail" else []


@pytest.mark.parametrize(
    ("line", "replaced", "expected"),
    [
        ("ta", "ta", ["tasks"]),
        ("tq tasks sho", "sho", ["show"]),
        ("tasks list --sta", "--sta", ["--state"]),
        ("tasks list --state f", "f", ["failed"]),
        ("tasks list --state=f", "f", ["failed"]),
        ("tasks list --queue=queues-", "queues-", ["queues-a"]),
        ("stats -q ", "", ["queues-a", "'queues b'"]),
        ("queues pause queues-a ", "", ["'queues b'"]),
        ("cron pause s", "s", ["schedules-a", "'schedules b'"]),
        ("tasks show 'tasks ", "'tasks ", ["'tasks b'"]),
        ("workers stop odes-a", "odes-a", ["nodes-a"]),
        ("submit ty", "ty", ["types-a", "'types b'"]),
        ("submit send_mail to=x ", "", ["subject="]),
        ("no_such thing", "", []),
    ],
)
def test_a_line_is_completed_from_the_commands_and_what_is_there(line: str, replaced: str, expected: list[str]) -> None:
    found = suggestions(line, Fleet())
    assert [each.text for each in found] == expected
    assert {line[each.start :] for each in found} <= {replaced}


def test_a_line_is_cut_as_a_shell_does() -> None:
    assert words_of("""tq submit t 'a b'=1 --data '{"x": "y z"}'""") == [
        "submit",
        "t",
        "a b=1",
        "--data",
        '{"x": "y z"}',
    ]


@pytest.mark.parametrize(
    ("line", "is_secret"),
    [
        ("submit login user=ana password=hunter2", True),
        ("""submit login --data '{"user": {"apiKey": "k"}}'""", True),
        (r'''submit login --data "{\"token\": \"k\"}"''', True),
        ("stats --url redis://:pw@example.org/0", True),
        ("tasks list --filter 'type:token_refresh'", False),
        ("submit send_mail to=ana@example.org max_tokens=5", False),
    ],
)
def test_what_holds_a_secret_is_known(line: str, is_secret: bool) -> None:
    assert holds_secret(line, Masker()) is is_secret


def test_lines_of_a_pipe_are_run_on_one_connection_until_one_fails(tq: Tq, published: QueueDriver) -> None:
    lines = """
        # what the morning needs
        submit send_mail to=ana@example.org --id one
        tq tasks show one@mail --json
        --json
        tasks list
        submit send_mail --data -
        queues pause mail
        exit
        nonsense
    """

    def made() -> int:
        return int(published.raw.info("stats")["total_connections_received"])

    before = made()
    tq.ok("submit", "send_mail", "to=ben@example.org")
    for_one, before = made() - before, made()
    ran = tq("shell", stdin=lines)
    assert ran.code == 2
    assert ran.lines[0] == "one@mail"
    assert ran.out.count('{"id":"one@mail"') == 2
    assert "line 7 ended with exit code 2: the lines after it were not run" in ran.err
    assert made() - before == for_one

    ran = tq("shell", "--keep-going", stdin=lines)
    assert ran.code == 2
    assert "mail" in tq.ok("queues", "list").out
    assert published.stats().paused is not None, "the line after it was run"
    assert "nonsense" not in ran.err


def test_the_prompt_completes_survives_errors_and_interruptions_and_keeps_no_secret(
    published: QueueDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", os.fspath(tmp_path))
    monkeypatch.setenv("PROMPT_TOOLKIT_NO_CPR", "1")  # nobody answers in this terminal
    task_id = published.put_one({"to": "ana"})
    with Pty(["shell"], folder=tmp_path) as terminal:
        read_to = 0

        def see(wanted: bytes) -> None:
            nonlocal read_to

            def found() -> bool:
                terminal.read(0.05)
                return wanted in terminal.got[read_to:]

            wait_until(found, 20, f"{wanted!r}")
            read_to = terminal.got.index(wanted, read_to) + len(wanted)

        for keys, completed, shown in (
            ("tasks sho 1", "sho 1", "did you mean show"),
            ("tasks list -q m\t", "ail", "TYPE"),
            (f"tasks show {task_id[:12]}\t", task_id[12:], "0 of 4"),
            ("submit send_mail password=hunter2", "hunter2", "tq: send_mail: "),
            ("queues pause mail", "mail", "mail"),
            ("events -f", "-f", "SUBMITTED"),
        ):
            see(PROMPT)
            terminal.press(keys)
            see(completed.encode())
            terminal.press("\r")
            see(shown.encode())
        os.kill(terminal.process.pid, signal.SIGINT)
        see(b"tq: interrupted")
        see(PROMPT)
        terminal.press("\x04")
        assert terminal.end() == 0
    assert published.stats().paused is not None
    kept = tmp_path / "tq" / "shell_history"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    lines = kept.read_text("utf-8").splitlines()
    assert lines == ["tasks sho 1", "tasks list -q mail", f"tasks show {task_id}", "queues pause mail", "events -f"]
