"""`tq stats`, `tq health`, `tq events`, `tq audit`: the whole at a glance."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.cli.conftest import Tq
from tests.queue_driver import QueueDriver
from tests.waiting import wait_until
from tq_core.roles import registry
from tq_core.roles.registry import NodeInfo


def test_stats_adds_everything_up(tq: Tq, mail: QueueDriver) -> None:
    mail.put_many(3)
    mail.complete(mail.take_one())
    record = tq.ok("stats", "--json").record
    assert record["totals"]["depths"]["pending"] == 2
    assert record["totals"]["depths"]["completed"] == 1
    assert [queue["queue"] for queue in record["queues"]] == ["mail"]
    text = tq.ok("stats").out
    assert "1 queue, 2 live tasks (0 running)" in text
    assert "queue mail has 2 pending tasks and no live worker" in text


def test_the_history_says_what_went_through_and_null_for_what_was_not_measured(tq: Tq, mail: QueueDriver) -> None:
    mail.put_many(3)
    mail.complete(mail.take_one())
    mail.fail(mail.take_one(), verdict="fatal")
    record = tq.ok("stats", "--history", "1h", "--json").record
    (queue,) = record["queues"]
    assert (record["minutes"], record["step_ms"], len(record["starts_ms"])) == (60, 60_000, 60)
    assert (queue["failures"], queue["fail_share"], sum(queue["series"]["enqueued"])) == (1, 0.5, 3)
    assert queue["series"]["run_p50_ms"][0] is None
    assert " 50.0% " in tq.ok("stats", "--history", "24h").out
    assert "two days" in tq("stats", "--history", "3d").err
    assert tq("stats", "--history", "1s").code == 2


def test_stats_of_an_empty_broker_say_what_to_do(tq: Tq, mail: QueueDriver) -> None:
    del mail
    text = tq.ok("stats").out
    assert "no queue yet" in text
    assert "no worker" in text


def test_stats_of_a_queue_that_is_not_there_is_exit_code_3(tq: Tq, mail: QueueDriver) -> None:
    mail.put_one()
    assert tq("stats", "--queue", "mial").code == 3


def test_health_fails_when_nobody_serves_what_waits(tq: Tq, mail: QueueDriver) -> None:
    assert tq.ok("health", "--json").record["status"] == "warning"
    mail.put_one()
    ran = tq("health", "--json")
    assert ran.code == 1
    assert ran.record["status"] == "failed"
    mail.run(registry.heartbeat(NodeInfo(node_id="n", host="h", pid=1, queues=("mail",))))
    assert "ok       workers  1 live node" in tq.ok("health").out
    mail.run(registry.heartbeat(NodeInfo(node_id="n", host="h", pid=1, queues=("mail",), state="paused")))
    assert "all nodes that serve 1 pending task of mail are paused or leaving" in tq.ok("health").out


def test_health_fails_when_the_server_would_throw_tasks_away(tq: Tq, mail: QueueDriver) -> None:
    mail.raw.config_set("maxmemory-policy", "allkeys-lru")
    try:
        ran = tq("health")
        assert ran.code == 1
        assert "set it to noeviction" in ran.out
    finally:
        mail.raw.config_set("maxmemory-policy", "noeviction")


def test_health_of_a_broker_that_is_not_there_is_exit_code_4(tq: Tq) -> None:
    ran = tq("--url", "redis://127.0.0.1:1", "health", "--json")
    assert ran.code == 4
    assert ran.record["status"] == "failed"


def test_events_are_told_in_order(tq: Tq, mail: QueueDriver) -> None:
    task_id = mail.put_one()
    mail.complete(mail.take_one())
    records = tq.ok("events", "--json").records
    assert [record["word"] for record in records] == ["SUBMITTED", "ASSIGNED", "COMPLETED"]
    assert records[0]["ids"] == [task_id]
    assert len(tq.ok("events", "-n", "1").lines) == 1
    assert [r["kind"] for r in tq.ok("events", "--json", "--kind", "completed").records] == ["completed"]
    assert "COMPLETED" in tq.ok("events").lines[-1]


def test_following_events_prints_them_as_they_happen_until_ctrl_c(tq: Tq, mail: QueueDriver) -> None:
    mail.put_one()
    running = subprocess.Popen(
        tq.command("events", "-f", "-n", "1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    assert "SUBMITTED" in running.stdout.readline()
    mail.take_one()
    assert "ASSIGNED" in running.stdout.readline()
    os.kill(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=10)
    assert running.returncode == 130
    assert "Traceback" not in err


def test_a_consistent_keyspace_passes_the_audit(tq: Tq, mail: QueueDriver) -> None:
    mail.put_many(3)
    mail.take_one()
    assert "1 queue checked: consistent" in tq.ok("audit").out
    assert tq.ok("audit", "--json").out == ""


def test_the_audit_names_what_disagrees(tq: Tq, mail: QueueDriver) -> None:
    task_id = mail.put_one()
    mail.raw.zadd(mail.key("failed"), {task_id: 1})
    ran = tq("audit", "mail", "--json")
    assert ran.code == 1
    assert {"queue": "mail", "word": "two_states"}.items() <= ran.records[0].items()
    assert "a task is in two states at once" in tq("audit").out
    assert tq("audit", "mial").code == 3


def test_the_log_of_people_says_who_did_what(tq: Tq, mail: QueueDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    mail.put_one()
    tq.ok("queues", "pause", "mail", "--why", "down")
    monkeypatch.setenv("TQ_ACTOR", "bob@desk")
    tq.ok("queues", "resume", "mail")
    assert [(r["by"], r["action"]) for r in tq.ok("audit", "--log", "--json").records] == [
        ("bob@desk", "resume"),
        ("ana@desk", "pause"),
    ]
    assert '{"why":"down"}' in tq.ok("audit", "--log").out


def test_a_reader_that_has_seen_enough_ends_the_command_quietly(tq: Tq, mail: QueueDriver) -> None:
    mail.put_many(500, unique_key=None)
    mail.put_many(500)
    running = subprocess.Popen(
        tq.command("tasks", "list", "--limit", "1000", "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert running.stdout is not None
    running.stdout.readline()
    running.stdout.close()
    wait_until(lambda: running.poll() is not None, 10, "the command to end")
    assert running.stderr is not None
    assert running.stderr.read() in {b"", b"tq: 1,000 of 1,000 tasks shown; --limit shows more\n"}
    running.stderr.close()
