"""`tq queues`, and asking before what takes many tasks away."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Tq
from tests.queue_driver import QueueDriver
from tq_core.roles import operator


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


def test_limits_of_running_and_rates_are_set_for_all_and_for_one_key(tq: Tq, mail: QueueDriver) -> None:
    mail.put_one()
    set_now = tq.ok(
        "queues", "limit", "mail", "--running", "10", "--rate", "100/s", "--key-running", "2", "--json"
    ).record
    assert (set_now["running"], set_now["rate"], set_now["key_running"]) == (10, "100/s+10", 2)
    ran = tq.ok("queues", "limit", "mail", "--key", "acme\u202eA", "--running", "0", "--rate", "10/5m+3")
    assert "key             acme" in ran.out
    assert "\u202e" not in ran.out
    assert "running 0, rate 10/5m+3" in ran.out
    task_ids = [tq.ok("submit", "t", "-q", "mail", "--limit-key", "acme\u202eA").out.strip() for _ in range(2)]
    assert len(mail.take(9)) == 1
    shown = tq.ok("tasks", "show", task_ids[1], "--json").record
    assert (shown["state"], shown["limit_key"], shown["gate"]["before"]) == ("blocked", "acme\u202eA", 1)
    assert shown["why"].startswith("waits: 0 of at most 0 tasks of the key 'acme")
    assert tq.ok("queues", "list", "--json").record["limits"] == {
        "running": "10",
        "rate": "100/1000/10",
        "key_running": "2",
    }
    cleared = tq.ok("queues", "limit", "mail", "--key", "acme\u202eA", "--running", "none", "--rate", "none", "--json")
    assert cleared.record["keys"] == {}
    for words in (
        ["--rate", "5"],
        ["--key", "a"],
        ["--key", "a", "--max-size", "1"],
        ["--key", "a", "--key-rate", "1/s"],
    ):
        assert tq("queues", "limit", "mail", *words).code == 2, words
    assert tq("queues", "limit", "mail", "--running", "0").code == 2
    for words in (["--max-size", "9" * 19], ["--max-size", "9" * 5000], ["--keep", "9" * 400]):
        assert tq("queues", "limit", "mail", "--running", "3", *words).code == 2, words
    assert tq.ok("queues", "limit", "mail", "--json").record["running"] == 10


def test_a_breaker_is_set_changed_steered_and_taken_away(tq: Tq, mail: QueueDriver) -> None:
    mail.put_one()
    assert tq("queues", "breaker", "mail", "work", "--open").code == 3
    assert "did you mean mail" in tq("queues", "breaker", "mial", "work", "--failures", "40%").err
    assert tq.ok("queues", "list", "--json").records[0]["queue"] == "mail"
    made = tq.ok("queues", "breaker", "mail", "work", "--failures", "40%", "--window", "2m", "--json").record
    assert (made["failures_percent"], made["window_s"], made["min_runs"], made["state"]) == (40, 120, 10, "closed")
    changed = tq.ok("queues", "breaker", "mail", "work", "--min", "3", "--json").record
    assert (changed["failures_percent"], changed["min_runs"]) == (40, 3)
    assert "open until it is closed by hand: by ana@desk" in tq.ok("queues", "breaker", "mail", "work", "--open").out
    assert mail.take(9) == []
    assert ", 1 waiting" in tq.ok("queues", "breaker", "mail").out
    assert tq.ok("queues", "breaker", "mail", "work", "--close", "--json").record["state"] == "closed"
    assert len(mail.take(9)) == 1
    assert tq.ok("queues", "breaker", "mail", "work", "--off", "--json").records == []
    assert tq("queues", "breaker", "mail", "--off").code == 2
    assert tq("queues", "breaker", "mail", "work", "--off", "--min", "3").code == 2


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
        "running": None,
        "rate": None,
        "key_running": None,
        "key_rate": None,
        "keys": {},
        "breakers": [],
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
    refused = tq("--context", "prod", "queues", "pause", "mail")
    assert (refused.code, "--unlock" in refused.err, mail.stats().paused) == (5, True, None)
    purge = ("--context", "prod", "queues", "purge", "mail", "--unlock", "a bad deploy")
    assert ask(tq, *purge, answer="yes")[0] == 5
    assert mail.depths() == {"pending": 1}
    assert ask(tq, *purge, answer="prod")[0] == 0
    assert mail.depths() == {}
    acts = [(act.action, act.detail.get("why")) for act in mail.run(operator.audit_log(["mail"]))]
    assert acts == [("purge", None), ("unlock", "a bad deploy")]
    monkeypatch.setenv("TQ_UNLOCK", "the nightly script")
    tq.ok("--context", "prod", "queues", "pause", "mail")


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
