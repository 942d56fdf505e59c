"""`tq queues`, and asking before what takes many tasks away."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Tq
from tests.queue_driver import QueueDriver


def test_pausing_and_resuming_say_whether_anything_changed(tq: Tq, mail: QueueDriver) -> None:
    mail.put_one()
    assert tq.ok("queues", "pause", "mail", "--why", "down").out == "mail  paused\n"
    assert tq.ok("queues", "pause", "mail").out == "mail  was paused already\n"
    assert mail.take() == []
    record = tq.ok("queues", "list", "--json").record
    assert (record["is_paused"], record["paused"]["by"], record["paused"]["why"]) == (True, "ana@desk", "down")
    assert "paused by ana@desk" in tq.ok("queues", "list").out
    assert tq.ok("queues", "resume", "mail").out == "mail  resumed\n"
    assert tq.ok("queues", "resume", "mail", "--json").record["is_changed"] is False
    assert len(mail.take()) == 1


def test_a_queue_that_is_not_there_is_never_made_by_a_typing_error(tq: Tq, mail: QueueDriver) -> None:
    mail.put_one()
    for words in (["pause", "mial"], ["resume", "mial"], ["purge", "mial", "--yes"], ["limit", "mial"]):
        ran = tq("queues", *words)
        assert (ran.code, "did you mean mail?" in ran.err) == (3, True), words
    assert [record["queue"] for record in tq.ok("queues", "list", "--json").records] == ["mail"]


def test_purging_needs_somebody_to_be_sure(tq: Tq, mail: QueueDriver) -> None:
    mail.put_many(3)
    ran = tq("queues", "purge", "mail")
    assert ran.code == 2
    assert "delete 3 pending tasks of mail" in ran.err
    assert mail.depths() == {"pending": 3}
    assert tq.ok("queues", "purge", "mail", "--yes").out == "3 tasks deleted\n"
    assert mail.depths() == {}


def test_running_tasks_cannot_be_purged(tq: Tq, mail: QueueDriver) -> None:
    mail.put_one()
    assert tq("queues", "purge", "mail", "--state", "running", "--yes").code == 2


def test_limits_are_set_shown_and_cleared(tq: Tq, mail: QueueDriver) -> None:
    mail.put_one()
    ran = tq.ok("queues", "limit", "mail", "--max-size", "10_000", "--keep", "7d", "--json")
    assert ran.record == {
        "queue": "mail",
        "max_size": 10_000,
        "keep_ms": 604_800_000,
        "keep_completed": None,
        "keep_cancelled": None,
        "keep_failed": None,
        "keep_trash_ms": None,
    }
    assert "max-size        10,000" in tq.ok("queues", "limit", "mail").out
    assert tq.ok("queues", "limit", "mail", "--max-size", "none", "--json").record["max_size"] is None
    assert tq("queues", "limit", "mail", "--max-size", "-1").code == 2


CONFIG = """[contexts.prod]
url = "{url}"
protected = true
"""


def ask(tq: Tq, *words: str, answer: str) -> tuple[int, str, str]:
    """Runs a command at a terminal and answers its question; returns how it ended, its stdout, and the screen."""
    ours, theirs = pty.openpty()
    running = subprocess.Popen(tq.command(*words), stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True)
    os.close(theirs)
    os.write(ours, f"{answer}\n".encode())
    out, _ = running.communicate(timeout=20)
    screen = os.read(ours, 65_536).decode()
    os.close(ours)
    return running.returncode, out, screen


def test_at_a_terminal_the_exact_count_is_shown_and_no_means_no(tq: Tq, mail: QueueDriver) -> None:
    mail.put_many(500)
    mail.put_many(500)
    mail.put_one()
    code, out, screen = ask(tq, "queues", "purge", "mail", answer="no")
    assert (code, out) == (5, "")
    assert "delete 1,001 pending tasks of mail on" in screen
    assert "`tq undo` can put them back" in screen
    assert mail.depths() == {"pending": 1001}
    assert ask(tq, "queues", "purge", "mail", answer="yes")[:2] == (0, "1,001 tasks deleted\n")
    assert mail.depths() == {}


def test_a_protected_context_wants_its_name(tq: Tq, mail: QueueDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    mail.put_one()
    monkeypatch.delenv("TQ_URL")
    config = Path(os.environ["XDG_CONFIG_HOME"]) / "tq" / "config.toml"
    config.parent.mkdir()
    config.write_text(CONFIG.format(url=mail.url))
    purge = ("--context", "prod", "queues", "purge", "mail")
    assert ask(tq, *purge, answer="yes")[0] == 5
    assert mail.depths() == {"pending": 1}
    assert ask(tq, *purge, answer="prod")[0] == 0
    assert mail.depths() == {}


def test_a_read_only_context_refuses_every_write(tq: Tq, mail: QueueDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = mail.put_one()
    monkeypatch.delenv("TQ_URL")
    config = Path(os.environ["XDG_CONFIG_HOME"]) / "tq" / "config.toml"
    config.parent.mkdir()
    config.write_text(f'context = "look"\n[contexts.look]\nurl = "{mail.url}"\nread_only = true\n')
    for words in (
        ["submit", "t"],
        ["tasks", "cancel", task_id],
        ["tasks", "delete", task_id],
        ["queues", "pause", "mail"],
        ["queues", "purge", "mail"],
        ["queues", "limit", "mail", "--max-size", "1"],
        ["dlq", "retry", "--all"],
    ):
        ran = tq(*words)
        assert (ran.code, "read_only" in ran.err) == (5, True), words
    assert mail.depths() == {"pending": 1}
    tq.ok("stats")
    assert tq("health").code == 1
