"""Jobs: an action on all tasks that a filter fits, in parts, by whoever has time; each task once and counted right."""

from __future__ import annotations

import msgspec
import pytest

from tests.queue_driver import QueueDriver
from tq_core.errors import InvalidInputError, NotFoundError, RefusedError
from tq_core.model import TaskState
from tq_core.roles import jobs, operator, undo
from tq_core.roles.jobs import Job, Part
from tq_core.roles.producer import new_task

WAITING = (TaskState.SCHEDULED, TaskState.PENDING)


def start(q: QueueDriver, job: Job) -> str:
    return q.run(jobs.start([q.queue], job))


def finish(q: QueueDriver, job_id: str) -> Part:
    for _ in range(50):
        if not q.run(jobs.advance(q.queue, job_id)):
            break
    return part(q, job_id)


def part(q: QueueDriver, job_id: str) -> Part:
    (found,) = q.run(jobs.jobs(job_id=job_id))
    return found


def test_a_job_cancels_what_fits_and_what_was_there_and_counts_it(q: QueueDriver) -> None:
    ids = q.put_many(250)
    q.put_many(3, delay_s=60)
    q.put(*[new_task("other", {}) for _ in range(300)])
    job_id = start(q, Job(action="cancel", states=WAITING, filter="type:work", by="ann", why="w"))
    q.clock.advance(1)
    late = q.put_one()

    assert q.run(jobs.due([q.queue])) == [("mail", job_id)]
    assert q.run(jobs.advance(q.queue, job_id))
    assert (part(q, job_id).status, part(q, job_id).done) == ("open", 3)
    found = finish(q, job_id)

    assert (found.status, found.done, found.skipped) == ("done", 253, 0)
    assert q.depths() == {"cancelled": 253, "pending": 301}
    assert q.state(late) is TaskState.PENDING
    assert q.view(ids[0]).error == {"reason": "cancelled", "by": "ann", "why": "w", "mode": "cancel", "job": job_id}
    assert q.run(jobs.due([q.queue])) == []
    (entry,) = q.run(operator.audit_log())
    assert (entry.op, entry.action, entry.count) == (job_id, "cancel", 253)
    assert q.run(undo.undo(job_id, actor="ann")).done == 253
    assert q.depths() == {"pending": 551, "scheduled": 3}


def test_failed_tasks_of_one_moment_are_run_again_once_each(q: QueueDriver) -> None:
    q.put_many(200)
    q.put_many(101)
    for task in q.take(301):
        q.fail(task, verdict="fatal", detail={"type": "A" if int(task.id[-1], 36) % 2 else "B", "message": ""})
    job_id = start(q, Job(action="retry", states=(TaskState.FAILED,), filter="error:B", by="ann"))
    assert q.run(jobs.advance(q.queue, job_id))
    q.clock.advance(1)
    again = q.take_one()
    q.fail(again, verdict="fatal", detail={"type": "B", "message": ""})
    found = finish(q, job_id)

    assert found.status == "done"
    assert q.depths() == {"pending": found.done - 1, "failed": 301 - found.done + 1}
    assert q.counter("requeued") == found.done


def test_jobs_delete_and_reprioritise_and_ask_running_tasks_once(q: QueueDriver) -> None:
    old, new = q.put_one(priority="high"), q.put_one()
    finish(q, start(q, Job(action="reprioritise", states=(TaskState.PENDING,), priority=50, by="ann")))
    assert [q.view(i).priority for i in (old, new)] == [50, 50]
    running = q.take_one(worker_id="node.1")
    found = finish(q, start(q, Job(action="kill", states=(TaskState.RUNNING, TaskState.PENDING), by="ann")))
    assert found.done == 2
    assert q.view(running.id).cancel_asked is not None
    q.complete(running)
    done = (TaskState.COMPLETED, TaskState.CANCELLED)
    assert finish(q, start(q, Job(action="delete", states=done, by="ann"))).done == 2
    assert q.depths() == {}


def test_whoever_comes_back_late_neither_holds_the_job_nor_spoils_its_counts(q: QueueDriver) -> None:
    q.put_many(450)
    job_id = start(q, Job(action="cancel", states=(TaskState.PENDING,), by="ann"))
    late = jobs.advance(q.queue, job_id)
    step, answer = next(late), None
    for _ in range(5):  # leased, read, located, acted on, told to other queues; not written down
        answer = q.ask(step)
        step = late.send(answer)
    assert q.depths()["cancelled"] == 200
    assert q.run(jobs.advance(q.queue, job_id)) is False
    assert part(q, job_id).is_held

    q.clock.advance(jobs.LEASE_MS + 1)
    found = finish(q, job_id)
    assert (found.status, found.done) == ("done", 450)
    with pytest.raises(StopIteration) as end:
        late.send(q.ask(step))
    assert end.value.value is False
    assert part(q, job_id) == found


def test_a_job_can_be_cancelled_and_stays_so(q: QueueDriver) -> None:
    q.put_many(450)
    job_id = start(q, Job(action="delete", states=(TaskState.PENDING,), by="ann"))
    q.run(jobs.advance(q.queue, job_id))
    (found,) = q.run(jobs.cancel_job(job_id, actor="bob", why="no"))

    assert (found.status, found.done) == ("cancelled", 200)
    assert q.run(jobs.advance(q.queue, job_id)) is False
    assert q.depths() == {"pending": 250}
    assert q.audited()[-1]["do"] == "cancel_job"
    with pytest.raises(RefusedError, match="has ended: cancelled"):
        q.run(jobs.cancel_job(job_id, actor="bob"))
    with pytest.raises(NotFoundError):
        q.run(jobs.cancel_job("0" * 12, actor="bob"))


def test_what_cannot_be_done_is_refused_before_anything_is_written(q: QueueDriver) -> None:
    for job in (
        Job(action="retry", states=(TaskState.PENDING,)),
        Job(action="delete", states=(TaskState.RUNNING,)),
        Job(action="cancel", states=()),
        Job(action="cancel", states=(TaskState.PENDING,), filter="nonsense:x"),
        Job(action="cancel", states=(TaskState.PENDING,), priority=3),
        Job(action="reprioritise", states=(TaskState.PENDING,)),
        Job(action="reprioritise", states=(TaskState.PENDING,), priority=256),
    ):
        with pytest.raises(InvalidInputError):
            start(q, job)
    with pytest.raises(InvalidInputError, match="no job"):
        q.run(jobs.jobs(job_id="*"))
    assert q.raw.keys("*") == []


def test_ended_jobs_are_remembered_up_to_a_number_and_open_ones_are_limited(q: QueueDriver) -> None:
    q.put_one()
    job = Job(action="cancel", states=(TaskState.PENDING,), by="ann")
    last = finish(q, start(q, job))
    for _ in range(jobs.KEPT + 2):
        last = finish(q, start(q, job))
        q.clock.advance(1)
    found = q.run(jobs.jobs())
    assert (len(found), found[0]) == (jobs.KEPT + 1, last)
    for _ in range(jobs.OPEN_MAX):
        start(q, job)
    with pytest.raises(RefusedError, match="100 open jobs"):
        start(q, job)


def test_a_job_that_cannot_be_read_is_left_or_ended_as_failed(q: QueueDriver) -> None:
    q.put_one()
    newer, bad = (start(q, Job(action="cancel", states=(TaskState.PENDING,))) for _ in range(2))
    q.raw.hset(q.key("jobs"), newer, '{"action":"sing","states":[]}')
    q.raw.hset(q.key("jobs"), bad, '{"action":"cancel","states":["pending"],"filter":"x:y"}')

    assert (finish(q, newer).status, finish(q, newer).job) == ("open", None)
    assert finish(q, bad).status == "failed"


def test_a_filter_of_the_language_is_written_so_that_older_workers_leave_the_job(q: QueueDriver) -> None:
    q.put_one({"user": {"id": 42}})
    q.put_one({"user": {"id": 7}})
    q.clock.advance(60_000)
    job = Job(action="cancel", states=(TaskState.PENDING,), filter="age:>30s NOT args.user.id=7")
    job_id = start(q, job)
    late = q.put_one({"user": {"id": 1}})
    spec = q.raw.hget(q.key("jobs"), job_id)
    # Before the language a filter was a text, and what cannot be decoded is left to others.
    assert msgspec.json.decode(spec)["filter"] == {"query": "age:>30s NOT args.user.id=7"}
    q.clock.advance(60_000)
    found = finish(q, job_id)
    assert (found.status, found.done, found.job and found.job.words) == ("done", 1, "age:>30s NOT args.user.id=7")
    assert q.state(late) is TaskState.PENDING

    # What meant something else when it was written is refused, not read anew.
    old = start(q, Job(action="delete", states=(TaskState.PENDING,), filter="nothing"))
    q.raw.hset(q.key("jobs"), old, '{"action":"delete","states":["pending"],"filter":"-invoice"}')
    assert finish(q, old).status == "failed"
    assert q.depths() == {"pending": 2, "cancelled": 1}


def test_a_new_priority_keeps_the_age_and_leaves_what_runs_or_ended(q: QueueDriver) -> None:
    first, second, third = (q.put_one(priority=p) for p in ("normal", "low", "high"))
    scheduled = q.put_one(delay_s=60)
    retrying = q.put_one(priority="critical")
    q.fail(q.take_one())
    running = q.put_one(priority="critical")
    task = q.take_one()

    done = q.run(operator.reprioritise([second, first, third, scheduled, retrying, running, "no@mail"], 50, actor="a"))
    moved = "reprioritised"
    assert [d.word for d in done] == [moved, moved, "same", moved, moved, "is:running", "gone"]
    assert [q.view(i).priority for i in (first, second, scheduled, retrying)] == [50] * 4
    assert [t.id for t in q.take(9)] == [first, second, third]
    q.complete(task)
    q.clock.advance(60_000)
    assert {t.id for t in q.take(9)} == {scheduled, retrying}
    assert [(a["do"], a["n"]) for a in q.audited()] == [("reprioritise", "4")]


def test_a_state_that_is_named_twice_is_gone_through_once(q: QueueDriver) -> None:
    q.put_many(2)
    job_id = start(q, Job(action="delete", states=(TaskState.PENDING, TaskState.PENDING), by="ann"))

    found = finish(q, job_id)

    assert (found.status, found.looked, found.done) == ("done", 2, 2)


def test_a_job_that_one_of_its_queues_refuses_is_on_none(q: QueueDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "OPEN_MAX", 1)
    job = Job(action="delete", states=(TaskState.FAILED,), by="ann")
    other = q.beside("other")
    for driver in (q, other):
        driver.put_one()
    start(other, job)

    with pytest.raises(RefusedError, match="'other' has 1 open jobs"):
        q.run(jobs.start([q.queue, "other"], job))

    assert q.run(jobs.jobs([q.queue])) == []


def test_what_is_no_task_is_left_and_holds_up_no_job(damaged_q: QueueDriver) -> None:
    q = damaged_q
    task_id = q.put_one()
    q.fail(q.take_one(), verdict="fatal")
    q.raw.zadd(q.key("failed"), {"no task": 1, b"\xff": 2})

    found = finish(q, start(q, Job(action="delete", states=(TaskState.FAILED,), by="ann")))

    assert (found.status, found.done, found.skipped) == ("done", 1, 2)
    assert q.state(task_id) is None
