"""What a task costs when its process dies: nothing unstarted, company first, alone next, poison after two."""

from __future__ import annotations

import pytest

from tests.queue_driver import QueueDriver
from tq_core.model import TaskState
from tq_core.roles import consumer, operator
from tq_core.roles.consumer import Outcome

DETAIL = {"exit_code": -9, "host": "h|1"}


def give_back(q: QueueDriver, worker_id: str, started: list[str] | None = None) -> consumer.GivenBack:
    return q.run(consumer.give_back([q.queue], worker_id, started_ids=started or [], detail=DETAIL))


def test_tasks_that_had_not_started_cost_nothing_and_keep_their_place(q: QueueDriver) -> None:
    sent = q.put_many(4)
    q.take(2, worker_id="node.1")

    assert give_back(q, "node.1") == consumer.GivenBack(2, ())

    served = q.take(4)
    assert [t.id for t in served] == sent
    assert all(t.attempt == 1 and not t.trail.runs_alone for t in served)
    assert q.view(sent[0]).history == ()
    assert q.counter("released") == 2
    assert q.counter("crashed") == 0


def test_only_the_dead_workers_tasks_are_given_back(q: QueueDriver) -> None:
    q.put_many(6)
    workers = ["h-1.1", "h-1.11", "xh-1.1", "h-1.1x", "h-1x1", "1.1"]
    held = {w: q.take_one(worker_id=w).id for w in workers}

    assert give_back(q, "h-1.1").unstarted == 1
    assert q.depths() == {"pending": 1, "running": 5}
    assert q.state(held["h-1.1"]) is TaskState.PENDING


def test_a_task_that_ran_in_company_runs_alone_next_and_is_no_failure(q: QueueDriver) -> None:
    started, waiting = q.put_many(2)
    q.take(2)

    given = give_back(q, "node.1", [started])

    assert given == consumer.GivenBack(1, ((started, "pending"),))
    again, other = q.take(2)
    assert (again.id, again.trail.runs_alone, again.attempt) == (started, True, 1)
    assert (other.id, other.trail.runs_alone) == (waiting, False)
    view = q.view(started)
    assert (view.crashes, view.failures, view.runs_alone) == (1, 0, True)
    assert [(a.outcome, a.detail) for a in view.history] == [("crashed", DETAIL)]
    assert q.counter("crashed") == 1


def test_company_crashes_alone_never_make_a_task_poison(q: QueueDriver) -> None:
    task_id = q.put_one()
    for _ in range(6):
        q.take_one()
        give_back(q, "node.1", [task_id])

    assert q.state(task_id) is TaskState.PENDING


def test_a_task_that_takes_two_processes_of_its_own_down_is_poison(q: QueueDriver) -> None:
    task_id = q.put_one(unique_key="k")
    q.take_one()
    give_back(q, "node.1", [task_id])

    assert q.run(consumer.crash(q.take_one(), detail=DETAIL)) == Outcome("pending")
    last = q.take_one()
    assert last.trail.runs_alone
    assert q.run(consumer.crash(last, detail=DETAIL)) == Outcome("failed")

    view = q.view(task_id)
    assert view.error == {"reason": "poison", **DETAIL}
    assert (view.crashes, view.failures) == (3, 0)
    assert [a.outcome for a in view.history] == ["crashed"] * 3
    assert (q.counter("crashed"), q.counter("failed")) == (3, 1)
    assert [(e["e"], e["r"]) for e in q.events()[-1:]] == [("failed", "poison")]
    q.put_one(unique_key="k")


def test_a_poison_task_leaves_its_neighbours_unharmed(q: QueueDriver) -> None:
    sent = q.put_many(32)
    poison = sent[7]
    q.take(32)
    give_back(q, "node.1", sent)
    while claimed := q.take(1):
        (task,) = claimed
        assert task.trail.runs_alone
        if task.id == poison:
            q.run(consumer.crash(task, detail=DETAIL))
        else:
            q.complete(task)

    assert q.depths() == {"completed": 31, "failed": 1}
    assert q.state(poison) is TaskState.FAILED


def test_a_repeated_crash_gets_the_same_answer_and_counts_once(q: QueueDriver) -> None:
    q.put_one()
    first = q.take_one()
    assert q.run(consumer.crash(first, detail={})) == Outcome("pending")
    assert q.run(consumer.crash(first, detail={})) == Outcome("pending")
    second = q.take_one()
    assert q.run(consumer.crash(first, detail={})) == Outcome("pending")
    assert q.run(consumer.crash(second, detail={})) == Outcome("failed")
    assert q.run(consumer.crash(second, detail={})) == Outcome("failed")
    assert q.run(consumer.crash(first, detail={})) == Outcome("pending")

    assert (q.counter("crashed"), q.counter("stale")) == (2, 0)


@pytest.mark.parametrize("ending", ["complete", "fail", "release"])
def test_a_run_that_ended_otherwise_did_not_crash(q: QueueDriver, ending: str) -> None:
    q.put_one()
    task = q.take_one()
    if ending == "complete":
        q.complete(task)
    elif ending == "fail":
        q.fail(task, verdict="fatal")
    else:
        q.run(consumer.release([task]))

    assert q.run(consumer.crash(task, detail={})) == Outcome("stale")
    assert q.view(task.id).crashes == 0
    assert q.counter("stale") == 1


def test_the_crash_of_a_lost_claim_is_stale_and_of_a_deleted_task_gone(q: QueueDriver) -> None:
    q.put_one()
    task = q.take_one(lease_ms=1)
    q.clock.advance(5000)
    q.reclaim()
    assert q.run(consumer.crash(task, detail={})) == Outcome("stale")
    q.run(operator.discard([task.id], actor="ann"))
    assert q.run(consumer.crash(task, detail={})) == Outcome("gone")


def test_a_crash_of_a_task_that_was_asked_to_stop_ends_it_cancelled(q: QueueDriver) -> None:
    alone, company, unstarted = q.put_many(3)
    tasks = q.take(3)
    q.run(operator.cancel([alone, company, unstarted], actor="ann", why="stuck", kill=True))

    assert q.run(consumer.crash(tasks[0], detail={})) == Outcome("cancelled")
    assert q.run(consumer.crash(tasks[0], detail={})) == Outcome("cancelled")
    assert give_back(q, "node.1", [company]) == consumer.GivenBack(0, ((company, "cancelled"),))

    assert q.depths() == {"cancelled": 3}
    for task_id in (alone, company, unstarted):
        error = q.view(task_id).error
        assert error is not None
        assert (error["by"], error["why"]) == ("ann", "stuck")
    assert (q.counter("cancelled"), q.counter("crashed")) == (3, 2)


def test_giving_back_twice_changes_nothing_more(q: QueueDriver) -> None:
    started, _ = q.put_many(2)
    q.take(2)
    give_back(q, "node.1", [started])
    counters = q.stats().counters

    assert give_back(q, "node.1", [started]) == consumer.GivenBack(0, ())
    assert q.stats().counters == counters


def test_the_acknowledgement_of_a_task_that_was_given_back_is_refused(q: QueueDriver) -> None:
    q.put_many(2)
    first, second = q.take(2)
    give_back(q, "node.1", [first.id])

    assert q.complete(first, second) == ["S", "S"]
    assert q.depths() == {"pending": 2}


def test_a_claim_whose_answer_was_lost_is_found_by_its_nonce(q: QueueDriver) -> None:
    q.put_many(5)
    q.run(consumer.claim(q.queue, worker_id="node.1", nonce="aaa111", limit=3))
    other = q.run(consumer.claim(q.queue, worker_id="node.1", nonce="bbb222", limit=1)).tasks

    assert q.run(consumer.release_claim(q.queue, "aaa111")) == 3
    assert q.run(consumer.release_claim(q.queue, "aaa111")) == 0
    assert q.run(consumer.release_claim(q.queue, "ccc333")) == 0
    assert q.depths() == {"pending": 4, "running": 1}
    assert q.complete(*other) == ["K"]


def test_tasks_of_several_queues_are_given_back_at_once(q: QueueDriver) -> None:
    other = QueueDriver(q.url, queue="other")
    other.endpoint, other.runner, other.raw, other.clock = q.endpoint, q.runner, q.raw, q.clock
    mine, theirs = q.put_one(), other.put_one()
    q.take_one()
    other.take_one()

    given = q.run(consumer.give_back([q.queue, "other", "never"], "node.1", started_ids=[theirs], detail={}))

    assert given == consumer.GivenBack(1, ((theirs, "pending"),))
    assert (q.state(mine), other.state(theirs)) == (TaskState.PENDING, TaskState.PENDING)
    assert other.findings() == []


def test_a_body_that_is_gone_is_counted_and_leaves_nothing_running(damaged_q: QueueDriver) -> None:
    q = damaged_q
    gone, kept = q.put_many(2)
    q.take(2)
    q.raw.hdel(q.key("bodies"), gone)

    assert give_back(q, "node.1").unstarted == 1
    assert q.counter("ghost") == 1
    assert q.depths() == {"pending": 1}
    assert q.take_one().id == kept
