"""`tq submit --batch`: files are checked whole, pipes go in chunks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Tq
from tests.queue_driver import QueueDriver
from tests.waiting import wait_until

Write = Callable[..., str]


def lines(count: int, **more: object) -> list[dict[str, object]]:
    return [{"type": "t", "queue": "mail", "args": {"n": n}, **more} for n in range(count)]


def test_a_file_is_enqueued_and_its_ids_come_in_its_order(tq: Tq, mail: QueueDriver, write: Write) -> None:
    ran = tq.ok("submit", "--batch", write(*lines(1201)))
    assert len(ran.lines) == 1201
    assert mail.depths() == {"pending": 1201}
    assert mail.view(ran.lines[0]).args == {"n": 0}
    assert mail.view(ran.lines[1200]).args == {"n": 1200}
    assert "1,201 enqueued" in ran.err


def test_a_chain_in_a_file_waits_in_its_order(tq: Tq, mail: QueueDriver, write: Write) -> None:
    chain = [
        {"type": "t", "queue": "mail", "id": "a"},
        {"type": "t", "queue": "mail", "id": "b", "depends_on": ["a@mail"]},
        {"type": "t", "queue": "mail", "id": "c", "depends_on": ["a@mail", "b@mail"], "on_parent_failure": "skip"},
    ]
    assert tq.ok("submit", "--batch", write(*chain)).lines == ["a@mail", "b@mail", "c@mail"]
    assert mail.depths() == {"pending": 1, "blocked": 2}
    assert mail.view("c@mail").blocked_by == ("a@mail", "b@mail")


def test_a_chain_in_a_file_may_go_from_queue_to_queue(tq: Tq, mail: QueueDriver, write: Write) -> None:
    chain = [
        {"type": "t", "queue": "mail", "id": "a"},
        {"type": "t", "queue": "files", "id": "b", "depends_on": ["a@mail"]},
        {"type": "t", "queue": "mail", "id": "c", "depends_on": ["b@files"]},
    ]
    assert tq.ok("submit", "--batch", write(*chain)).lines == ["a@mail", "b@files", "c@mail"]
    assert "the task b@files of the queue 'files'" in tq.ok("tasks", "show", "c@mail", "--json").record["why"]
    assert tq.ok("tasks", "tree", "b@files").lines == [
        "b@files  blocked  t  files",
        "waits or waited for",
        "   a@mail  pending  t  mail",
        "is waited for by",
        "   c@mail  blocked  t  mail",
    ]
    assert mail.view("c@mail").blocked_by == ("b@files",)
    records = [json.loads(line) for line in tq.ok("tasks", "tree", "c@mail", "--json").lines]
    assert [(r["depth"], r["id"], r["state"]) for r in records] == [
        (-2, "a@mail", "pending"),
        (-1, "b@files", "blocked"),
        (0, "c@mail", "blocked"),
    ]
    assert tq("tasks", "tree", "gone@mail").code == 3
    assert tq.ok("audit").out == "2 queues checked: consistent\n"
    mail.raw.delete(mail.key("watchers"))
    told = tq("audit", "--json")
    assert (told.code, told.record["word"], told.record["subject"]) == (1, "foreign_parent_unwatched", "b@files a@mail")


def test_a_line_that_depends_on_a_later_one_is_refused(tq: Tq, mail: QueueDriver, write: Write) -> None:
    circle = [
        {"type": "t", "queue": "mail", "id": "a", "depends_on": ["b@mail"]},
        {"type": "t", "queue": "mail", "id": "b", "depends_on": ["a@mail"]},
    ]
    ran = tq("submit", "--batch", write(*circle))
    assert (ran.code, ran.out) == (2, "")
    assert "a@mail cannot depend on b@mail, which comes after it" in ran.err
    assert mail.depths() == {}


def test_a_bad_line_in_a_file_keeps_all_of_it_from_being_enqueued(tq: Tq, mail: QueueDriver, write: Write) -> None:
    ran = tq("submit", "--batch", write(*lines(700), {"type": "t", "priority": 999}))
    assert (ran.code, ran.out) == (5, "")
    assert "line 701: priority 999" in ran.err
    assert "0 enqueued" in ran.err
    assert mail.raw.keys("*") == []


def test_skip_bad_leaves_the_bad_lines_of_a_file_out(tq: Tq, mail: QueueDriver, write: Write) -> None:
    ran = tq.ok("submit", "--batch", write(*lines(3), "{bad", *lines(2)), "--skip-bad")
    assert len(ran.lines) == 5
    assert "line 4" in ran.err
    assert "5 enqueued, 1 bad lines left out" in ran.err
    assert mail.depths() == {"pending": 5}


def test_a_pipe_stops_at_its_first_bad_line_and_says_how_many_went(tq: Tq, mail: QueueDriver, write: Write) -> None:
    text = Path(write(*lines(700), "{bad", *lines(2))).read_bytes()
    ran = tq.process("submit", "--batch", "-", stdin=text)
    assert ran.code == 5
    assert "line 701: it is no valid JSON" in ran.err
    assert ran.err.rstrip().endswith("700 enqueued")
    assert len(ran.lines) == 700
    assert mail.depths() == {"pending": 700}


def test_skip_bad_goes_on_in_a_pipe(tq: Tq, mail: QueueDriver, write: Write) -> None:
    text = Path(write(*lines(2), "", "{bad", *lines(2))).read_bytes()
    ran = tq.process("submit", "--batch", "-", "--skip-bad", stdin=text.rstrip(b"\n"))
    assert (ran.code, len(ran.lines)) == (0, 4)
    assert mail.depths() == {"pending": 4}


def test_a_file_on_stdin_is_checked_whole_too(tq: Tq, mail: QueueDriver, write: Write) -> None:
    with Path(write(*lines(3), "{bad")).open("rb") as file:
        ran = tq.process("submit", "--batch", "-", stdin=file)
    assert (ran.code, ran.out) == (5, "")
    assert mail.raw.keys("*") == []


def test_a_slow_pipe_does_not_wait_for_a_full_chunk(tq: Tq, mail: QueueDriver) -> None:
    running = subprocess.Popen(
        tq.command("submit", "t", "--batch", "-"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdin is not None
    running.stdin.write('{"queue": "mail"}\n')
    running.stdin.flush()
    wait_until(lambda: mail.raw.exists("tq:queues") and mail.depths(), 10, "the first task while the pipe is open")
    out, err = running.communicate(timeout=10)
    assert running.returncode == 0, err
    assert len(out.splitlines()) == 1


def test_ctrl_c_says_after_which_line(tq: Tq, mail: QueueDriver) -> None:
    running = subprocess.Popen(
        tq.command("submit", "t", "--batch", "-"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdin is not None
    assert running.stdout is not None
    running.stdin.write('{"queue": "mail"}\n{"queue": "mail"}\n')
    running.stdin.flush()
    running.stdout.readline()
    running.stdout.readline()
    os.kill(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=10)
    assert running.returncode == 130
    assert "interrupted after line 2; 2 enqueued" in err
    assert mail.depths() == {"pending": 2}


def test_a_broker_that_fails_on_the_way_is_told_with_the_line(tq: Tq, mail: QueueDriver) -> None:
    running = subprocess.Popen(
        tq.command("submit", "t", "--batch", "-"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdin is not None
    assert running.stdout is not None
    running.stdin.write('{"queue": "mail"}\n{"queue": "mail"}\n')
    running.stdin.flush()
    running.stdout.readline()
    mail.raw.config_set("maxmemory", 1)
    try:
        _, err = running.communicate('{"queue": "mail"}\n', timeout=30)
    finally:
        mail.raw.config_set("maxmemory", 0)
    assert running.returncode == 4
    assert "tq: after line 2: " in err
    assert "is out of memory" in err
    assert err.endswith("; 2 enqueued for certain\n")


def test_a_line_with_an_empty_queue_is_bad(tq: Tq, mail: QueueDriver, write: Write) -> None:
    ran = tq("submit", "t", "--batch", write({"queue": ""}))
    assert (ran.code, ran.out) == (5, "")
    assert "line 1: '' cannot be a queue's name" in ran.err
    assert mail.raw.keys("*") == []


def test_options_are_what_lines_do_not_say(tq: Tq, mail: QueueDriver, write: Write) -> None:
    path = write({"args": {}}, {"type": "other", "priority": "low", "delay": "5m", "id": "n1", "unique": "u"})
    ran = tq.ok("submit", "usual", "--batch", path, "--queue", "mail", "--priority", "high")
    usual, other = map(mail.view, ran.lines)
    assert (usual.type, usual.priority) == ("usual", 50)
    assert (other.type, other.priority, other.id, other.unique_key) == ("other", 200, "n1@mail", "u")
    assert other.due_at_ms is not None


def test_lines_are_checked_against_published_types(tq: Tq, published: QueueDriver, write: Write) -> None:
    ran = tq("submit", "--batch", write({"type": "send_mail"}, {"type": "send_mial", "args": {"to": "a"}}))
    assert ran.code == 5
    assert "line 1: send_mail: to: missing" in ran.err
    assert "line 2: no worker has published the task type 'send_mial'" in ran.err
    assert published.depths() == {}


def test_tasks_that_are_there_already_are_counted_apart(tq: Tq, mail: QueueDriver, write: Write) -> None:
    path = write(*lines(1, id="a"), *lines(1, id="b"))
    tq.ok("submit", "--batch", path)
    ran = tq.ok("submit", "--batch", path)
    assert ran.lines == ["a@mail", "b@mail"]
    assert "0 enqueued, 2 there already" in ran.err
    assert mail.depths() == {"pending": 2}


def test_a_full_queue_stops_a_batch_and_says_where(tq: Tq, mail: QueueDriver, write: Write) -> None:
    tq.ok("queues", "limit", "mail", "--max-size", "600")
    ran = tq("submit", "--batch", write(*lines(700)))
    assert ran.code == 5
    assert "lines 501 to 700" in ran.err
    assert "500 enqueued" in ran.err
    assert mail.depths() == {"pending": 500}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"type": "t", "arg": {}}', "unknown field"),
        ('{"args": {}}', 'no "type"'),
        ("[1]", "object"),
        ('{"type": "t", "args": [1]}', "object"),
        ('{"type": "t", "delay": "soon"}', "delay 'soon'"),
        ('{"type": "t", "delay": -1}', "delay"),
        ('{"type": "t", "at": "someday"}', "at 'someday'"),
        ('{"type": "t", "max_attempts": 0}', "max_attempts"),
        ('{"type": "no good"}', "task type"),
        ('{"type": "t", "queue": "a b"}', "queue"),
        ('{"type": "t", "id": "a/b"}', "id"),
        ('{"type": "t", "args": {"x": "' + "y" * 1_100_000 + '"}}', "limit is 1048576"),
        ('{"type": "t", "args": {"x": "' + "y" * 5_000_000 + '"}}', "longer than"),
        ('{"type": "\\ud800"}', "JSON"),
    ],
)
def test_bad_lines_are_named_with_what_is_wrong(tq: Tq, mail: QueueDriver, write: Write, line: str, said: str) -> None:
    ran = tq("submit", "--batch", write(line))
    assert ran.code == 5
    assert "line 1:" in ran.err
    assert said in ran.err
    assert mail.raw.keys("*") == []


@pytest.mark.parametrize(
    "words", [["a=1"], ["--data", "{}"], ["--id", "x"], ["--unique", "x"], ["--wait"], ["--wait-timeout", "1"]]
)
def test_options_of_one_task_are_refused(tq: Tq, mail: QueueDriver, write: Write, words: list[str]) -> None:
    del mail
    assert tq("submit", "t", "--batch", write({}), *words).code == 2
