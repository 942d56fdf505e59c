"""What people change: the change, what is left alone, and the audit entry that names the actor and the count."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.queue_driver import START_MS, QueueDriver
from tq_core.errors import InvalidInputError, NotFoundError, QueueFullError
from tq_core.model import TaskState
from tq_core.roles import consumer, operator, registry
from tq_core.roles.operator import Bulk, Done
from tq_core.roles.producer import new_task

UNKNOWN_ID = "01h2qnkm00000000000000000a"


def audited(q: QueueDriver) -> list[tuple[str, str, int, dict[str, Any]]]:
    """(actor, action, count, detail) of each entry, oldest first."""
    return [(a["by"], a["do"], int(a["n"]), msgspec.json.decode(a["detail"])) for a in q.audited()]


def words(done: list[Done]) -> list[str]:
    return [d.word for d in done]


# --- cancel ---


def test_waiting_tasks_are_cancelled_at_once_and_the_actor_is_kept(q: QueueDriver) -> None:
    pending, scheduled = q.put_one(priority="low", unique_key="k"), q.put_one(delay_s=5)
    retrying = q.put_one()
    q.fail(q.take_one())

    done = q.run(operator.cancel([pending, scheduled, retrying], actor="ann", why="wrong|list"))

    assert done == [Done(i, "cancelled") for i in (pending, scheduled, retrying)]
    assert q.depths() == {"cancelled": 3}
    view = q.view(pending)
    assert view.error == {"reason": "cancelled", "by": "ann", "why": "wrong|list", "mode": "cancel"}
    assert (view.finished_at_ms, view.worker_id, q.view(retrying).attempt) == (START_MS, None, 1)
    assert audited(q) == [("ann", "cancel", 3, {"by": "ann", "why": "wrong|list", "mode": "cancel"})]
    assert {k: v for k, v in q.events()[-1].items() if k != "i"} == {"e": "cancelled", "by": "ann"}
    assert q.counter("cancelled") == 3
    q.put_one(unique_key="k")


def test_a_running_task_is_asked_to_stop_and_goes_on_until_it_does(q: QueueDriver) -> None:
    q.put_one()
    task = q.take_one(worker_id="node.3")

    assert q.run(operator.cancel([task.id], actor="ann", why="x", kill=True)) == [Done(task.id, "asked", "node.3")]

    view = q.view(task.id)
    assert (view.state, view.cancel_asked) == (TaskState.RUNNING, {"by": "ann", "why": "x", "mode": "kill"})
    assert audited(q) == [("ann", "kill", 1, {"by": "ann", "why": "x", "mode": "kill"})]
    (entry,) = q.run(operator.audit_log())
    assert entry.ids == (q.audited()[0]["i"],)
    assert q.counter("cancelled") == 0


def test_the_node_of_a_running_task_is_told_at_once(live_q: QueueDriver) -> None:
    q = live_q
    q.run(registry.heartbeat(registry.NodeInfo(node_id="host-1", host="h", pid=1)))
    q.put_one()
    task = q.take_one(worker_id="host-1.2")

    q.run(operator.cancel([task.id], actor="ann"))

    command = q.command_for("host-1")
    assert command is not None
    assert (command.do, command.by, command.args) == ("kill_task", "ann", {"task_id": task.id, "mode": "cancel"})


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_an_ended_task_cannot_be_cancelled(q: QueueDriver, state: str) -> None:
    q.put_one()
    task = q.take_one()
    if state == "completed":
        q.complete(task)
    else:
        q.fail(task, verdict="fatal" if state == "failed" else "cancel")

    assert q.run(operator.cancel([task.id], actor="ann")) == [Done(task.id, f"is:{state}")]
    assert audited(q) == []


def test_unknown_tasks_and_queues_are_gone_and_leave_no_key(q: QueueDriver) -> None:
    q.put_one()
    keys_before = sorted(q.raw.keys("*"))

    ids = ["nothing@mail", "nothing@nowhere", UNKNOWN_ID]
    for flow in (operator.cancel, operator.requeue, operator.discard):
        assert words(q.run(flow(ids, actor="ann"))) == ["gone"] * 3
    assert sorted(q.raw.keys("*")) == keys_before


def test_what_is_no_id_is_refused(q: QueueDriver) -> None:
    with pytest.raises(InvalidInputError, match="no task id"):
        q.run(operator.cancel(["what?"], actor="ann"))


def test_many_tasks_of_many_kinds_are_cancelled_in_one_operation(q: QueueDriver) -> None:
    sent = q.put_many(450)
    q.complete(q.take_one())

    done = q.run(operator.cancel(sent, actor="ann"))

    assert words(done) == ["is:completed"] + ["cancelled"] * 449
    assert [n for _, _, n, _ in audited(q)] == [50, 200, 199]
    (entry,) = q.run(operator.audit_log())
    assert (entry.count, len(entry.ids)) == (449, operator.AUDITED_IDS)
    (entry,) = q.run(operator.audit_log([q.queue]))
    assert (entry.by, entry.action, entry.count, entry.target) == ("ann", "cancel", 449, "mail")


# --- requeue ---


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_an_ended_task_runs_again_from_the_start_behind_the_others(q: QueueDriver, state: str) -> None:
    q.put_one({"n": 1}, max_attempts=2, unique_key="k")
    q.fail(q.take_one(), delay_ms=0)
    task = q.take_one()
    if state == "completed":
        q.complete(task)
    else:
        q.fail(task, verdict="fatal" if state == "failed" else "cancel")
    waiting = q.put_one()

    assert q.run(operator.requeue([task.id], actor="ann", why="fixed")) == [Done(task.id, "requeued")]

    view = q.view(task.id)
    assert (view.state, view.attempt, view.failures, view.error, view.result) == (TaskState.PENDING, 0, 0, None, None)
    assert view.history[-1].outcome == "requeued"
    assert view.history[-1].detail == {"by": "ann", "why": "fixed"}
    assert len(view.history) >= 2
    assert audited(q) == [("ann", "requeue", 1, {"by": "ann", "why": "fixed"})]
    assert q.put(new_task("work", {}, unique_key="k"))[0].task_id == task.id
    again = q.take(2)
    assert [t.id for t in again] == [waiting, task.id]
    assert (again[1].attempt, again[1].payload) == (1, b'{"n":1}')


def test_a_poison_task_gets_a_fresh_start(q: QueueDriver) -> None:
    task_id = q.put_one()
    for _ in range(2):
        q.run(consumer.crash(q.take_one(), detail={}))
    q.run(operator.requeue([task_id], actor="ann"))

    task = q.take_one()
    assert (task.trail.runs_alone, task.attempt) == (False, 1)
    assert q.run(consumer.crash(task, detail={})).word == "pending"


@pytest.mark.parametrize("state", ["pending", "running", "scheduled", "retrying"])
def test_a_task_that_has_not_ended_is_left_alone(q: QueueDriver, state: str) -> None:
    task_id = q.put_one(delay_s=5 if state == "scheduled" else 0)
    if state in {"running", "retrying"}:
        task = q.take_one()
        if state == "retrying":
            q.fail(task)

    assert q.run(operator.requeue([task_id], actor="ann")) == [Done(task_id, f"is:{state}")]
    assert q.state(task_id) == state
    assert audited(q) == []


def test_a_task_whose_unique_key_was_given_away_cannot_run_again(q: QueueDriver) -> None:
    q.put_one(unique_key="k")
    old = q.take_one()
    q.fail(old, verdict="fatal")
    holder = q.put_one(unique_key="k")

    assert q.run(operator.requeue([old.id], actor="ann")) == [Done(old.id, f"unique:{holder}")]
    assert q.state(old.id) is TaskState.FAILED


def test_of_two_ended_tasks_with_one_unique_key_only_the_first_runs_again(q: QueueDriver) -> None:
    ended = []
    for _ in range(2):
        q.put_one(unique_key="k")
        ended.append(q.take_one().id)
        q.run(operator.cancel(ended[-1:], actor="ann"))
        q.run(consumer.release_claim(q.queue, ""))
        q.run(consumer.give_back([q.queue], "node.1", started_ids=(), detail={}))
    assert q.depths() == {"cancelled": 2}

    done = q.run(operator.requeue(ended, actor="ann"))
    assert done == [Done(ended[0], "requeued"), Done(ended[1], f"unique:{ended[0]}")]


def test_the_whole_dlq_is_redriven_oldest_first_and_progress_is_told(q: QueueDriver) -> None:
    sent = q.put_many(450)
    for task in q.take(450):
        q.fail(task, verdict="fatal")
        q.clock.advance(1)
    told: list[int] = []

    assert q.run(operator.requeue_all(q.queue, actor="ann", on_progress=told.append)) == Bulk(450)

    assert told == [200, 400, 450]
    assert [t.id for t in q.take(450)] == sent
    assert [n for _, _, n, _ in audited(q)] == [200, 200, 50]
    assert [a.count for a in q.run(operator.audit_log([q.queue]))] == [450]


def test_a_redrive_skips_what_cannot_run_and_goes_on_behind_it(q: QueueDriver) -> None:
    for n in range(250):
        q.put_one(unique_key=f"k{n % 125}")
        q.fail(q.take_one(), verdict="fatal")
        q.clock.advance(1)

    done = q.run(operator.requeue_all(q.queue, actor="ann"))

    assert (done.done, len(done.skipped)) == (125, 125)
    assert {d.word.partition(":")[0] for d in done.skipped} == {"unique"}
    assert q.depths() == {"pending": 125, "failed": 125}


@pytest.mark.slow
def test_tasks_that_fail_again_during_a_redrive_are_left_alone(q: QueueDriver) -> None:
    q.put_many(450)
    for task in q.take(450):
        q.fail(task, verdict="fatal")

    def fail_all_again(_done: int) -> None:
        q.clock.now_ms = 2 * START_MS  # after the redrive began, by the server's clock
        for task in q.take(500):
            q.fail(task, verdict="fatal")

    assert q.run(operator.requeue_all(q.queue, actor="ann", on_progress=fail_all_again)).done == 450
    assert q.depths() == {"failed": 450}


def test_only_ended_states_can_be_redriven(q: QueueDriver) -> None:
    with pytest.raises(InvalidInputError, match="only ended tasks"):
        q.run(operator.requeue_all(q.queue, actor="ann", state=TaskState.PENDING))


# --- discard ---


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled", "pending", "retrying", "scheduled"])
def test_a_discarded_task_leaves_nothing_behind(q: QueueDriver, state: str) -> None:
    task_id = q.put_one(delay_s=5 if state == "scheduled" else 0, unique_key="k")
    if state == "cancelled":
        q.run(operator.cancel([task_id], actor="ann"))
    elif state not in {"pending", "scheduled"}:
        task = q.take_one()
        if state == "completed":
            q.complete(task)
        else:
            q.fail(task, verdict="fatal" if state == "failed" else "retry")
    assert q.state(task_id) == state

    assert q.run(operator.discard([task_id], actor="bob", why="old", action="delete")) == [Done(task_id, "deleted")]

    assert q.state(task_id) is None
    assert q.depths() == {}
    for name in ("bodies", "records", "trail", "attempts", "cancels", "unique"):
        assert q.raw.hlen(q.key(name)) == 0, name
    assert audited(q)[-1] == ("bob", "delete", 1, {"by": "bob", "why": "old"})
    assert q.counter("discarded") == 1
    assert q.events()[-1] == {"e": "discarded", "i": task_id, "n": "1", "by": "bob"}
    q.put_one(unique_key="k")


def test_a_running_task_is_never_discarded(q: QueueDriver) -> None:
    q.put_many(2)
    running = q.take_one()
    other = q.take_one()
    q.complete(other)

    done = q.run(operator.discard([running.id, other.id], actor="ann"))
    assert done == [Done(running.id, "is:running"), Done(other.id, "deleted")]
    assert q.complete(running) == ["K"]


def test_discarding_the_holder_of_a_unique_key_does_not_free_anothers(q: QueueDriver) -> None:
    q.put_one(unique_key="k")
    old = q.take_one()
    q.fail(old, verdict="fatal")
    holder = q.put_one(unique_key="k")
    q.run(operator.discard([old.id], actor="ann"))

    assert q.put(new_task("work", {}, unique_key="k"))[0].task_id == holder


def test_more_than_a_thousand_tasks_are_discarded_by_name(q: QueueDriver) -> None:
    sent = q.put_many(500) + q.put_many(500) + q.put_many(300)

    assert set(words(q.run(operator.discard(sent, actor="ann")))) == {"deleted"}
    assert q.depths() == {}
    assert len(q.run(operator.audit_log([q.queue]))) == 1


def test_an_id_named_twice_is_deleted_once(q: QueueDriver) -> None:
    task_id = q.put_one()

    assert words(q.run(operator.discard([task_id, task_id], actor="ann"))) == ["deleted", "deleted"]
    assert q.counter("discarded") == 1


# --- purge ---


@pytest.mark.parametrize("state", ["pending", "scheduled", "retrying", "completed", "failed", "cancelled"])
def test_purging_one_state_leaves_the_others(q: QueueDriver, state: str) -> None:
    q.put_many(2)
    q.put_many(2, delay_s=9)
    for verdict in ("retry", "retry", "fatal", "fatal", "cancel", "cancel", "ok", "ok", "run"):
        q.put_one(priority="high")
        task = q.take_one()
        if verdict == "ok":
            q.complete(task)
        elif verdict != "run":
            q.fail(task, verdict=verdict)
    before = q.depths()

    assert q.run(operator.purge(q.queue, actor="ann", state=TaskState(state))).done == 2

    assert q.depths() == {s: n for s, n in before.items() if s != state}
    assert audited(q)[-1][:3] == ("ann", "purge", 2)


def test_purging_thousands_goes_in_steps_and_tells_progress(q: QueueDriver) -> None:
    for _ in range(5):
        q.put_many(500)
    told: list[int] = []

    assert q.run(operator.purge(q.queue, actor="ann", on_progress=told.append)).done == 2500
    assert told == [1000, 2000, 2500]
    assert q.raw.hlen(q.key("bodies")) == 0
    assert [a.count for a in q.run(operator.audit_log([q.queue]))] == [2500]


def test_a_purge_of_ended_tasks_leaves_what_ended_after_it_began(q: QueueDriver) -> None:
    q.put_many(4)
    tasks = q.take(4)
    for task in tasks[:2]:
        q.fail(task, verdict="fatal")
    q.clock.now_ms = 2 * START_MS  # later than the server's clock, by which a purge begins
    for task in tasks[2:]:
        q.fail(task, verdict="fatal")

    q.run(operator.purge(q.queue, actor="ann", state=TaskState.FAILED))
    assert {q.state(t.id) for t in tasks[:2]} == {None}
    assert q.depths() == {"failed": 2}


def test_purging_nothing_leaves_no_audit_entry(q: QueueDriver) -> None:
    q.put_one()
    assert q.run(operator.purge(q.queue, actor="ann", state=TaskState.FAILED)) == Bulk(0)
    assert audited(q) == []


def test_running_tasks_cannot_be_purged(q: QueueDriver) -> None:
    with pytest.raises(InvalidInputError, match="cannot be purged"):
        q.run(operator.purge(q.queue, actor="ann", state=TaskState.RUNNING))


# --- pause, configure, notes ---


def test_who_paused_a_queue_why_and_when_is_kept_until_it_is_resumed(q: QueueDriver) -> None:
    q.put_one()
    q.clock.advance(7)

    assert q.run(operator.pause_queue(q.queue, actor="ann", why="bad|deploy"))
    assert not q.run(operator.pause_queue(q.queue, actor="bob"))
    paused = q.stats().paused
    assert paused is not None
    assert (paused.by, paused.why, paused.at_ms) == ("ann", "bad|deploy", START_MS + 7)
    q.raw.delete(q.key("wake"))
    assert q.run(operator.resume_queue(q.queue, actor="bob"))
    assert not q.run(operator.resume_queue(q.queue, actor="bob"))

    assert q.stats().paused is None
    assert q.raw.zcard(q.key("wake")) == 1
    assert [a[:3] for a in audited(q)] == [("ann", "pause", 1), ("bob", "resume", 1)]
    assert [(e["e"], e["by"]) for e in q.events()[-2:]] == [("paused", "ann"), ("resumed", "bob")]


def test_a_queue_that_never_was_cannot_be_paused_and_the_nearest_is_named(q: QueueDriver) -> None:
    q.put_one()
    with pytest.raises(NotFoundError, match="did you mean mail"):
        q.run(operator.pause_queue("mial", actor="ann"))
    with pytest.raises(NotFoundError):
        q.run(operator.resume_queue("zzzz", actor="ann"))
    assert q.raw.keys("*mial*") == []


def test_limits_are_set_shown_and_cleared(q: QueueDriver) -> None:
    q.run(operator.configure_queue(q.queue, {"max_size": 1, "keep_ms": 5000, "keep_failed": 0}, actor="ann", why="w"))
    assert q.stats().limits == {"max_size": 1, "keep_ms": 5000, "keep_failed": 0}
    q.put_one()
    with pytest.raises(QueueFullError):
        q.put_one()

    q.run(operator.configure_queue(q.queue, {"max_size": None, "keep_ms": 7000}, actor="bob"))
    assert q.stats().limits == {"keep_ms": 7000, "keep_failed": 0}
    q.put_one()
    assert audited(q) == [
        ("ann", "configure", 1, {"by": "ann", "why": "w", "set": {"max_size": 1, "keep_ms": 5000, "keep_failed": 0}}),
        ("bob", "configure", 1, {"by": "bob", "set": {"max_size": None, "keep_ms": 7000}}),
    ]
    assert [e["e"] for e in q.events()].count("configured") == 2


@pytest.mark.parametrize("settings", [{"colour": 1}, {"max_size": -1}, {"max_size": True}, {"keep_ms": 2**45}])
def test_a_setting_that_is_not_allowed_changes_nothing(q: QueueDriver, settings: dict[str, int | None]) -> None:
    with pytest.raises(InvalidInputError):
        q.run(operator.configure_queue(q.queue, {"keep_failed": 5, **settings}, actor="ann"))
    assert q.raw.keys("*") == []


def test_the_audit_log_is_newest_first_over_queues_and_fleet_and_adds_chunks_up(q: QueueDriver) -> None:
    q.run(registry.heartbeat(registry.NodeInfo(node_id="n", host="h", pid=1)))
    q.put_many(3)
    q.run(operator.purge(q.queue, actor="ann"))
    q.clock.advance(5)
    q.run(registry.send_command("n", "pause", actor="bob"))
    q.clock.advance(5)
    q.run(operator.configure_queue("other", {"max_size": 4}, actor="cid"))
    q.run(operator.note("other", actor="dan", action="reveal", detail={"task": "x"}))

    log = q.run(operator.audit_log())

    assert [(a.by, a.action, a.target, a.count) for a in log] == [
        ("dan", "reveal", "other", 0),
        ("cid", "configure", "other", 1),
        ("bob", "pause", "n", 1),
        ("ann", "purge", "mail", 3),
    ]
    assert [a.by for a in q.run(operator.audit_log(limit=2))] == ["dan", "cid"]


def test_a_damaged_audit_entry_is_left_out(q: QueueDriver) -> None:
    q.put_one()
    q.raw.xadd(q.key("audit"), {"x": "y"})
    q.raw.xadd(q.key("audit"), {"at": "soon", "by": "b", "op": "o", "do": "d", "n": "1", "detail": "{}"})
    q.run(operator.pause_queue(q.queue, actor="ann"))

    assert [a.by for a in q.run(operator.audit_log())] == ["ann"]


def blocked(q: QueueDriver) -> str:
    """A task that waits for others: nothing moves one there yet, but what people do must know the state."""
    task_id = q.put_one(unique_key="blocked")
    q.raw.zrem(q.key("pending"), task_id)
    q.raw.zadd(q.key("blocked"), {task_id: 5})
    return task_id


def test_blocked_tasks_can_be_seen_cancelled_discarded_and_purged_and_count_as_waiting(q: QueueDriver) -> None:
    task_id = blocked(q)
    assert q.state(task_id) is TaskState.BLOCKED
    assert q.stats().waiting == 1
    assert q.run(operator.requeue([task_id], actor="ann")) == [Done(task_id, "is:blocked")]
    assert words(q.run(operator.cancel([task_id], actor="ann"))) == ["cancelled"]
    assert words(q.run(operator.discard([blocked(q)], actor="ann"))) == ["deleted"]
    blocked(q)
    assert q.run(operator.purge(q.queue, actor="ann", state=TaskState.BLOCKED)).done == 1
    assert q.depths() == {"cancelled": 1}
