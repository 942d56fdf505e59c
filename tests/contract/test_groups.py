"""Failed tasks are counted by what they failed with, exactly, whatever brings them there and takes them away."""

from __future__ import annotations

from typing import Any

import pytest

from tests.queue_driver import START_MS, QueueDriver
from tq_core.keyspace.wire import Group
from tq_core.model import TaskState
from tq_core.roles import consumer, failure_groups, inspector, maintenance, operator, undo
from tq_core.transport.steps import Script


def failure(fingerprint: str = "", **more: Any) -> dict[str, Any]:
    return {"type": "ValueError", "message": "boom", "fingerprint": fingerprint, **more}


def fail_some(q: QueueDriver, *fingerprints: str, **options: Any) -> list[str]:
    """One failed task for each fingerprint."""
    ids = []
    for fingerprint in fingerprints:
        ids.append(q.put_one(**options))
        q.fail(q.take_one(), verdict="fatal", detail=failure(fingerprint))
        q.clock.advance(1)
    return ids


def groups(q: QueueDriver) -> tuple[Group, ...]:
    return q.run(inspector.groups([q.queue])).groups


def counts(q: QueueDriver) -> dict[str, int]:
    return {g.group: g.count for g in groups(q)}


def test_a_group_says_what_failed_when_and_with_which_code(q: QueueDriver) -> None:
    ids = []
    for version in ("1.0", "1.1", "1.0"):
        ids.append(q.put_one())
        task = q.take_one()
        detail = failure("aa", message="no | route" + "x" * 5000, code_version=version, traceback="long", host="h")
        q.fail(task, verdict="fatal", detail=detail)
        q.clock.advance(1000)

    (group,) = groups(q)
    assert (group.group, group.count, group.type, group.reason) == ("aa", 3, "work", "error")
    assert (group.first_at_ms, group.last_at_ms) == (START_MS, START_MS + 2000)
    assert group.versions == ("1.1", "1.0")
    assert group.example_id == max(ids)
    assert group.error.keys() == {"type", "message"}
    assert group.error["message"].startswith("no | route")
    assert len(q.raw.hget(q.key("groups"), "aa")) < 600


def test_only_the_last_code_versions_are_kept(q: QueueDriver) -> None:
    for n in range(9):
        q.put_one()
        q.fail(q.take_one(), verdict="fatal", detail=failure("aa", code_version=f"v,{n}|"))

    assert groups(q)[0].versions == tuple(f"v_{n}_" for n in range(4, 9))


def test_groups_are_listed_by_their_size_and_bounded(q: QueueDriver) -> None:
    fail_some(q, "aa", "bb", "bb", "aa-a", "bb", "aa-a")

    assert [(g.group, g.count) for g in groups(q)] == [("bb", 3), ("aa-a", 2), ("aa", 1)]
    few = q.run(inspector.groups(limit=2))
    assert (len(few.groups), few.total) == (2, 3)
    assert q.run(inspector.groups([])) == inspector.Groups((), 0)


@pytest.mark.parametrize("fingerprint", ["", "with space", "a|b", "x" * 65, "ü"])
def test_without_a_usable_fingerprint_a_task_is_grouped_by_reason_and_type(q: QueueDriver, fingerprint: str) -> None:
    fail_some(q, fingerprint)

    assert counts(q) == {"error:work": 1}


def test_poison_and_unknown_types_have_groups_of_their_own(q: QueueDriver) -> None:
    q.put_one()
    for _ in range(2):
        q.run(consumer.crash(q.take_one(), detail={"type": "WorkerDied", "signal": 9}))
    q.put_one()
    q.run(consumer.release_unknown(q.take(1), limit=1))

    assert counts(q) == {"poison:work": 1, "unknown_type:work": 1}
    assert {g.group: g.error.get("signal") for g in groups(q)} == {"poison:work": "9", "unknown_type:work": None}


def test_an_attempt_that_is_retried_is_in_no_group(q: QueueDriver) -> None:
    q.put_one()
    q.fail(q.take_one(), detail=failure("aa"))

    assert counts(q) == {}
    assert q.raw.exists(q.key("groups"), q.key("grouped"), q.key("alike")) == 0


def test_a_repeated_failure_counts_once(q: QueueDriver) -> None:
    q.put_one()
    task = q.take_one()
    for _ in range(3):
        q.fail(task, verdict="fatal", detail=failure("aa"))

    assert counts(q) == {"aa": 1}


def test_tasks_leave_their_group_however_they_go(q: QueueDriver) -> None:
    ids = fail_some(q, *["aa"] * 6, "bb")
    q.run(operator.requeue(ids[:1], actor="ann"))
    assert counts(q) == {"aa": 5, "bb": 1}
    q.run(operator.discard(ids[1:2], actor="ann"))
    assert counts(q) == {"aa": 4, "bb": 1}
    q.run(maintenance.trim([q.queue], keep=4))
    assert counts(q) == {"aa": 3, "bb": 1}
    q.run(operator.configure_queue(q.queue, {"keep_failed": 4}, actor="ann"))
    q.fail(q.take_one(), verdict="fatal", detail=failure("cc"))
    assert counts(q) == {"aa": 2, "bb": 1, "cc": 1}
    q.run(operator.purge(q.queue, state=TaskState.FAILED, actor="ann"))
    assert counts(q) == {}
    assert q.raw.exists(q.key("groups"), q.key("grouped"), q.key("alike")) == 0


def test_a_queue_that_keeps_no_failed_tasks_has_no_groups(q: QueueDriver) -> None:
    q.run(operator.configure_queue(q.queue, {"keep_failed": 0}, actor="ann"))
    fail_some(q, "aa")

    assert counts(q) == {}


def test_a_group_is_run_again_whole_and_alone(live_q: QueueDriver) -> None:
    q = live_q
    ids = fail_some(q, *["aa"] * 5, "aa-b", "a")
    told: list[int] = []

    bulk = q.run(operator.requeue_group(q.queue, "aa", actor="ann", why="fixed", on_progress=told.append))

    assert (bulk.done, bulk.skipped, told) == (5, (), [5])
    assert counts(q) == {"aa-b": 1, "a": 1}
    assert [t.id for t in q.take(9)] == sorted(ids[:5])
    assert q.audited()[-1]["do"] == "requeue"
    assert '"group":"aa"' in q.audited()[-1]["detail"]


def test_a_group_is_run_again_in_chunks(live_q: QueueDriver) -> None:
    q = live_q
    q.put_many(operator.CHUNK + 3)
    for task in q.take(operator.CHUNK + 3):
        q.fail(task, verdict="fatal", detail=failure("aa"))
    told: list[int] = []

    assert q.run(operator.requeue_group(q.queue, "aa", actor="ann", on_progress=told.append)).done == operator.CHUNK + 3
    assert told == [operator.CHUNK, operator.CHUNK + 3]
    assert q.run(operator.requeue_group(q.queue, "aa", actor="ann")).done == 0


def test_a_task_of_a_group_whose_unique_key_is_held_is_left(live_q: QueueDriver) -> None:
    q = live_q
    (first,) = fail_some(q, "aa", unique_key="k")
    holder = q.put_one(unique_key="k")

    bulk = q.run(operator.requeue_group(q.queue, "aa", actor="ann"))

    assert (bulk.done, bulk.skipped) == (0, (operator.Done(first, f"unique:{holder}"),))
    assert counts(q) == {"aa": 1}


def test_the_members_of_a_group_are_paged_over_queues(q: QueueDriver) -> None:
    other = q.beside("other")
    first, second = fail_some(q, *["aa"] * 5, "aa-b"), fail_some(other, *["aa"] * 3)
    names = ["empty", q.queue, "other"]
    counts = q.run(failure_groups.members(names, "aa", limit=0)).counts
    assert counts == {"empty": 0, q.queue: 5, "other": 3}

    found = q.run(failure_groups.members(names, "aa", limit=0))
    expected = [*sorted(first[:5], reverse=True), *sorted(second, reverse=True)]
    for offset in range(8):
        found = q.run(failure_groups.members(names, "aa", offset=offset, limit=3, counts=counts, times=2))
        assert [task.id for task in found.tasks] == expected[offset : offset + 3]
        assert found.total == 8
    assert {task.state for task in found.tasks} == {TaskState.FAILED}
    assert found.tasks[0].error is not None
    assert sorted(found.failed_at_ms) == sorted(
        q.view(i).finished_at_ms or 0 for i in (*sorted(first[:5])[-2:], *sorted(second)[-2:])
    )
    # Without counts each queue is asked from its start.
    assert len(q.run(failure_groups.members(names, "aa", limit=4)).tasks) == 4
    assert q.run(failure_groups.members(names, "no", limit=4)).total == 0


def test_a_group_is_deleted_whole_and_comes_back_whole(live_q: QueueDriver) -> None:
    q = live_q
    other = q.beside("other")
    q.put_many(operator.CHUNK + 2)
    for task in q.take(operator.CHUNK + 2):
        q.fail(task, verdict="fatal", detail=failure("aa"))
    again = q.view(q.run(failure_groups.members([q.queue], "aa", limit=1)).tasks[0].id)
    fail_some(q, "aa-b")
    fail_some(other, "aa")
    q.run(operator.requeue([again.id], actor="ann"))
    told: list[int] = []

    bulk = q.run(failure_groups.discard([q.queue, "other"], "aa", actor="ann", why="old", on_progress=told.append))
    assert (bulk.done, told) == (operator.CHUNK + 2, [operator.CHUNK, operator.CHUNK + 1, operator.CHUNK + 2])
    assert counts(q) == {"aa-b": 1}
    assert q.state(again.id) is TaskState.PENDING
    assert q.run(failure_groups.discard([q.queue], "aa", actor="ann")).done == 0
    assert '"group":"aa"' in next(entry["detail"] for entry in q.audited() if entry["do"] == "discard")

    q.run(undo.undo(bulk.undo_op, queues=[q.queue, "other"], actor="ann"))
    assert counts(q) == {"aa": operator.CHUNK + 1, "aa-b": 1}
    assert q.run(failure_groups.requeue([q.queue, "other"], "aa", actor="ann")).done == operator.CHUNK + 2


def test_what_left_the_state_is_not_deleted_by_name(q: QueueDriver) -> None:
    (task_id,) = fail_some(q, "aa")
    q.run(operator.requeue([task_id], actor="ann"))

    arguments = ("ann", "op", "discard", "{}", TaskState.FAILED, q.clock(), 0, 1, task_id)
    assert q.ask(Script("discard", q.key(""), arguments))[1] == 0
    assert q.state(task_id) is TaskState.PENDING
