"""`tq cron`: schedules from the command line."""

from __future__ import annotations

import json
from typing import Any

from tests.cli.conftest import Tq
from tests.queue_driver import QueueDriver
from tq_core.roles import schedules

MINUTE = 60_000


def test_a_schedule_is_added_shown_and_removed(tq: Tq, published: QueueDriver) -> None:
    ran = tq.ok(
        "cron", "add", "hello", "send_mail", "to=x@y", "copies=2", "--cron", "0 8 * * 1-5", "--tz", "Asia/Tokyo"
    )
    assert ran.out.startswith("hello  added to mail; its first fire is at ")

    record = tq.ok("cron", "list", "--json").record
    next_ms = record.pop("next_at_ms")
    assert next_ms % 86_400_000 == 23 * 3_600_000
    assert record == {
        "name": "hello",
        "queue": "mail",
        "state": "active",
        "type": "send_mail",
        "args": {"to": "x@y", "copies": 2},
        "cron": "0 8 * * 1-5",
        "every_s": None,
        "tz": "Asia/Tokyo",
        "missed": "once",
        "jitter_s": 0.0,
        "overlap": True,
        "priority": 100,
        "max_attempts": 7,
        "timeout_s": None,
        "expires_in_s": None,
        "last_at_ms": None,
        "fires": 0,
        "declared_at_ms": None,
        "paused": None,
    }
    lines = tq.ok("cron", "list").lines
    assert lines[0].split() == ["NAME", "QUEUE", "TYPE", "WHEN", "NEXT", "LAST", "FIRES", "STATE"]
    assert "hello  mail   send_mail  0 8 * * 1-5 Asia/Tokyo  in " in lines[1]
    assert tq.ok("cron", "remove", "hello").out == "hello@mail  removed\n"
    ran = tq.ok("cron", "list")
    assert (ran.out, ran.err) == ("", "tq: no schedule yet\n")
    assert [(a["do"], a["by"]) for a in published.audited()] == [
        ("add_schedule", "ana@desk"),
        ("remove_schedule", "ana@desk"),
    ]


def test_all_that_may_be_said_of_one_is_kept(tq: Tq, mail: QueueDriver) -> None:
    words = ["--every", "15m", "--jitter", "90", "--no-overlap", "--missed", "skip", "--queue", "mail", "--why", "w"]
    words += ["--priority", "high", "--max-attempts", "2", "--timeout", "1h", "--data", '{"a": [1]}']
    record = tq.ok("cron", "add", "tidy", "clean_up", *words, "--json").record
    assert (record["word"], record["next_at_ms"] % (15 * MINUTE)) == ("added", 0)
    record = tq.ok("cron", "list", "--queue", "mail", "--json").record
    wanted: dict[str, Any] = {
        "every_s": 900,
        "cron": None,
        "tz": None,
        "jitter_s": 90.0,
        "overlap": False,
        "missed": "skip",
    }
    wanted |= {"priority": 50, "max_attempts": 2, "timeout_s": 3600.0, "args": {"a": [1]}}
    assert {name: record[name] for name in wanted} == wanted
    assert json.loads(mail.audited()[0]["detail"]) == {"by": "ana@desk", "why": "w", "schedule": "tidy"}


def test_pausing_running_and_resuming(tq: Tq, mail: QueueDriver) -> None:
    tq.ok("cron", "add", "tidy", "clean_up", "--every", "60", "--queue", "mail")
    assert tq.ok("cron", "pause", "tidy", "--why", "loud").out == "tidy@mail  paused\n"
    assert tq.ok("cron", "pause", "tidy").out == "tidy@mail  was paused already\n"
    assert "paused by ana@desk" in tq.ok("cron", "list").out
    task_id = tq.ok("cron", "run", "tidy").out.strip()
    assert mail.view(task_id).type == "clean_up"
    assert tq.ok("cron", "run", "tidy@mail", "--json").record["id"].startswith("cron.tidy.")
    assert tq.ok("cron", "resume", "tidy", "--json").record["is_changed"] is True
    assert tq.ok("cron", "resume", "tidy").out == "tidy@mail  was not paused\n"


def test_one_that_code_declares_is_removed_only_by_force(tq: Tq, mail: QueueDriver) -> None:
    mail.run(schedules.declare([schedules.new_schedule("tidy", "work", queue="mail", every_s=60)], is_start=True))
    ran = tq("cron", "remove", "tidy")
    assert (ran.code, "would come back" in ran.err) == (5, True)
    assert tq.ok("cron", "remove", "tidy", "--force").out == "tidy@mail  removed\n"


def test_what_is_wrong_is_refused_in_one_line(tq: Tq, published: QueueDriver) -> None:
    tq.ok("cron", "add", "tidy", "send_mail", "to=x", "--every", "60")
    cases: list[tuple[list[str], int, str]] = [
        (["add", "x", "send_mail", "to=x"], 2, "either cron="),
        (["add", "x", "send_mail", "to=x", "--cron", "* * *"], 2, "write five fields"),
        (["add", "x", "send_mail", "to=x", "--cron", "@daily", "--tz", "Mars"], 2, "no time zone 'Mars'"),
        (["add", "x", "send_mail", "to=x", "--every", "0.1"], 2, "whole seconds"),
        (["add", "x", "send_mail", "--every", "60"], 5, "to: missing"),
        (["add", "x", "send_male", "to=x", "--every", "60"], 5, "did you mean send_mail"),
        (["add", "x y", "send_mail", "to=x", "--every", "60"], 2, "cannot be a schedule's name"),
        (["add", "tidy", "send_mail", "to=x", "--every", "60"], 5, "'mail' has a schedule 'tidy' already"),
        (["list", "--queue", "mial"], 3, "did you mean mail"),
        (["pause", "tiddy"], 3, "did you mean tidy"),
        (["resume", "nothing"], 3, "see `tq cron list`"),
        (["run", "tidy", "nothing"], 3, "no schedule 'nothing'"),
        (["remove", "tidy@post"], 3, "no schedule 'tidy@post'"),
    ]
    for words, code, says in cases:
        ran = tq("cron", *words)
        assert (ran.code, ran.out, ran.err.count("\n"), says in ran.err) == (code, "", 1, True), (words, ran)
    assert published.depths() == {}
    assert [record["name"] for record in tq.ok("cron", "list", "--json").records] == ["tidy"]


def test_secrets_are_masked_and_revealing_is_written_down(tq: Tq, mail: QueueDriver) -> None:
    tq.ok("cron", "add", "tidy", "work", "password=hunter2", "--every", "60", "--queue", "mail")
    assert tq.ok("cron", "list", "--json").record["args"] == {"password": "***"}
    assert tq.ok("cron", "list", "--json", "--reveal").record["args"] == {"password": "hunter2"}
    assert [a["do"] for a in mail.audited()] == ["add_schedule", "reveal"]


def test_a_schedule_is_changed_and_shown_in_words(tq: Tq, published: QueueDriver) -> None:
    tq.ok(
        "cron", "add", "hello", "send_mail", "to=x@y", "--cron", "0 8 * * 1-5", "--tz", "Asia/Tokyo", "--jitter", "5m"
    )
    ran = tq.ok("cron", "edit", "hello", "copies=3", "--missed", "skip", "--no-overlap", "--json").record
    assert ran["word"] == "changed"
    record = tq.ok("cron", "list", "--json").record
    assert (record["args"], record["missed"], record["overlap"]) == ({"to": "x@y", "copies": 3}, "skip", False)
    assert (record["cron"], record["tz"], record["jitter_s"]) == ("0 8 * * 1-5", "Asia/Tokyo", 300)

    lines = tq.ok("cron", "show", "hello").lines
    assert lines[2] == "when    at 08:00 on Monday through Friday, Asia/Tokyo  (0 8 * * 1-5)"
    assert lines[3] == "fires   missed fires are skipped, does not overlap itself, each up to 5 m later"
    fires = [line for line in lines if " 08:00:00 Asia/Tokyo  in " in line]
    assert (len(fires), fires[0][:8], fires[1][:8]) == (5, "next    ", " " * 8)
    assert tq.ok("cron", "show", "hello", "--json").record["name"] == "hello"

    assert "changed; its next fire is at" in tq.ok("cron", "edit", "hello", "--every", "30m", "--overlap").out
    assert tq.ok("cron", "list", "--json").record["every_s"] == 1800
    for refused in (["--cron", "61 * * * *"], ["--tz", "Mars"], ["--every", "0s"]):
        assert tq("cron", "edit", "hello", *refused).code == 2, refused
    assert tq("cron", "edit", "hello", "copies=many").code == tq("cron", "edit", "hello", "--type", "mial").code == 5
    assert tq("cron", "edit", "nobody", "--every", "1h").code == 3
    assert [a["do"] for a in published.audited()] == ["add_schedule", "edit_schedule", "edit_schedule"]
    tq.ok("cron", "pause", "hello")
    assert "it stays paused" in tq.ok("cron", "edit", "hello", "--every", "1h").out
    assert "would   " in tq.ok("cron", "show", "hello").out
