"""`tq dlq`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Tq
from tests.queue_driver import QueueDriver


@pytest.fixture
def failed(mail: QueueDriver) -> list[str]:
    """Six failed tasks: two timeouts, four refusals."""
    ids = mail.put_many(6)
    for i, task in enumerate(mail.take(6)):
        kind = "Timeout" if i < 2 else "Refused"
        detail = {"type": kind, "message": f"attempt {i}", "fingerprint": kind}
        mail.fail(task, verdict="fatal", reason="error", detail=detail)
    return ids


def test_the_list_names_the_errors(tq: Tq, failed: list[str]) -> None:
    ran = tq.ok("dlq", "list")
    assert len(ran.lines) == 7
    assert "Timeout: attempt 0" in ran.out
    assert {record["id"] for record in tq.ok("dlq", "list", "--json").records} == set(failed)


def test_groups_count_what_failed_alike(tq: Tq, failed: list[str]) -> None:
    del failed
    groups = tq.ok("dlq", "groups", "--json").records
    assert [(group["count"], group["error"]["type"]) for group in groups] == [(4, "Refused"), (2, "Timeout")]


def test_groups_say_when_and_name_a_task(tq: Tq, failed: list[str]) -> None:
    group = tq.ok("dlq", "groups", "--json", "--filter", "error:timeout").record
    assert (group["group"], group["count"], group["example_id"]) == ("Timeout", 2, max(failed[:2]))
    assert group["first_at_ms"] <= group["last_at_ms"]
    assert "Refused" in tq.ok("dlq", "groups").lines[1]


def test_a_group_is_retried(tq: Tq, mail: QueueDriver, failed: list[str]) -> None:
    del failed
    assert tq.ok("dlq", "retry", "--group", "Timeout").out == "2 tasks requeued\n"
    assert mail.depths() == {"pending": 2, "failed": 4}
    ran = tq("dlq", "retry", "--group", "Timeout")
    assert ran.code == 3
    assert "no failed task is in the group 'Timeout'" in ran.err


def test_a_group_is_listed_and_deleted_whole(tq: Tq, failed: list[str], mail: QueueDriver) -> None:
    listed = tq.ok("dlq", "list", "--group", "Refused", "--json").records
    assert {record["id"] for record in listed} == set(failed[2:])
    assert {record["error"]["type"] for record in listed} == {"Refused"}
    ran = tq.ok("dlq", "list", "--group", "Refused", "--limit", "3")
    assert "these are 3 of 4 tasks" in ran.err
    assert tq("dlq", "list", "--group", "Refused", "--filter", "x").code == 2

    assert tq("dlq", "discard", "--group", "Refused").code == 2
    ran = tq.ok("dlq", "discard", "--group", "Refused", "--yes")
    assert ran.out == "4 tasks deleted\n"
    assert mail.depths()["failed"] == 2
    assert tq("dlq", "discard", "--group", "Refused", "--yes").code == 3
    tq.ok(*ran.err[ran.err.index("tq undo") :].split()[1:3])
    assert mail.depths()["failed"] == 6


def test_retry_all_requeues_everything(tq: Tq, mail: QueueDriver, failed: list[str]) -> None:
    del failed
    assert tq.ok("dlq", "retry", "--all").out == "6 tasks requeued\n"
    assert mail.depths() == {"pending": 6}


def test_retry_by_filter_takes_what_fits(tq: Tq, mail: QueueDriver, failed: list[str]) -> None:
    ran = tq.ok("dlq", "retry", "--filter", "type:work error:timeout queue:mail")
    assert set(ran.lines) == {f"{task_id}  requeued" for task_id in failed[:2]}
    assert mail.depths() == {"pending": 2, "failed": 4}


def test_retry_by_id(tq: Tq, mail: QueueDriver, failed: list[str]) -> None:
    tq.ok("dlq", "retry", failed[0], failed[3])
    assert mail.depths() == {"pending": 2, "failed": 4}


@pytest.mark.parametrize(
    "words",
    [[], ["--all", "--filter", "type:x"], ["a@mail", "--all"], ["a@mail", "--queue", "mail"], ["--filter", "type"]],
)
def test_what_to_act_on_must_be_said_in_one_way(tq: Tq, mail: QueueDriver, words: list[str]) -> None:
    mail.put_one()
    for verb in ("retry", "discard"):
        assert tq("dlq", verb, *words).code == 2, verb


def test_a_task_that_is_not_in_the_dlq_is_refused(tq: Tq, mail: QueueDriver) -> None:
    task_id = mail.put_one()
    ran = tq("dlq", "discard", task_id)
    assert ran.code == 5
    assert "pending, not in the DLQ" in ran.err
    assert mail.depths() == {"pending": 1}


@pytest.mark.parametrize("words", [["--all"], ["--filter", "error:refused"]])
def test_many_are_discarded_only_when_somebody_is_sure(
    tq: Tq, mail: QueueDriver, failed: list[str], words: list[str]
) -> None:
    del failed
    ran = tq("dlq", "discard", *words)
    assert ran.code == 2
    assert "--yes" in ran.err
    assert f"delete {6 if words == ['--all'] else 4} failed tasks" in ran.err
    assert mail.depths() == {"failed": 6}
    tq.ok("dlq", "discard", *words, "--yes")
    assert mail.depths() == ({} if words == ["--all"] else {"failed": 2})


def test_discarding_nothing_needs_nobody_to_be_sure(tq: Tq, mail: QueueDriver) -> None:
    mail.put_one()
    assert tq.ok("dlq", "discard", "--all").out == "0 tasks deleted\n"


def test_export_prints_every_failed_task(tq: Tq, failed: list[str], tmp_path: Path) -> None:
    assert {record["id"] for record in tq.ok("dlq", "export").records} == set(failed)
    path = tmp_path / "out.ndjson"
    ran = tq.ok("dlq", "export", "--filter", "error:timeout", "--output", str(path))
    assert ran.out == ""
    assert "2 tasks exported" in ran.err
    assert [json.loads(line)["error"]["type"] for line in path.read_text().splitlines()] == ["Timeout", "Timeout"]


def test_show_has_the_traceback(tq: Tq, mail: QueueDriver) -> None:
    task_id = mail.put_one()
    detail = {"type": "ValueError", "message": "boom", "traceback": "Traceback:\n\tline 1\x1b[31m"}
    mail.fail(mail.take_one(), verdict="fatal", reason="fatal", detail=detail)
    assert "      line 1\\x1b[31m" in tq.ok("dlq", "show", task_id).out
