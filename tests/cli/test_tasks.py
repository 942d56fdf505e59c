"""`tq tasks`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from tests.cli.conftest import Tq
from tests.queue_driver import START_MS, QueueDriver
from tq_console.view.records import TASK_FIELDS
from tq_core.model import TaskOptions
from tq_core.roles.producer import new_task

GENERATED = "01jd7q0v3k0009c8x7v6b5n4m2"

GOLDEN = [
    (
        '{"id":"runs@mail","type":"work","queue":"mail","state":"running","priority":100,"attempt":1,"max_attempts":4,'
        '"args":{"n":2},"result":null,"error":null,"worker_id":"node.1","created_at_ms":1700000000000,'
        '"started_at_ms":1700000001000,"finished_at_ms":null}'
    ),
    (
        '{"id":"waits@mail","type":"work","queue":"mail","state":"pending","priority":200,"attempt":0,"max_attempts":2,'
        '"args":{"n":3},"result":null,"error":null,"worker_id":null,"created_at_ms":1700000000000,'
        '"started_at_ms":null,"finished_at_ms":null}'
    ),
    (
        '{"id":"fails@mail","type":"work","queue":"mail","state":"failed","priority":0,"attempt":1,"max_attempts":4,'
        '"args":{"n":1},"result":null,"error":{"reason":"fatal","type":"ValueError","message":"boom"},"worker_id":"node.1",'
        '"created_at_ms":1700000000000,"started_at_ms":1700000001993,"finished_at_ms":1700000002000}'
    ),
    (
        '{"id":"ends@mail","type":"work","queue":"mail","state":"completed","priority":0,"attempt":1,"max_attempts":4,'
        '"args":{"n":0},"result":{"sum":3},"error":null,"worker_id":"node.1","created_at_ms":1700000000000,'
        '"started_at_ms":1700000001000,"finished_at_ms":1700000001000}'
    ),
]
"""Records as the first release prints them. Programs rely on every name and on the order: only ever add, at the end."""


def test_records_have_the_fields_that_were_promised(tq: Tq, mail: QueueDriver) -> None:
    then = QueueDriver(mail.url)
    then.put_one({"n": 0}, name="ends", priority=0)
    then.put_one({"n": 1}, name="fails", priority=0)
    then.put_one({"n": 2}, name="runs")
    then.put_one({"n": 3}, name="waits", priority="low", max_attempts=2)
    then.clock.advance(1000)
    ends, fails, _ = then.take(3)
    then.complete(ends, result=b'{"sum":3}', duration_ms=0)
    then.clock.advance(1000)
    then.fail(fails, verdict="fatal", reason="fatal")
    then.close()
    assert tq.ok("tasks", "list", "--json").lines == GOLDEN
    assert then.clock.now_ms == START_MS + 2000
    assert all(tuple(json.loads(line)) == TASK_FIELDS for line in GOLDEN)


def test_show_begins_with_the_same_fields_and_adds_why_and_history(tq: Tq, mail: QueueDriver) -> None:
    task_id = mail.put_one({"n": 1})
    detail = {"type": "ValueError", "message": "boom", "stopping": [["asked", 12], ["told again", 812], "\x1b"]}
    mail.fail(mail.take_one(), delay_ms=3_600_000, detail=detail)
    record = tq.ok("tasks", "show", task_id, "--json").record
    assert tuple(record)[: len(TASK_FIELDS)] == TASK_FIELDS
    assert "tries again in" in record["why"]
    assert [attempt["outcome"] for attempt in record["history"]] == ["retrying"]
    text = tq.ok("tasks", "show", task_id).out
    assert "tries again in" in text
    assert "ValueError: boom" in text
    assert "to stop it: asked at 12 ms; told again at 812 ms\n" in text


def test_show_names_the_trace_that_a_task_is_part_of(tq: Tq, mail: QueueDriver) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    options = TaskOptions(traceparent=f"00-{trace_id}-b7ad6b7169203331-01")
    (traced,) = mail.put(new_task("work", {}, options=options))

    assert tq.ok("tasks", "show", traced.task_id, "--json").record["trace_id"] == trace_id
    assert f"trace {trace_id}" in " ".join(tq.ok("tasks", "show", traced.task_id).out.split())
    assert tq.ok("tasks", "show", mail.put_one({}), "--json").record["trace_id"] is None


def test_the_table_has_a_line_for_each_task_and_stderr_says_what_is_left_out(tq: Tq, mail: QueueDriver) -> None:
    mail.put_many(5)
    ran = tq.ok("tasks", "list", "--limit", "3")
    assert len(ran.lines) == 4
    assert "3 of 5 tasks shown" in ran.err


def test_more_than_a_page_can_be_listed(tq: Tq, mail: QueueDriver) -> None:
    mail.put_many(400)
    mail.put_many(400)
    assert len(tq.ok("tasks", "list", "--limit", "700", "--json").lines) == 700


def test_arguments_are_never_cut_in_records(tq: Tq, mail: QueueDriver) -> None:
    mail.put_one({"text": "x" * 200_000})
    assert len(tq.ok("tasks", "list", "--json").record["args"]["text"]) == 200_000


def test_lists_are_narrowed_by_queue_state_and_words(tq: Tq, mail: QueueDriver) -> None:
    mail.put_many(3)
    (cancelled, *_) = tq.ok("tasks", "list", "--json").records
    tq.ok("tasks", "cancel", cancelled["id"])
    assert len(tq.ok("tasks", "list", "--state", "pending", "--json").lines) == 2
    assert len(tq.ok("tasks", "list", "--queue", "mail", "--state", "cancelled", "--json").lines) == 1
    assert len(tq.ok("tasks", "list", "--filter", "type:wo* error:ana", "--json").lines) == 1
    assert tq.ok("tasks", "list", "--filter", "type:other", "--json").lines == []


def test_a_queue_that_is_not_there_is_exit_code_3_with_the_nearest_name(tq: Tq, mail: QueueDriver) -> None:
    mail.put_one()
    ran = tq("tasks", "list", "--queue", "mial")
    assert ran.code == 3
    assert "did you mean mail?" in ran.err


def test_a_task_that_is_not_there_is_exit_code_3(tq: Tq, mail: QueueDriver) -> None:
    mail.put_one()
    for words in (["show"], ["wait"], ["retry"], ["cancel"], ["kill"], ["delete"]):
        assert tq("tasks", *words, "nothing@mail").code == 3, words
        assert tq("tasks", *words, GENERATED).code == 3, words


def test_what_is_no_id_is_refused_before_anything_is_done(tq: Tq, mail: QueueDriver) -> None:
    task_id = mail.put_one()
    ran = tq("tasks", "cancel", task_id, "nonsense")
    assert ran.code == 2
    assert "'nonsense' is no task id" in ran.err
    assert mail.depths() == {"pending": 1}


def test_cancel_ends_a_waiting_task_and_asks_a_running_one(tq: Tq, mail: QueueDriver) -> None:
    running, waiting = mail.put_one(), mail.put_one()
    mail.take_one()
    ran = tq.ok("tasks", "cancel", running, waiting, "--why", "wrong list")
    assert ran.lines == [f"{running}  asked to stop; it runs on node.1", f"{waiting}  cancelled"]
    assert mail.view(waiting).error == {"reason": "cancelled", "by": "ana@desk", "why": "wrong list", "mode": "cancel"}


def test_an_operation_that_does_not_fit_the_state_is_exit_code_5(tq: Tq, mail: QueueDriver) -> None:
    task_id = mail.put_one()
    ran = tq("tasks", "retry", task_id)
    assert (ran.code, ran.out) == (5, "")
    assert "because it is pending" in ran.err


def test_retry_runs_ended_tasks_again(tq: Tq, mail: QueueDriver) -> None:
    task_id = mail.put_one()
    mail.complete(mail.take_one())
    assert tq.ok("tasks", "retry", task_id).out == f"{task_id}  requeued\n"
    assert mail.depths() == {"pending": 1}


def test_ids_may_come_from_stdin_as_words_or_as_records(tq: Tq, mail: QueueDriver) -> None:
    first, second, third = (mail.put_one() for _ in range(3))
    ran = tq.ok("tasks", "delete", "-", first, stdin=f'{first}\n{{"id": "{second}", "x": 1}}\n\n{third} and more\n')
    assert ran.lines == [f"{task_id}  deleted" for task_id in (first, second, third)]
    assert mail.depths() == {}


def test_many_tasks_can_be_named_at_once(tq: Tq, mail: QueueDriver) -> None:
    ids = mail.put_many(450)
    ran = tq.ok("tasks", "cancel", "-", "--json", stdin="\n".join(ids))
    assert [record["id"] for record in ran.records] == ids
    assert all(record["is_done"] for record in ran.records)
    assert mail.depths() == {"cancelled": 450}


def test_what_is_done_is_written_down_with_its_actor(tq: Tq, mail: QueueDriver) -> None:
    tq.ok("tasks", "delete", mail.put_one(), "--why", "test")
    (entry,) = tq.ok("audit", "--log", "--json").records
    assert (entry["by"], entry["action"], entry["count"], entry["detail"]["why"]) == ("ana@desk", "delete", 1, "test")


def test_wait_prints_the_result_and_tells_failure_by_its_exit_code(tq: Tq, mail: QueueDriver) -> None:
    good, bad = mail.put_one(), mail.put_one()
    tasks = mail.take(2)
    mail.complete(tasks[0], result=b"[1,2]")
    mail.fail(tasks[1], verdict="fatal", reason="fatal")
    assert tq.ok("tasks", "wait", good).out == "[1,2]\n"
    assert tq("tasks", "wait", bad).code == 1
    assert tq("tasks", "wait", mail.put_one(), "--timeout", "20ms").code == 6


def test_a_query_lists_and_exports_what_fits(tq: Tq, mail: QueueDriver, tmp_path: Path) -> None:
    ids = [mail.put_one({"user": {"id": n}, "password": "hunter2"}) for n in (41, 42)]
    mail.fail(mail.take_one(), verdict="fatal", detail={"type": "Refused", "message": 'a "b", c'})
    assert [r["id"] for r in tq.ok("tasks", "list", "args.user.id>41 -state:failed", "--json").records] == [ids[1]]
    assert tq.ok("tasks", "list", "hunter2", "--json").lines == []
    assert tq("tasks", "list", "args.password=hunter2").code == 2
    refused = tq("tasks", "list", "state:failed OR")
    assert (refused.code, "at 16: expected a condition" in refused.err) == (2, True)
    assert tq("tasks", "list", "a", "--filter", "b").code == 2
    assert "groups have" in tq("dlq", "groups", "--filter", "age:>1m").err

    path = tmp_path / "out.csv"
    ran = tq.ok("tasks", "export", "state:failed OR state:pending", "--output", str(path))
    assert ran.err == "tq: 2 tasks exported\n"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert (rows[0]["id"], rows[0]["state"], rows[0]["worker_id"]) == (ids[1], "pending", "")
    assert json.loads(rows[1]["error"])["message"] == 'a "b", c'
    assert json.loads(rows[1]["args"]) == {"user": {"id": 41}, "password": "***"}
    assert [r["id"] for r in tq.ok("tasks", "export", "--filter", "state:failed").records] == [ids[0]]

    tq.ok("config", "set", "views.late", "state:pending args.user.id:4*")
    assert tq.ok("config", "views", "--json").records == [{"name": "late", "query": "state:pending args.user.id:4*"}]
    assert [r["id"] for r in tq.ok("tasks", "list", "--view", "late", "--json").records] == [ids[1]]
    assert "did you mean late" in tq("tasks", "list", "--view", "lat").err
    assert tq("tasks", "list", "x", "--view", "late").code == 2
    assert tq("config", "set", "views.late", "state:pend").code == 2
    tq.ok("config", "check")

    assert tq.ok("tasks", "reprioritise", "--view", "late", "--priority", "low").out == "1 task reprioritised\n"
    assert tq("tasks", "cancel", "--view", "late", ids[1]).code == 2

    # A query that names states says which are acted on.
    assert tq("tasks", "retry", "--filter", "state:pending").code == 2
    assert tq.ok("tasks", "delete", "--filter", "state:failed Refused", "--yes").out == "1 task deleted\n"
    assert mail.depths() == {"pending": 1}


def test_a_plain_word_of_a_filter_may_be_anywhere(tq: Tq, mail: QueueDriver) -> None:
    mail.put_one({"to": "Ana@example.org"})
    mail.put_one({"to": "bob@example.org"})
    assert len(tq.ok("tasks", "list", "--filter", "ANA", "--json").lines) == 1
    assert len(tq.ok("tasks", "list", "--filter", "queue:mail example", "--json").lines) == 2
    assert tq.ok("tasks", "list", "--filter", "ana bob", "--json").lines == []


def test_a_task_is_made_from_another_with_changes_and_linked_to_it(tq: Tq, mail: QueueDriver) -> None:
    old = mail.put_one({"to": "ana", "n": 1}, priority="high", max_attempts=2)

    (new,) = tq.ok("submit", "--from", old, "n=2", "--force").lines
    view = mail.view(new)
    assert (view.args, view.type, view.priority, view.max_attempts) == ({"to": "ana", "n": 2}, "work", 50, 2)
    assert (view.options.linked_to, view.queue) == (old, "mail")

    (other,) = tq.ok("submit", "--from", old, "--data", '{"x": 1}', "--priority", "low", "--force").lines
    assert (mail.view(other).args, mail.view(other).priority) == ({"x": 1}, 200)
    assert tq("submit", "--from", "nope@mail").code == 3
    assert tq("submit", "--from", old, "--batch", "-").code == 2
