"""`tq submit` with one task."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Tq
from tests.queue_driver import QueueDriver
from tests.waiting import wait_until
from tq_core.model import TaskState
from tq_core.roles import operator


def test_the_id_is_all_that_stdout_gets(tq: Tq, mail: QueueDriver) -> None:
    ran = tq.ok("submit", "greet", "name=ana")
    assert mail.view(ran.out.strip()).args == {"name": "ana"}


def test_without_published_types_a_warning_says_that_nothing_was_checked(tq: Tq, mail: QueueDriver) -> None:
    del mail
    assert "not checked" in tq.ok("submit", "anything", "x=1").err


def test_values_are_read_as_the_schema_wants_them(tq: Tq, published: QueueDriver) -> None:
    ran = tq.ok("submit", "send_mail", "to=123", "copies=2")
    assert published.view(ran.out.strip()).args == {"to": "123", "copies": 2}
    assert not ran.err


def test_without_a_schema_values_are_json_where_they_are_json(tq: Tq, mail: QueueDriver) -> None:
    ran = tq.ok("submit", "x", "n=5", "zip=01234", 'tags=["a"]', "text=a=b", "empty=")
    args = mail.view(ran.out.strip()).args
    assert args == {"n": 5, "zip": "01234", "tags": ["a"], "text": "a=b", "empty": ""}


def test_queue_and_attempts_are_those_of_the_type(tq: Tq, published: QueueDriver) -> None:
    record = tq.ok("submit", "send_mail", "to=a", "--json").record
    assert (record["queue"], record["max_attempts"]) == ("mail", 7)
    assert published.view(record["id"]).options.submitted_by == "ana@desk"


def test_an_unknown_type_is_refused_with_the_nearest_names(tq: Tq, published: QueueDriver) -> None:
    ran = tq("submit", "send_mial", "to=a")
    assert (ran.code, ran.out) == (5, "")
    assert "send_mail" in ran.err
    assert published.depths() == {}


def test_force_enqueues_an_unknown_type_all_the_same(tq: Tq, published: QueueDriver) -> None:
    ran = tq.ok("submit", "send_mial", "to=a", "--force", "--queue", "mail")
    assert published.view(ran.out.strip()).type == "send_mial"


@pytest.mark.parametrize(
    ("words", "field"),
    [(["copies=1"], "to: missing"), (["to=a", "copies=x"], "copies"), (["to=a", "cc=b"], "cc: unknown")],
)
def test_wrong_arguments_are_refused_by_name(tq: Tq, published: QueueDriver, words: list[str], field: str) -> None:
    ran = tq("submit", "send_mail", *words)
    assert ran.code == 5
    assert field in ran.err
    assert published.depths() == {}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--data", "{"], 2, "no valid JSON"),
        (["--data", "[1]"], 2, "JSON object"),
        (["--data", "@nowhere.json"], 2, "nowhere.json"),
        (["novalue"], 2, "key=value"),
        (["a=1", "a=2"], 2, "twice"),
        (["--priority", "urgent"], 2, "critical, high"),
        (["--priority", "256"], 2, "255"),
        (["--delay", "-5"], 2, "duration"),
        (["--delay", "soon"], 2, "duration"),
        (["--at", "someday"], 2, "2030-01-31"),
        (["--max-attempts", "0"], 2, "max-attempts"),
        (["--timeout", "0"], 2, "timeout"),
        (["--queue", "no spaces"], 2, "queue"),
        (["--id", "no/slash"], 2, "id"),
        (["--unique", ""], 2, "unique"),
        (["--frobnicate"], 2, "--frobnicate"),
        (["--depends-on", "x"], 2, "'x' is no task id"),
        (["--on-parent-failure", "skip"], 2, "depends_on"),
        (["--skip-bad"], 2, "--batch"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    tq: Tq, mail: QueueDriver, words: list[str], code: int, said: str
) -> None:
    ran = tq("submit", "greet", *words)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
    assert ran.err.count("\n") <= 2
    assert mail.raw.keys("*") == []


@pytest.mark.parametrize("words", [["x", "-q", ""], ["x", "word=\udcff"], ["x", "\udcff=1"]])
def test_what_a_shell_made_of_an_unset_variable_or_of_bytes_is_refused(
    tq: Tq, mail: QueueDriver, words: list[str]
) -> None:
    ran = tq("submit", *words)
    assert (ran.code, ran.out) == (2, "")
    assert "cannot be a queue's name" in ran.err or "is not UTF-8, as JSON must be" in ran.err
    assert mail.raw.keys("*") == []


def test_an_oversized_payload_is_refused(tq: Tq, mail: QueueDriver, tmp_path: Path) -> None:
    big = tmp_path / "big.json"
    big.write_text('{"text": "' + "x" * 2_000_000 + '"}')
    ran = tq("submit", "greet", "--data", f"@{big}")
    assert ran.code == 5
    assert "limit is 1048576" in ran.err
    assert mail.raw.keys("*") == []


def test_arguments_may_come_from_stdin_and_words_go_over_them(tq: Tq, mail: QueueDriver) -> None:
    ran = tq.ok("submit", "greet", "b=3", "--data", "-", stdin='{"a": 1, "b": 2}')
    assert mail.view(ran.out.strip()).args == {"a": 1, "b": 3}


def test_options_reach_the_task(tq: Tq, mail: QueueDriver) -> None:
    ran = tq.ok(
        *("submit", "greet", "--queue", "mail", "--priority", "high", "--delay", "1h30m", "--max-attempts", "2"),
        *("--timeout", "5m", "--unique", "k"),
    )
    view = mail.view(ran.out.strip())
    assert (view.state, view.priority, view.max_attempts) == (TaskState.SCHEDULED, 50, 2)
    assert (view.options.timeout_s, view.unique_key) == (300, "k")
    assert view.due_at_ms == view.created_at_ms + 5_400_000


def test_a_time_without_a_zone_is_local(tq: Tq, mail: QueueDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Etc/GMT-3")
    time.tzset()
    try:
        ran = tq.ok("submit", "greet", "--at", "2090-01-01T03:00")
        assert mail.view(ran.out.strip()).due_at_ms == 3_786_912_000_000
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()


def test_the_same_name_twice_is_one_task(tq: Tq, mail: QueueDriver) -> None:
    first = tq.ok("submit", "greet", "--queue", "mail", "--id", "monday")
    again = tq.ok("submit", "greet", "--queue", "mail", "--id", "monday")
    assert first.out == again.out == "monday@mail\n"
    assert "there already" in again.err
    assert mail.depths() == {"pending": 1}


def test_a_held_unique_key_is_refused_with_its_holder(tq: Tq, mail: QueueDriver) -> None:
    holder = tq.ok("submit", "greet", "--queue", "mail", "--unique", "k").out.strip()
    ran = tq("submit", "greet", "--queue", "mail", "--unique", "k")
    assert ran.code == 5
    assert holder in ran.err
    assert mail.depths() == {"pending": 1}


def test_a_full_queue_refuses(tq: Tq, mail: QueueDriver) -> None:
    mail.run(operator.configure_queue("mail", {"max_size": 1}, actor="t"))
    tq.ok("submit", "greet", "--queue", "mail")
    ran = tq("submit", "greet", "--queue", "mail")
    assert ran.code == 5
    assert "at most 1" in ran.err


def start_waiting(tq: Tq, mail: QueueDriver) -> subprocess.Popen[str]:
    """Starts a submit that waits, and returns once it does."""
    running = subprocess.Popen(
        tq.command("submit", "greet", "--queue", "mail", "--wait"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    while "waiting for its end" not in running.stderr.readline():
        assert running.poll() is None
    wait_until(mail.depths, 10, "the task to be there")
    return running


def test_waiting_prints_the_result(tq: Tq, mail: QueueDriver) -> None:
    running = start_waiting(tq, mail)
    mail.complete(mail.take_one(), result=b'{"sum":3}')
    assert running.communicate(timeout=10)[0] == '{"sum":3}\n'
    assert running.returncode == 0


def test_waiting_for_a_task_that_fails_is_exit_code_1_and_its_error(tq: Tq, mail: QueueDriver) -> None:
    running = start_waiting(tq, mail)
    mail.fail(mail.take_one(), verdict="fatal", reason="fatal")
    out, err = running.communicate(timeout=10)
    assert (running.returncode, out) == (1, "")
    assert "ValueError: boom" in err


def test_waiting_too_long_is_exit_code_6_and_says_why(tq: Tq, mail: QueueDriver) -> None:
    del mail
    ran = tq("submit", "greet", "--queue", "mail", "--wait", "--wait-timeout", "50ms")
    assert (ran.code, ran.out) == (6, "")
    assert "no live worker serves" in ran.err


def test_ctrl_c_ends_the_waiting_not_the_task(tq: Tq, mail: QueueDriver) -> None:
    running = start_waiting(tq, mail)
    os.kill(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=10)
    assert running.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert mail.depths() == {"pending": 1}


def test_a_task_that_depends_on_others_waits_and_says_for_whom(tq: Tq, mail: QueueDriver) -> None:
    one, two = (tq("submit", "greet", "-q", "mail").out.strip() for _ in range(2))
    child = tq(
        "submit", "greet", "-q", "mail", "--depends-on", one, "--depends-on", two, "--depends-on", one
    ).out.strip()
    skipped = tq(
        "submit", "greet", "-q", "mail", "--depends-on", child, "--on-parent-failure", "skip", "--id", "last"
    ).out.strip()

    shown = json.loads(tq("tasks", "show", child, "--json").out)
    assert (shown["state"], shown["blocked_by"], shown["depends_on"]) == ("blocked", sorted([one, two]), [one, two])
    assert shown["why"].startswith("waits for 2 tasks: ")
    assert f"waits for the task {child}" in tq("tasks", "show", skipped).out

    mail.complete(mail.take_one())
    mail.fail(mail.take_one(), verdict="fatal")
    assert mail.depths() == {"completed": 1, "failed": 2, "cancelled": 1}
    assert f"the task {two}, which it waited for, failed" in tq("tasks", "show", child).out
    assert mail.findings() == []


def test_a_parent_that_is_not_there_is_refused(tq: Tq, mail: QueueDriver) -> None:
    ran = tq("submit", "greet", "-q", "mail", "--depends-on", "gone@mail")
    assert (ran.code, ran.out) == (5, "")
    assert "cannot depend on gone@mail: it never existed" in ran.err
    assert mail.depths() == {}
