"""The version of a queue's keys: newer ones are left alone, older ones are led to ours, from wherever it stopped."""

from __future__ import annotations

from typing import Any

import pytest

from tests.queue_driver import QueueDriver
from tq_core.errors import BrokerUnreachableError, RefusedError, SchemaTooNewError
from tq_core.keyspace import keys, script_loader
from tq_core.model import TaskState
from tq_core.roles import audit, doctor, inspector, jobs, migration, operator, registry, undo
from tq_core.roles.producer import enqueue, new_task
from tq_core.roles.registry import NodeInfo

NEWER = keys.SCHEMA_VERSION + 1


def test_scripts_and_python_know_the_same_version() -> None:
    assert f"local SCHEMA = {keys.SCHEMA_VERSION}\n" in script_loader.source("claim").text
    assert sorted(migration.STEPS) == list(range(1, keys.SCHEMA_VERSION))


def test_a_queue_that_a_newer_tq_wrote_is_refused_before_anything_is_written(q: QueueDriver) -> None:
    task_id, gone = q.put_many(2)
    taken = q.run(operator.discard([gone], actor="ann"))
    number = q.run(registry.register_queue(q.queue))
    q.raw.hset(q.key("meta"), "schema", NEWER)
    before = {key: q.raw.type(key) for key in q.raw.keys("*")}, q.depths()

    for known in (None, number):
        with pytest.raises(
            SchemaTooNewError, match=rf"'mail' was written by a newer tq \(schema {NEWER}.*upgrade this"
        ):
            q.run(enqueue(q.queue, [new_task("work", {})], number=known))
    with pytest.raises(SchemaTooNewError):
        q.run(migration.migrate(actor="ann", is_forced=True))
    for asked in (
        operator.cancel([task_id], actor="ann"),
        operator.discard([task_id], actor="ann"),
        operator.purge(q.queue, actor="ann"),
        operator.requeue([task_id], actor="ann"),
        operator.reprioritise([task_id], 1, actor="ann"),
        operator.pause_queue(q.queue, actor="ann"),
        undo.undo(taken.undo_op, actor="ann"),
        jobs.start([q.queue], jobs.Job(action="delete", states=(TaskState.PENDING,), by="ann")),
    ):
        with pytest.raises(SchemaTooNewError, match=rf"'mail' was written by a newer tq \(schema {NEWER}"):
            q.run(asked)
    claim = q.claim()

    assert (claim.tasks, claim.too_new) == ((), NEWER)
    assert ({key: q.raw.type(key) for key in q.raw.keys("*")}, q.depths()) == before


def as_version_1(q: QueueDriver) -> dict[str, Any]:
    """A queue as it was before failed tasks were grouped; returns the groups that it would have had."""
    for n, (fingerprint, version) in enumerate((("aa", "1"), ("aa", "2"), ("", ""), ("bb", "1"), ("aa", "1"))):
        q.put_one()
        detail = {"type": "ValueError", "message": f"boom | {n} " + "ä" * 500, "fingerprint": fingerprint}
        q.fail(q.take_one(), verdict="fatal", detail=detail | ({"code_version": version} if version else {}))
        q.clock.advance(1000)
    grouped = {g.group: g for g in q.run(inspector.groups([q.queue])).groups}
    for name in ("grouped", "alike", "groups"):
        q.raw.delete(q.key(name))
    q.raw.hset(q.key("meta"), "schema", 1)
    return grouped


def test_a_queue_of_version_1_is_served_as_it_is_and_led_to_version_2(q: QueueDriver) -> None:
    wanted = as_version_1(q)
    assert {f.word for f in q.run(audit.audit([q.queue]))} == {"failed_without_group"}
    assert "schema_old" in {f.code for f in q.run(doctor.examine())}
    q.put_one()
    assert q.complete(q.take_one()) == ["K"]

    (told,) = q.run(migration.migrate(actor="ann", is_dry=True))
    assert (told.queue, told.from_version, told.to_version, told.changed) == ("mail", 1, 2, 5)
    assert q.run(migration.migrate(actor="ann")) == [told]

    found = {g.group: g for g in q.run(inspector.groups([q.queue])).groups}
    assert found.keys() == wanted.keys() == {"aa", "bb", "error:work"}
    for name, group in found.items():
        was = wanted[name]
        assert (group.count, group.versions, group.example_id) == (was.count, was.versions, was.example_id)
        assert (group.type, group.reason) == (was.type, was.reason)
        assert (group.first_at_ms, group.last_at_ms) == (was.first_at_ms, was.last_at_ms)
        assert group.error["type"] == "ValueError"
        assert group.error["message"].startswith(was.error["message"][:20])
    assert q.raw.hget(q.key("meta"), "schema") == b"2"
    assert [(e["by"], e["do"], e["n"]) for e in q.audited()] == [("ann", "migrate", "5")]
    assert q.run(migration.migrate(actor="ann")) == []
    assert "schema_old" not in {f.code for f in q.run(doctor.examine())}


def test_a_migration_that_was_stopped_goes_on_where_it_was(q: QueueDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration, "CHUNK", 2)
    as_version_1(q)

    def stop(changed: int) -> None:
        if changed >= 2:
            raise BrokerUnreachableError("gone")

    with pytest.raises(BrokerUnreachableError):
        q.run(migration.migrate(actor="ann", on_progress=stop))
    assert q.raw.hget(q.key("meta"), "schema") == b"1"
    (told,) = q.run(migration.migrate(actor="ann", is_dry=True))
    assert told.changed == 3
    (done,) = q.run(migration.migrate(actor="ben"))
    assert done.changed == 3


def test_a_record_that_cannot_be_read_is_grouped_all_the_same(q: QueueDriver) -> None:
    as_version_1(q)
    first, second, third, *_ = (i.decode() for i in q.raw.zrange(q.key("failed"), 0, -1))
    q.raw.hset(q.key("records"), first, "|failed:error|1|5|{")
    q.raw.hset(q.key("records"), second, b'|failed:error|1|5|{"message":"\xff\xfe","code_version":3,"type":[1]}')
    q.raw.hset(q.key("records"), third, "|failed:error|1|5|7")

    (done,) = q.run(migration.migrate(actor="ann"))
    assert done.changed == 5
    assert sum(g.count for g in q.run(inspector.groups([q.queue])).groups) == 5


def test_workers_of_the_old_version_are_named_and_hold_it_up_unless_forced(q: QueueDriver) -> None:
    as_version_1(q)
    q.run(registry.heartbeat(NodeInfo(node_id="old", host="h", pid=1, queues=("mail",))))
    q.run(registry.heartbeat(NodeInfo(node_id="other", host="h", pid=1, queues=("other",))))
    q.run(registry.heartbeat(NodeInfo(node_id="new", host="h", pid=1, queues=("mail",), schema=keys.SCHEMA_VERSION)))

    with pytest.raises(RefusedError, match=r"1 live nodes are of an older version \(old\)"):
        q.run(migration.migrate(actor="ann"))
    assert q.raw.hget(q.key("meta"), "schema") == b"1"
    q.clock.advance(registry.LOST_AFTER_MS + 1)
    assert len(q.run(migration.migrate(actor="ann"))) == 1

    as_version_1(q)
    q.run(registry.heartbeat(NodeInfo(node_id="old", host="h", pid=1, queues=("mail",))))
    assert len(q.run(migration.migrate(actor="ann", is_forced=True))) == 1
