"""`tq undo`, `tq jobs`, and acting on what a filter fits."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Tq
from tests.queue_driver import QueueDriver
from tests.waiting import wait_until
from tq_core.roles import jobs, operator, registry
from tq_core.roles.producer import new_task
from tq_core.transport.steps import Flow


def test_what_takes_tasks_away_says_how_to_undo_it(tq: Tq, mail: QueueDriver) -> None:
    one, two, three = mail.put_many(3)
    for words in (["tasks", "cancel", one], ["tasks", "delete", two], ["queues", "purge", "mail", "--yes"]):
        ran = tq.ok(*words)
        assert ran.err.startswith("undo: tq undo "), words
        tq.ok(*ran.err.split()[2:])
        assert mail.depths() == {"pending": 3}, words
    record = tq.ok("tasks", "delete", three, "--json").record
    assert tq.ok("undo", record["undo_op"], "--json").record == {"done": 1, "skipped": [], "undo_op": None}
    ran = tq.ok("queues", "purge", "mail", "--yes", "--no-undo")
    assert "cannot be undone" in ran.err
    assert mail.depths() == {}


def test_the_last_own_operation_is_undone_and_the_list_names_all(tq: Tq, mail: QueueDriver) -> None:
    one, two = mail.put_many(2)
    mail.run(operator.cancel([one], actor="ana@desk", why="\x1b[31mred"))
    at_ms = mail.run(registry.server_time_ms())
    wait_until(lambda: mail.run(registry.server_time_ms()) > at_ms, 5, "the clock to go on")
    mail.run(operator.discard([two], actor="bob"))
    listed = tq.ok("undo", "--list")
    assert [line.split()[4] for line in listed.lines[1:]] == ["discard", "cancel"]
    assert "\x1b" not in listed.out
    first, second = tq.ok("undo", "--list", "--json").records
    assert (first["by"], first["tasks"], second["detail"]["why"]) == ("bob", {"mail": 1}, "\x1b[31mred")

    ran = tq.ok("undo", "--why", "wrong")
    assert (ran.out, "cancel of 1 task by ana@desk" in ran.err) == ("1 task restored\n", True)
    assert tq("undo").code == 3
    assert tq("undo", "nonsense").code == 2
    assert tq("undo", first["op"], "--list").code == 2
    mail.put(new_task("work", {}, name="n"))
    assert tq.ok("undo", "--by", "*").out == "1 task restored\n"
    assert mail.depths() == {"pending": 3}
    log = tq.ok("audit", "--log", "--json").records
    assert [entry["action"] for entry in log].count("undo") == 2


def test_what_cannot_be_put_back_is_named(tq: Tq, mail: QueueDriver) -> None:
    mail.put(new_task("work", {}, name="n"))
    tq.ok("tasks", "delete", "n@mail")
    mail.put(new_task("work", {}, name="n"))
    ran = tq("undo")
    assert (ran.code, ran.out) == (5, "0 tasks restored\n")
    assert "n@mail: nothing was done, because it is pending" in ran.err


def test_tasks_are_moved_to_another_queue_and_the_old_id_says_where(tq: Tq, mail: QueueDriver) -> None:
    slow = mail.beside("slow")
    slow.put_one(name="x", delay_s=99)
    task_id, other = mail.put_one(), mail.put_one(name="n")
    ran = tq.ok("tasks", "move", task_id, "--to", "slow")
    new_id = ran.out.split()[-2]
    assert ran.out == f"{task_id}  moved; it is {new_id} now\n"
    assert f"it is {new_id} there" in tq("tasks", "show", task_id).err
    assert tq("tasks", "move", other, "--to", "slwo").code == 3
    assert tq.ok("tasks", "move", "--filter", "id:n*", "--to", "slow", "--yes").out == "1 task moved\n"
    assert slow.depths() == {"scheduled": 1, "pending": 2}
    assert tq("tasks", "move", "--filter", "x").code == 2
    assert slow.take_one().id == new_id
    tq.ok("undo")
    ran = tq("undo")
    assert (ran.code, ran.out) == (5, "0 tasks restored\n")
    assert f"{task_id}: it stays in the other queue as {new_id}, because it is running" in ran.err


@pytest.mark.parametrize("verb", ["cancel", "delete", "reprioritise", "retry"])
def test_what_a_filter_fits_is_acted_on(tq: Tq, mail: QueueDriver, verb: str) -> None:
    mail.put(*[new_task("send_a", {}) for _ in range(250)], new_task("other", {}))
    if verb == "retry":
        for task in mail.take(251):
            mail.fail(task, verdict="fatal")
    words = ["tasks", verb, "--filter", "type:send_*", "--queue", "mail"]
    words += {"delete": ["--state", "pending"], "reprioritise": ["-p", "high"]}.get(verb, [])
    if verb in ("cancel", "delete"):
        ran = tq(*words)
        assert (ran.code, f"{verb} what fits 'type:send_*' of 251 tasks (" in ran.err) == (2, True)
    ran = tq.ok(*words, "--yes")

    participle = {"cancel": "cancelled", "delete": "deleted", "retry": "requeued"}.get(verb, "reprioritised")
    assert ran.out == f"250 tasks {participle}\n"
    expected = {"cancel": {"cancelled": 250, "pending": 1}, "delete": {"pending": 1}}
    assert mail.depths() == expected.get(verb, {"pending": 250, "failed": 1} if verb == "retry" else {"pending": 251})
    if verb in ("cancel", "delete"):
        tq.ok("undo")
        assert mail.depths() == {"pending": 251}


def test_a_job_in_the_background_is_listed_shown_watched_and_cancelled(tq: Tq, mail: QueueDriver) -> None:
    mail.put_many(3)
    ran = tq.ok("tasks", "cancel", "--filter", "type:work", "--background", "--yes", "--why", "w")
    job = ran.out.strip()
    assert f"tq jobs watch {job}" in ran.err
    (record,) = tq.ok("jobs", "list", "--json").records
    assert (record["job"], record["status"], record["action"], record["filter"], record["by"]) == (
        *(job, "open", "cancel", "type:work", "ana@desk"),
    )
    assert job in tq.ok("jobs", "list", "--queue", "mail").out
    assert "type:work" in tq.ok("jobs", "show", job).out
    assert tq("jobs", "watch", job, "--timeout", "0s").code == 6

    while mail.run(jobs.advance("mail", job)):
        pass
    assert tq.ok("jobs", "watch", job).out == "3 tasks cancelled\n"
    assert tq("jobs", "cancel", job).code == 5
    tq.ok("tasks", "retry", "--filter", "type:work", "--state", "cancelled")
    other = tq.ok("tasks", "kill", "--filter", "w*", "--state", "pending", "--background", "--yes", "--json").record
    assert tq.ok("jobs", "cancel", other["job"], "--json").record["status"] == "cancelled"
    assert mail.depths() == {"pending": 3}
    assert tq("jobs", "show", "0" * 12).code == 3


def test_the_dlq_is_run_again_in_the_background(tq: Tq, mail: QueueDriver) -> None:
    mail.put_many(3)
    for task in mail.take(3):
        mail.fail(task, verdict="fatal")
    job = tq.ok("dlq", "retry", "--all", "--background").out.strip()
    assert mail.run(jobs.advance("mail", job)) is False
    assert mail.depths() == {"pending": 3}
    assert tq("dlq", "retry", "a@mail", "--background").code == 2


def test_tasks_are_named_or_chosen_by_a_filter(tq: Tq, mail: QueueDriver) -> None:
    task_id = mail.put_one()
    for words in ([], [task_id, "--filter", "x"], [task_id, "--background"], [task_id, "-s", "pending"]):
        assert tq("tasks", "cancel", *words).code == 2, words
    assert tq("tasks", "delete", "--filter", "x", "--yes").code == 2
    assert tq("tasks", "retry", "--filter", "x", "--state", "pending").code == 2
    ran = tq.ok("tasks", "reprioritise", task_id, "--priority", "high")
    assert ran.out == f"{task_id}  reprioritised\n"
    assert "it has that priority" in tq("tasks", "reprioritise", task_id, "-p", "50").err


def test_a_job_whose_queue_is_emptied_meanwhile_is_said_to_be_gone(
    tq: Tq, mail: QueueDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail.put_one()

    def forgotten(*_: object) -> Flow[str]:
        yield from registry.queue_numbers()
        return "abcdef"

    monkeypatch.setattr(jobs, "start", forgotten)

    ran = tq("tasks", "cancel", "--filter", "type:work", "--yes")

    assert (ran.code, "is gone" in ran.err) == (3, True), ran.err
