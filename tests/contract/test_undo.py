"""Undo: what an operation took is put back as it was; what went on meanwhile is left, and the answer says so."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.test_out_of_memory import full_q  # noqa: F401 - a fixture
from tests.queue_driver import QueueDriver
from tq_core.errors import BrokerRefusedError, InvalidInputError, NotFoundError
from tq_core.model import TaskOptions, TaskState
from tq_core.roles import inspector, jobs, maintenance, operator, undo
from tq_core.roles.operator import Bulk, Done
from tq_core.roles.producer import new_task

STRUCTURES = ("bodies", "records", "trail", "attempts", "unique", "grouped", "groups", "waits", "until")
SETS = (
    "blocked",
    "scheduled",
    "pending",
    "retrying",
    "completed",
    "failed",
    "cancelled",
    "alike",
    "parents",
    "children",
    "expiries",
    "locks",
)
TRASH = ("trash", "trashed", "operations", "operated")


def everything(q: QueueDriver) -> dict[str, Any]:
    """All that is kept of tasks."""
    kept = {name: q.raw.hgetall(q.key(name)) for name in STRUCTURES}
    return kept | {name: q.raw.zrange(q.key(name), 0, -1, withscores=True) for name in SETS}


def undone(q: QueueDriver, op: str) -> Bulk:
    return q.run(undo.undo(op, actor="eve"))


def trash_keys(q: QueueDriver) -> int:
    return sum(int(q.raw.exists(q.key(name))) for name in TRASH)


def waiting(*parents: str, policy: str | None = None, **options: Any) -> Any:
    of_task = TaskOptions(depends_on=parents, on_parent_failure=policy)
    return new_task("work", {}, options=of_task, **options)


def one_of_each(q: QueueDriver) -> list[str]:
    """A task in each state that an operation may take, with history, unique keys, groups and parents."""
    ids = [q.put_one(priority="high", unique_key=f"k|{n}") for n in range(4)]
    q.complete(q.take_one())
    q.fail(q.take_one(), verdict="fatal", detail={"type": "E", "message": "x", "fingerprint": "f00d"})
    q.fail(q.take_one(), verdict="cancel")
    q.fail(q.take_one(), delay_ms=60_000)
    ids += [q.put_one(delay_s=60, unique_key="later"), q.put_one({"text": "a|b>c\n7:x"}, priority="low")]
    ids += [q.put(waiting(ids[-1], delay_s=99))[0].task_id]
    return ids


def test_deleted_tasks_come_back_as_they_were(q: QueueDriver) -> None:
    ids = one_of_each(q)
    before, depths = everything(q), q.depths()
    assert len(depths) == 7

    acted = q.run(operator.discard(ids, actor="ann", why="oops"))
    assert (q.depths(), len(acted.undo_op)) == ({}, 12)
    assert q.findings() == []
    assert undone(q, acted.undo_op) == Bulk(7)

    assert everything(q) == before
    assert trash_keys(q) == 0
    assert (q.counter("discarded"), q.counter("restored")) == (7, 7)
    assert (q.events()[-1]["e"], q.events()[-1]["by"]) == ("restored", "eve")
    entry = q.run(operator.audit_log())[0]
    assert (entry.by, entry.action, entry.count, entry.detail["undid"]) == ("eve", "undo", 7, acted.undo_op)
    with pytest.raises(NotFoundError, match="cannot be undone"):
        undone(q, acted.undo_op)


def test_cancelled_tasks_come_back_as_they_were_and_running_ones_are_not_touched(q: QueueDriver) -> None:
    ids = one_of_each(q)
    before = everything(q)
    running = q.put_one(priority="critical")
    task = q.take_one()
    assert task.id == running

    acted = q.run(operator.cancel([*ids, running], actor="ann"))
    assert [d.word for d in acted] == ["is:completed", "is:failed", "is:cancelled", *["cancelled"] * 4, "asked"]
    assert q.findings() == []
    assert undone(q, acted.undo_op) == Bulk(4)

    assert q.complete(task) == ["K"]
    q.run(operator.discard([running], actor="ann", can_undo=False))
    assert everything(q) == before


def test_what_limits_a_task_comes_back_with_it(q: QueueDriver) -> None:
    def limited(key: str, **options: Any) -> str:
        return q.put(new_task("work", {}, unique_key=key, options=TaskOptions(expires_in_s=99, **options)))[0].task_id

    begun = limited("begun", unique_until="started")
    q.fail(q.take_one(), delay_ms=1000)
    ids = [begun, limited("s", unique_until="started"), limited("f", unique_for_s=60), limited("e")]
    limited("begun")
    before = everything(q)

    for act in (operator.discard, operator.cancel):
        acted = q.run(act(ids, actor="ann"))
        assert q.findings() == []
        assert undone(q, acted.undo_op) == Bulk(4)
        assert everything(q) == before

    acted = q.run(operator.discard(ids[1:], actor="ann"))
    other = limited("s", unique_until="started")
    assert undone(q, acted.undo_op) == Bulk(2, (Done(ids[1], f"unique:{other}"),))
    q.clock.advance(99_000)
    q.run(maintenance.promote([q.queue]))
    assert set(q.depths()) == {"cancelled"}


@pytest.mark.parametrize("state", ["pending", "failed"])
@pytest.mark.slow
def test_a_purge_of_thousands_comes_back_in_order(q: QueueDriver, state: str) -> None:
    ids = q.put_many(400) + q.put_many(400) + q.put_many(203)
    if state == "failed":
        for task in q.take(2000):
            q.fail(task, verdict="fatal")
    before = everything(q)
    told: list[int] = []

    bulk = q.run(operator.purge(q.queue, actor="ann", state=TaskState(state)))
    assert q.findings() == []
    q.run(undo.undo(bulk.undo_op, actor="ann", on_progress=told.append))

    assert everything(q) == before
    assert told[:2] == [200, 400]
    if state == "pending":
        assert [t.id for t in q.take(2000)] == ids


def test_children_that_gave_up_come_back_with_their_parent(q: QueueDriver) -> None:
    parent, other = q.put_many(2)
    ids = [parent]
    for policy in ("fail", "skip"):
        ids += [e.task_id for e in q.put(waiting(parent, other, policy=policy), waiting(parent, policy=policy))]
    ids += [q.put(waiting(ids[1]))[0].task_id]
    before = everything(q)

    for act in (operator.discard, operator.cancel):
        acted = q.run(act([parent], actor="ann"))
        assert q.depths()["failed"] == 3
        assert undone(q, acted.undo_op) == Bulk(6)
        assert everything(q) == before

    # Both at once: a child that gave up is then deleted by the same operation.
    acted = q.run(operator.discard(ids, actor="ann"))
    assert undone(q, acted.undo_op) == Bulk(6)
    assert everything(q) == before


def test_a_child_is_never_put_back_before_its_parent(q: QueueDriver) -> None:
    # The names sort children first, over more than one call.
    ids = ["z@mail"]
    q.put(new_task("work", {}, name="z"))
    for n in range(220, 0, -1):
        q.put(waiting(ids[-1] if n % 7 else "z@mail", name=f"c{n:04}"))
        ids.append(f"c{n:04}@mail")
    before = everything(q)
    acted = q.run(operator.discard(ids, actor="ann"))
    assert q.depths() == {}

    assert undone(q, acted.undo_op) == Bulk(221)
    assert everything(q) == before


def test_parents_that_ended_meanwhile_release_or_end_a_child_as_they_would_have(q: QueueDriver) -> None:
    good, bad = q.put_many(2)
    free, doomed, brave = (
        e.task_id for e in q.put(waiting(good), waiting(bad, policy="skip"), waiting(good, bad, policy="run"))
    )
    acted = q.run(operator.discard([free, doomed, brave], actor="ann"))
    first, second = q.take(2)
    q.complete(first)
    q.fail(second, verdict="fatal")

    assert undone(q, acted.undo_op) == Bulk(3)
    assert [q.state(i) for i in (free, doomed, brave)] == [TaskState.PENDING, TaskState.CANCELLED, TaskState.PENDING]
    assert q.view(doomed).error is not None


def test_what_went_on_meanwhile_is_left_and_said(q: QueueDriver) -> None:
    named = q.put(new_task("work", {"old": True}, name="n"))[0].task_id
    keyed, again, gone, fine = q.put_one(unique_key="k"), q.put_one(), q.put_one(), q.put_one()
    acted = q.run(operator.cancel([keyed, again, gone, fine], actor="ann"))
    deleted = q.run(operator.discard([named], actor="ann"))
    q.put(new_task("work", {}, name="n"))
    holder = q.put_one(unique_key="k")
    q.run(operator.requeue([again], actor="bob"))
    q.run(operator.cancel([again], actor="bob"))
    q.run(operator.discard([gone], actor="bob", can_undo=False))

    bulk = undone(q, acted.undo_op)
    assert bulk.done == 1
    assert set(bulk.skipped) == {
        Done(keyed, f"unique:{holder}"), Done(again, "is:cancelled"), Done(gone, "gone"),
    }  # fmt: skip
    assert q.state(fine) is TaskState.PENDING
    assert undone(q, deleted.undo_op) == Bulk(0, (Done(named, "is:pending"),))
    q.run(operator.discard([named], actor="ann", can_undo=False))
    assert undone(q, deleted.undo_op) == Bulk(1)
    assert q.view(named).args == {"old": True}


def test_trash_is_emptied_in_steps_when_its_time_is_over(q: QueueDriver) -> None:
    op = q.run(operator.purge(q.queue, actor="ann", state=TaskState.PENDING)).undo_op
    assert op == ""
    q.put_many(30)
    op = q.run(operator.purge(q.queue, actor="ann")).undo_op
    q.clock.advance(15 * 60_000 - 1)
    assert q.run(undo.last_undoable(by="ann")).count == 30
    q.run(maintenance.trim([q.queue]))
    assert q.raw.hlen(q.key("trash")) == 30

    q.clock.advance(1)
    with pytest.raises(NotFoundError):
        undone(q, op)
    assert q.run(undo.undoable()) == []
    for left in (10, 0):
        q.run(maintenance.trim([q.queue], trash=20))
        assert q.raw.hlen(q.key("trash")) == left
        assert q.findings() == []
    q.run(maintenance.trim([q.queue], trash=20))
    assert trash_keys(q) == 0


def test_a_queue_keeps_no_trash_where_that_is_said(q: QueueDriver) -> None:
    first, second, third = q.put_many(3)
    assert q.run(operator.purge(q.queue, actor="ann", state=TaskState.FAILED, can_undo=False)).undo_op == ""
    assert q.run(operator.discard([first], actor="ann", can_undo=False)).undo_op == ""
    q.run(operator.configure_queue(q.queue, {"keep_trash_ms": 0}, actor="ann"))
    assert q.run(operator.cancel([second], actor="ann")).undo_op == ""
    assert trash_keys(q) == 0
    q.run(operator.configure_queue(q.queue, {"keep_trash_ms": 1000}, actor="ann"))
    assert q.run(operator.cancel([third], actor="ann")).undo_op
    assert q.run(undo.last_undoable()).until_ms == q.clock.now_ms + 1000


def test_the_last_operation_is_found_by_queue_and_actor(q: QueueDriver) -> None:
    first, second = q.put_many(2)
    by_ann = q.run(operator.cancel([first], actor="a|nn", why="w")).undo_op
    q.clock.advance(1)
    by_bob = q.run(operator.discard([second], actor="bob", action="delete")).undo_op

    assert [(u.op, u.by, u.action, u.tasks) for u in q.run(undo.undoable())] == [
        (by_bob, "bob", "delete", {"mail": 1}),
        (by_ann, "a|nn", "cancel", {"mail": 1}),
    ]
    assert q.run(undo.last_undoable(by="a|nn")).detail == {"by": "a|nn", "why": "w", "mode": "cancel"}
    with pytest.raises(NotFoundError, match="nothing of eve"):
        q.run(undo.last_undoable(by="eve"))
    for text in ("*", "g" * 12, "", "a b"):
        with pytest.raises((InvalidInputError, NotFoundError)):
            undone(q, text or "none")


def test_damaged_trash_is_left_and_the_audit_says_so(damaged_q: QueueDriver) -> None:
    q = damaged_q
    one, two = q.put_many(2)
    op = q.run(operator.discard([one, two], actor="ann")).undo_op
    q.raw.hset(q.key("trash"), f"{op} {one}", "99999:x")
    q.raw.hdel(q.key("trash"), f"{op} {two}")

    assert ("trash_disagrees", f"{op} {two}") in q.findings()
    assert undone(q, op).done == 0
    q.raw.zrem(q.key("operations"), op)
    assert "trash_of_no_operation" in {word for word, _ in q.findings()}


@pytest.mark.server
def test_with_memory_full_tasks_go_for_good_and_an_undo_is_refused_whole(full_q: QueueDriver) -> None:  # noqa: F811
    q = full_q
    q.raw.config_set("maxmemory", 0)
    ids = [t.id for t in q.run(inspector.page(q.queue, TaskState.PENDING, limit=3)).tasks]
    op = q.run(operator.cancel(ids[:1], actor="ann")).undo_op
    q.raw.config_set("maxmemory", 1)
    assert q.run(operator.discard(ids[1:], actor="ann")).undo_op == ""
    assert q.run(operator.purge(q.queue, actor="ann")).undo_op == ""
    with pytest.raises(BrokerRefusedError):
        undone(q, op)
    q.raw.config_set("maxmemory", 0)
    assert undone(q, op) == Bulk(1)


@pytest.mark.parametrize("how", ["purge", "cancel", "job"])
def test_a_chain_longer_than_a_part_is_taken_whole_and_none_of_it_fails(
    q: QueueDriver, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operator, "PURGE_CHUNK", 20)
    monkeypatch.setattr(operator, "CHUNK", 20)
    monkeypatch.setattr(jobs, "PAGE", 20)
    ids = [q.put_one(name="c0", delay_s=99)]
    tasks = [
        new_task("work", {}, name=f"c{n}", options=TaskOptions(depends_on=(f"c{n - 1}@mail",))) for n in range(1, 51)
    ]
    ids += [e.task_id for e in q.put(*tasks)]
    before = everything(q)

    if how == "purge":
        bulk = q.run(operator.purge(q.queue, actor="ann", state=TaskState.BLOCKED))
        op = bulk.undo_op
        assert bulk.done == 50
    elif how == "cancel":
        acted = q.run(operator.cancel(ids, actor="ann"))
        assert ({d.word for d in acted}, [d.task_id for d in acted]) == ({"cancelled"}, ids)
        op = acted.undo_op
    else:
        op = q.run(jobs.start([q.queue], jobs.Job(action="cancel", states=jobs.ALL_STATES["cancel"], by="ann")))
        while q.run(jobs.advance(q.queue, op)):
            pass
    assert q.depths() == ({"scheduled": 1} if how == "purge" else {"cancelled": 51})
    assert undone(q, op).done == (50 if how == "purge" else 51)
    assert everything(q) == before
