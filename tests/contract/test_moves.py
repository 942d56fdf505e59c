"""Moving tasks to another queue: none is lost or doubled, wherever the mover dies, and an undo brings them back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.test_out_of_memory import full_q  # noqa: F401 - a fixture
from tests.contract.test_undo import everything
from tests.queue_driver import QueueDriver
from tq_core.errors import BrokerError, BrokerRefusedError, NotFoundError, QueueFullError, RefusedError
from tq_core.model import TaskOptions, TaskState
from tq_core.roles import audit, ends, jobs, limits, moves, operator, outbox, undo
from tq_core.roles.jobs import Job
from tq_core.roles.operator import Acted, Bulk
from tq_core.roles.producer import new_task
from tq_core.transport.steps import Flow, Script


@pytest.fixture
def slow(q: QueueDriver) -> Iterator[QueueDriver]:
    """A queue beside `q`; at the end both are consistent and nothing is on its way."""
    other = q.beside("slow")
    other.put_one(name="first")
    other.complete(other.take_one())
    q.put_one(name="first")
    q.complete(q.take_one())
    yield other
    for each in (q, other):
        each.tell()
    assert [(f.word, f.subject) for f in q.run(audit.audit())] == []
    assert [int(q.raw.exists(d.key(k))) for d in (q, other) for k in ("outbox", "leaving")] == [0] * 4


def moved(q: QueueDriver, *ids: str, to: str = "slow") -> Acted:
    return q.run(moves.move(ids, to, actor="ann", why="busy"))


def undone(q: QueueDriver, op: str) -> Bulk:
    return q.run(undo.undo(op, actor="eve"))


def one_of_each(q: QueueDriver) -> list[str]:
    """A failed, a retrying, a scheduled and a pending task."""
    ids = [q.put_one({"n": n}, priority="high", unique_key=f"k{n}") for n in range(2)]
    q.fail(q.take_one(), verdict="fatal")
    q.fail(q.take_one(), delay_ms=60_000)
    ids.append(q.put_one(delay_s=60, unique_key="later"))
    options = TaskOptions(expires_in_s=900, unique_until="started", limit_key="acme")
    return [*ids, q.put(new_task("work", {"t": "a|b"}, priority=7, unique_key="s", options=options))[0].task_id]


def test_moved_tasks_do_in_the_other_queue_what_they_would_have_done(q: QueueDriver, slow: QueueDriver) -> None:
    ids = one_of_each(q)
    before = [q.view(i) for i in ids]

    acted = moved(q, *ids)

    assert [(d.word, d.is_done) for d in acted] == [("moved", True)] * 4
    after = [slow.view(d.new_id) for d in acted]
    states = [TaskState.PENDING, TaskState.RETRYING, TaskState.SCHEDULED, TaskState.PENDING]
    assert [v.state for v in after] == states
    for old, new in zip(before, after, strict=True):
        assert (new.args, new.priority, new.unique_key) == (old.args, old.priority, old.unique_key)
        assert (new.queue, new.options.linked_to) == ("slow", old.id)
        assert (new.due_at_ms, new.expires_at_ms) == (old.due_at_ms, old.expires_at_ms)
        assert len(new.history) == len(old.history)
    assert [v.failures for v in after] == [0, 1, 0, 0]
    assert after[3].options.limit_key == "acme"
    assert (q.counter("moved_out"), slow.counter("moved_in")) == (4, 4)
    assert [q.raw.hlen(d.key("unique")) for d in (q, slow)] == [0, 4]
    assert [d.audited()[-1]["do"] for d in (q, slow)] == ["move", "move"]
    assert q.events()[-1]["e"] == "moved"
    said = f"was moved to another queue: it is {acted[3].new_id} there"
    with pytest.raises(NotFoundError, match=said):
        q.run(ends.wait(ids[3], timeout_s=1))
    with pytest.raises(NotFoundError, match=said):
        q.view(ids[3])


def test_an_undo_brings_back_what_was_not_taken_up_to_the_turn_it_had(q: QueueDriver, slow: QueueDriver) -> None:
    ids = one_of_each(q)
    before = everything(q)
    acted = moved(q, *ids)
    assert undone(q, acted.undo_op) == Bulk(4)
    assert everything(q) == before
    assert slow.depths() == {"completed": 1}
    with pytest.raises(NotFoundError):
        undone(q, acted.undo_op)

    again = moved(q, *ids)
    running = slow.take_one()
    went, *_ = [d for d in again if d.new_id == running.id]
    bulk = undone(q, again.undo_op)
    assert (bulk.done, [d.word for d in bulk.skipped]) == (3, [f"went:{running.id} is:running"])
    slow.fail(running, delay_ms=1)
    assert [d.word for d in undone(q, again.undo_op).skipped if d.task_id == went.task_id] == [
        f"went:{running.id} started"
    ]
    assert slow.depths() == {"completed": 1, "retrying": 1}
    assert q.state(went.task_id) is None


def steps_of(flow: Flow[Any], q: QueueDriver, count: int) -> bool:
    """Runs a flow up to its step `count`, as a process does that dies there; whether it came to its end before."""
    reply = None
    for _ in range(count):
        try:
            reply = q.ask(flow.send(reply))
        except StopIteration:
            return True
    flow.close()
    return False


def test_wherever_the_mover_dies_each_task_is_in_one_queue_once(q: QueueDriver, slow: QueueDriver) -> None:
    for died_at in range(40):
        task = q.put_one(unique_key="only")
        flow = moves.move([task], "slow", actor="ann")
        is_whole = steps_of(flow, q, died_at)
        assert q.findings() == slow.findings() == []
        for _ in range(2):
            q.tell()
        where = q.take() + slow.take()
        assert len(where) == 1, died_at
        (q if where[0].id == task else slow).complete(where[0])
        if is_whole:
            return
    raise AssertionError("it never ended")


def test_wherever_an_undo_dies_each_task_is_in_one_queue_once(q: QueueDriver, slow: QueueDriver) -> None:
    for died_at in range(60):
        task = q.put_one(unique_key="only")
        acted = moved(q, task)
        is_whole = steps_of(undo.undo(acted.undo_op, actor="ann"), q, died_at)
        if died_at % 2:
            q.raw.delete(*(q.key(name) for name in ("trash", "trashed", "operations", "operated")))
        for each in (slow, q, slow):
            each.tell()
        where = q.take() + slow.take()
        assert len(where) == 1, died_at
        (q if where[0].id == task else slow).complete(where[0])
        if is_whole:
            return
    raise AssertionError("it never ended")


def test_who_brings_a_task_late_does_not_bring_it_again(q: QueueDriver, slow: QueueDriver) -> None:
    task = q.put_one()
    late = moves.move([task], "slow", actor="ann")
    reply = None
    while True:
        step = late.send(reply)
        if getattr(step, "name", "") == "arrive":
            break
        reply = q.ask(step)
    q.tell()
    slow.complete(slow.take_one())
    slow.run(operator.discard([i.decode() for i in q.raw.zrange(slow.key("completed"), 0, -1)], actor="x"))

    late.send(q.ask(step))
    late.close()

    assert slow.depths() == {}


def test_what_cannot_be_moved_stays_and_the_answer_says_why(q: QueueDriver, slow: QueueDriver) -> None:
    parent, done, runs = q.put_one(priority="low"), q.put_one(priority=1), q.put_one(priority=2)
    child = q.put(new_task("work", {}, options=TaskOptions(depends_on=(parent,))))[0].task_id
    far_parent = q.put_one(priority="low")
    far_child = slow.put(new_task("work", {}, options=TaskOptions(depends_on=(far_parent,))))[0].task_id
    held, twin = q.put_one(unique_key="k", priority="low"), slow.put_one(unique_key="k", delay_s=9)
    q.complete(q.take_one())
    assert q.take_one().id == runs
    before = everything(q)

    acted = moved(q, parent, child, far_parent, done, runs, held, "gone@mail")

    words = ["awaited", "waits", "awaited", "is:completed", "is:running", f"unique:{twin}", "gone"]
    assert [d.word for d in acted] == words
    assert (everything(q), acted.undo_op) == (before, "")
    assert slow.state(far_child) is TaskState.BLOCKED
    with pytest.raises(NotFoundError, match="did you mean slow"):
        moved(q, parent, to="slowe")
    with pytest.raises(RefusedError, match="in the queue 'mail' already"):
        moved(q, parent, to="mail")
    slow.run(operator.configure_queue("slow", {"max_size": 2}, actor="x"))
    with pytest.raises(QueueFullError, match="raise max_size or move fewer"):
        moved(q, held)
    assert everything(q) == before


def test_a_task_whose_key_was_taken_while_it_was_on_its_way_arrives_without_it(
    q: QueueDriver, slow: QueueDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = q.put_one(unique_key="k")
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "deliver_soon", lambda _queues: iter(()))
        acted = moved(q, task)
    assert q.raw.hlen(q.key("leaving")) == 1
    twin = slow.put_one(unique_key="k")
    q.tell()
    assert slow.view(acted[0].new_id).unique_key is None
    assert q.raw.hget(slow.key("unique"), "k").decode() == twin


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("name", ["leaving", "outbox", "trashed", "wake"])
def test_where_a_stranger_has_taken_a_key_nothing_leaves(q: QueueDriver, name: str) -> None:
    task = q.put_one()
    q.raw.delete(q.key(name))
    q.raw.set(q.key(name), "strange")
    with pytest.raises(BrokerError):
        q.ask(Script("move", q.key(""), ("ann", "abcdef", "{}", "slow", "", task, "new")))
    q.raw.delete(q.key(name))
    assert q.state(task) is TaskState.PENDING


def test_a_task_that_is_held_by_a_limit_is_moved_out_of_its_line(q: QueueDriver, slow: QueueDriver) -> None:
    q.run(limits.set_limits("mail", {"running": 0}, actor="ann", key="acme"))
    tasks = q.put(*[new_task("work", {}, options=TaskOptions(limit_key="acme")) for _ in range(2)])
    assert q.take(2) == []
    acted = moved(q, tasks[0].task_id)
    assert [d.word for d in acted] == ["moved"]
    assert slow.take_one().id == acted[0].new_id
    assert q.raw.zcard(q.key("parked")) == 1


def test_a_job_moves_what_a_filter_fits(q: QueueDriver, slow: QueueDriver) -> None:
    q.put_many(3)
    job = Job(action="move", states=(TaskState.PENDING,), to="slow", by="ann")
    job_id = q.run(jobs.start(["mail", "slow"], job))
    for queue in ("mail", "slow"):
        while q.run(jobs.advance(queue, job_id)):
            pass
    parts = {p.queue: (p.status, p.done, p.skipped) for p in q.run(jobs.jobs(job_id=job_id))}
    assert parts == {"mail": ("done", 3, 0), "slow": ("done", 0, 3)}
    assert slow.depths() == {"completed": 1, "pending": 3}
    assert undone(q, job_id) == Bulk(3)
    assert q.depths() == {"completed": 1, "pending": 3}


def test_where_memory_is_full_nothing_leaves_and_nothing_arrives(full_q: QueueDriver) -> None:  # noqa: F811
    q = full_q
    task = q.raw.zrange(q.key("pending"), 0, 0)[0].decode()
    dumped = {key: q.raw.dump(key) for key in q.raw.keys("*")}
    for script in (
        Script("move", q.key(""), ("ann", "abcdef", "{}", "slow", "", task, "new")),
        Script(
            "arrive",
            q.key(""),
            ("", "ann", "abcdef", "{}", "", "x@mail", 1, "pending", "", "", "", "work|1||||{}", "", ""),
        ),
    ):
        with pytest.raises(BrokerRefusedError):
            q.ask(script)
    assert {key: q.raw.dump(key) for key in q.raw.keys("*")} == dumped
