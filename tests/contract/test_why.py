"""Why a task, a queue or a worker is as it is: the one thing that holds it, who did it, when it starts."""

from __future__ import annotations

import pytest

from tests.queue_driver import QueueDriver
from tq_core.errors import InvalidInputError, NotFoundError
from tq_core.keyspace import keys
from tq_core.roles import limits, operator, registry
from tq_core.roles.limits import Breaker, Rate
from tq_core.roles.registry import NodeInfo, SlotInfo, WorkerInfo
from tq_core.roles.why import Answer
from tq_core.roles.why_member import why_member
from tq_core.roles.why_queue import why_queue
from tq_core.roles.why_task import why_task


def node(q: QueueDriver, **facts: object) -> None:
    known = {"node_id": "n", "host": "h", "pid": 1, "queues": (q.queue,), "processes": 1, "slots": 2}
    q.run(registry.heartbeat(NodeInfo(**{**known, **facts})))  # type: ignore[arg-type]


def worker(q: QueueDriver, *task_ids: str, **facts: object) -> None:
    running = tuple(SlotInfo(task_id=i, type="work", queue=q.queue, started_at_ms=q.clock()) for i in task_ids)
    known = {"worker_id": "n.1", "node_id": "n", "pid": 2, "slots": 2, "queues": (q.queue,), "running": running}
    q.run(registry.heartbeat(WorkerInfo(**{**known, **facts})))  # type: ignore[arg-type]


def commands(answer: Answer) -> list[str]:
    return [" ".join(cure.command) for cure in answer.cures]


def test_a_waiting_task_is_told_its_place_and_when_it_starts(q: QueueDriver) -> None:
    ids = q.put_many(6)
    answer = q.run(why_task(ids[0]))
    assert (answer.code, answer.start and answer.start.in_ms) == ("no_worker", None)
    assert "tq-worker" in answer.cures[0].text
    node(q)
    worker(q)
    answer = q.run(why_task(ids[0]))
    assert (answer.code, answer.start and answer.start.in_ms) == ("turn", 0)
    taken = q.take(2, worker_id="n.1")
    worker(q, *(task.id for task in taken))
    answer = q.run(why_task(ids[5]))
    assert dict(answer.facts)["position"] == "4 of 4 in mail"
    assert dict(answer.facts)["slots"] == "2 of 2 busy that take tasks of mail"
    assert answer.start is not None
    assert (answer.start.in_ms, "unknown" in answer.start.words) == (None, True)
    for task in taken:
        q.complete(task)
    q.clock.advance(10_000)
    node(q)
    worker(q, *(task.id for task in q.take(2, worker_id="n.1")))
    answer = q.run(why_task(ids[5]))
    assert answer.start is not None
    # Two have ended in the 150 s that are measured, and it is the second of those that wait.
    assert answer.start.in_ms == 150_000
    assert f"tasks reprioritise {ids[5]} --priority high" in commands(answer)


def test_what_holds_a_queue_is_named_the_worst_first(q: QueueDriver) -> None:
    q.put_many(3)
    assert q.run(why_queue("mail")).code == "no_worker"
    node(q, types=("other",))
    assert q.run(why_queue("mail")).code == "no_handler"
    node(q, types=("work",))
    answer = q.run(why_queue("mail"))
    assert (answer.code, commands(answer)) == ("no_processes", ["why worker n"])
    worker(q)
    answer = q.run(why_queue("mail"))
    assert (answer.code, answer.what) == ("moves", "nothing stops it: 3 wait, 2 of 2 slots are free")
    taken = q.take(2, worker_id="n.1")
    worker(q, *(task.id for task in taken))
    assert q.run(why_queue("mail")).code == "slots_full"
    q.run(limits.set_limits("mail", {"running": 2, "rate": Rate.parse("10/s")}, actor="ann"))
    answer = q.run(why_queue("mail"))
    assert (answer.code, answer.what) == ("limit", "its limit is reached: 2 of at most 2 tasks run")
    assert dict(answer.facts)["limits"] == "2 running, 10/s+1"
    q.run(operator.configure_queue("mail", {"max_size": 1}, actor="ann"))
    assert q.run(why_queue("mail")).code == "full"
    q.run(operator.pause_queue("mail", actor="ann", why="deploy"))
    q.clock.advance(5_000)
    answer = q.run(why_queue("mail"))
    assert (answer.what, commands(answer)) == ("ann paused it 5 s ago (deploy)", ["queues resume mail"])
    assert answer.start is not None
    assert answer.start.in_ms is None
    q.raw.hset(keys.queue_prefix("mail") + "meta", "schema", keys.SCHEMA_VERSION + 1)
    assert q.run(why_queue("mail")).code == "newer"
    q.raw.hset(keys.queue_prefix("mail") + "meta", "schema", keys.SCHEMA_VERSION)
    with pytest.raises(NotFoundError, match="did you mean mail"):
        q.run(why_queue("mial"))
    with pytest.raises(InvalidInputError):
        q.run(why_queue("a b"))


def test_a_breaker_holds_a_queue_and_its_tasks(q: QueueDriver) -> None:
    q.run(limits.set_breaker("mail", "work", Breaker(min_runs=1, cooldown_s=60), actor="ann"))
    ids = q.put_many(3)
    node(q, types=("work",))
    q.fail(q.take_one(), delay_ms=90_000)
    q.take(2)
    answer = q.run(why_queue("mail"))
    assert (answer.code, commands(answer)[-1]) == ("breaker", "queues breaker mail work --close")
    answer = q.run(why_task(ids[2]))
    assert (answer.code, answer.start and answer.start.in_ms) == ("breaker", None)


def test_a_member_is_told_who_stopped_it_what_it_does_or_why_nothing(q: QueueDriver) -> None:
    node(q)
    assert q.run(why_member("n")).code == "no_processes"
    worker(q)
    answer = q.run(why_member("n"))
    assert (answer.kind, answer.code) == ("node", "no_work")
    assert answer.what == "2 of 2 slots are free: nothing waits in its queues"
    ids = q.put_many(4)
    assert q.run(why_member("n.1")).what == "2 of 2 slots are free, and it claims from mail (4)"
    q.run(operator.pause_queue("mail", actor="ann"))
    answer = q.run(why_member("n.1"))
    assert (answer.kind, answer.code, commands(answer)) == ("worker", "no_work", ["why queue mail"])
    assert answer.what == "2 of 2 slots are free: mail is paused (4 wait)"
    q.run(operator.resume_queue("mail", actor="ann"))
    taken = q.take(2, worker_id="n.1", lease_ms=60_000)
    worker(q, *(task.id for task in taken))
    answer = q.run(why_member("n"))
    assert (answer.code, answer.what) == ("busy", "all of its 2 slots are busy: 2 work")
    assert [text for label, text in answer.facts if label == "runs"] == [f"work {i} for 0 ms" for i in ids[:2]]
    q.run(registry.send_command("n", "pause", actor="bob"))
    node(q, state="paused")
    q.clock.advance(2_000)
    answer = q.run(why_member("n.1"))
    assert (answer.code, commands(answer)) == ("paused", ["workers resume n"])
    assert answer.what == "paused by bob (pause) 2 s ago: it claims nothing, what runs goes on"
    node(q, trouble="exit code 3: no module named app")
    assert q.run(why_member("n")).what == "its workers do not stay: exit code 3: no module named app"
    q.clock.advance(registry.LOST_AFTER_MS + 1)
    answer = q.run(why_member("n"))
    assert answer.what.endswith("2 tasks that it held run again within 27 s, as their leases end"), answer.what
    q.clock.advance(60_000)
    assert "at the next upkeep" in q.run(why_member("n")).what
    with pytest.raises(NotFoundError):
        q.run(why_member("x"))
