"""Tasks that wait for others: when they run, what becomes of them when one does not complete, and what is refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from tests.queue_driver import QueueDriver
from tq_core.errors import InvalidInputError, RefusedError, UnknownParentError
from tq_core.model import NewTask, TaskOptions, TaskState
from tq_core.roles import consumer, maintenance, operator, producer
from tq_core.roles.why import in_words


def waiting(*parents: str, policy: str | None = None, **options: object) -> NewTask:
    of_task = TaskOptions(depends_on=parents, on_parent_failure=policy)
    return producer.new_task("work", {}, options=of_task, **options)  # type: ignore[arg-type]


def put_child(q: QueueDriver, *parents: str, policy: str | None = None, **options: object) -> str:
    (outcome,) = q.put(waiting(*parents, policy=policy, **options))
    assert outcome.is_new
    return outcome.task_id


def edges(q: QueueDriver) -> int:
    return sum(int(q.raw.exists(q.key(name))) for name in ("parents", "children", "waits"))


# --- parents that complete ---


def test_a_child_runs_after_the_last_of_its_parents_completed(q: QueueDriver) -> None:
    first, second = q.put_many(2)
    child = put_child(q, first, second)
    assert q.state(child) is TaskState.BLOCKED
    assert q.view(child).blocked_by == tuple(sorted((first, second)))
    tasks = q.take(9)
    assert [t.id for t in tasks] == [first, second]

    assert q.complete(tasks[0]) == ["K"]
    assert q.view(child).blocked_by == (second,)
    assert q.findings() == []
    assert q.complete(tasks[1]) == ["K"]

    assert q.take_one().id == child
    assert edges(q) == 0
    assert [(e["e"], e["i"]) for e in q.events() if e["e"] in ("completed", "unblocked")][-2:] == [
        ("completed", second),
        ("unblocked", child),
    ]


def test_one_call_that_completes_all_parents_releases_all_children_once(q: QueueDriver) -> None:
    parents = q.put_many(5)
    children = [put_child(q, *parents) for _ in range(3)]

    assert q.complete(*q.take(5)) == ["K"] * 5

    assert [t.id for t in q.take(9)] == children
    assert edges(q) == 0


def test_a_released_child_keeps_its_turn(q: QueueDriver) -> None:
    parent = q.put_one()
    child = put_child(q, parent)
    later = q.put_one()
    q.complete(q.take_one())

    assert [t.id for t in q.take(2)] == [child, later]


def test_a_child_with_a_delay_waits_for_both(q: QueueDriver) -> None:
    parent = q.put_one()
    late, early = put_child(q, parent, delay_s=60), put_child(q, parent, delay_s=1)
    q.clock.advance(5_000)
    q.complete(q.take_one())

    assert q.state(early) is TaskState.PENDING
    assert q.state(late) is TaskState.SCHEDULED
    q.clock.advance(55_000)
    assert {t.id for t in q.take(9)} == {early, late}


def test_parents_that_have_completed_count_as_done(q: QueueDriver) -> None:
    parent = q.put_one()
    q.complete(q.take_one())
    child, delayed = put_child(q, parent), put_child(q, parent, delay_s=9)

    assert q.state(child) is TaskState.PENDING
    assert q.state(delayed) is TaskState.SCHEDULED
    assert edges(q) == 0
    assert not [e for e in q.events() if e["e"] == "unblocked"]


def test_a_chain_of_one_batch_runs_in_order(q: QueueDriver) -> None:
    sent = q.put(waiting(name="a"), waiting("a@mail", name="b"), waiting("b@mail", name="c"))
    assert all(o.is_new for o in sent)
    ran = []
    while task := next(iter(q.take(5)), None):
        ran.append(task.id)
        q.complete(task)
    assert ran == ["a@mail", "b@mail", "c@mail"]


def test_an_enqueue_that_is_sent_again_changes_nothing(q: QueueDriver) -> None:
    parent = q.put_one()
    child = put_child(q, parent, name="child")
    q.complete(q.take_one())
    q.run(operator.discard([parent], actor="ann"))

    (again,) = q.put(waiting(parent, name="child"))

    assert (again.task_id, again.is_new, again.duplicate_of) == (child, False, "id")


def test_a_stale_acknowledgement_releases_nobody(q: QueueDriver) -> None:
    parent = q.put_one()
    child = put_child(q, parent)
    stale = q.take_one(lease_ms=1000)
    q.clock.advance(9000)
    q.reclaim()

    assert q.complete(stale) == ["S"]
    assert q.state(child) is TaskState.BLOCKED
    assert q.complete(q.take_one()) == ["K"]
    assert q.complete(stale) == ["S"]
    assert q.state(child) is TaskState.PENDING


def test_what_a_parent_goes_through_before_it_ends_leaves_the_child_waiting(q: QueueDriver) -> None:
    parent = q.put_one(max_attempts=3)
    child = put_child(q, parent)
    q.fail(q.take_one(), delay_ms=0)
    q.run(consumer.release(q.take(1)))
    q.run(consumer.crash(q.take_one(), detail={}))
    q.take_one(lease_ms=1)
    q.clock.advance(5000)
    q.reclaim()
    q.run(consumer.release_unknown(q.take(1), delay_ms=0, limit=5))
    assert q.state(child) is TaskState.BLOCKED
    q.complete(q.take_one())
    assert q.state(child) is TaskState.PENDING


# --- parents that do not complete ---


def by_failing(q: QueueDriver, _: str) -> str:
    q.fail(q.take_one(), verdict="fatal")
    return "failed"


def by_running_out_of_attempts(q: QueueDriver, _: str) -> str:
    q.fail(q.take_one(), verdict="retry")
    return "failed"


def by_unknown_type(q: QueueDriver, _: str) -> str:
    q.run(consumer.release_unknown(q.take(1), delay_ms=0, limit=1))
    return "failed"


def by_poison(q: QueueDriver, _: str) -> str:
    for _again in range(2):
        q.run(consumer.crash(q.take_one(), detail={}))
    return "failed"


def by_cancel_while_waiting(q: QueueDriver, parent: str) -> str:
    q.run(operator.cancel([parent], actor="ann"))
    return "was cancelled"


def by_cancel_while_running(q: QueueDriver, parent: str) -> str:
    task = q.take_one()
    q.run(operator.cancel([parent], actor="ann"))
    q.fail(task, verdict="cancel", reason="cancelled")
    return "was cancelled"


def by_kill_of_its_process(q: QueueDriver, parent: str) -> str:
    q.take_one()
    q.run(operator.cancel([parent], actor="ann", kill=True))
    q.run(consumer.give_back([q.queue], "node.1", started_ids=[parent], detail={}))
    return "was cancelled"


def by_cancel_before_it_started(q: QueueDriver, parent: str) -> str:
    tasks = q.take(1)
    q.run(operator.cancel([parent], actor="ann"))
    q.run(consumer.release(tasks))
    return "was cancelled"


def by_cancel_and_a_lost_lease(q: QueueDriver, parent: str) -> str:
    q.take_one(lease_ms=1)
    q.run(operator.cancel([parent], actor="ann"))
    q.clock.advance(9000)
    q.reclaim()
    return "was cancelled"


def by_discard(q: QueueDriver, parent: str) -> str:
    q.run(operator.discard([parent], actor="ann"))
    return "was deleted"


def by_purge(q: QueueDriver, _: str) -> str:
    q.run(operator.purge(q.queue, actor="ann", state=TaskState.PENDING))
    return "was deleted"


ENDS = (
    by_failing,
    by_running_out_of_attempts,
    by_unknown_type,
    by_poison,
    by_cancel_while_waiting,
    by_cancel_while_running,
    by_kill_of_its_process,
    by_cancel_before_it_started,
    by_cancel_and_a_lost_lease,
    by_discard,
    by_purge,
)


@pytest.mark.parametrize("end", ENDS)
def test_however_a_parent_ends_its_children_do_what_their_policy_says(
    q: QueueDriver, end: Callable[[QueueDriver, str], str]
) -> None:
    parent = q.put_one(max_attempts=1)
    failing, skipping, running = (
        put_child(q, parent),
        put_child(q, parent, policy="skip"),
        put_child(q, parent, policy="run"),
    )

    how = end(q, parent)

    assert [q.state(i) for i in (failing, skipping, running)] == [
        TaskState.FAILED,
        TaskState.CANCELLED,
        TaskState.PENDING,
    ]
    for ended in (failing, skipping):
        error = q.view(ended).error
        assert error is not None
        assert (error["reason"], error["parent"]) == ("parent_failed", parent)
        assert error["message"] == f"the task {parent}, which it waited for, {how}"
    assert edges(q) == 0
    assert q.counter("failed") + q.counter("cancelled") == 2 + (how != "was deleted")
    told = {e["e"]: e["i"] for e in q.events() if e.get("r") in ("parent_failed", "parents_ended")}
    assert told == {"failed": failing, "cancelled": skipping, "unblocked": running}


def test_a_parent_that_had_failed_before_is_the_same_as_one_that_fails_after(q: QueueDriver) -> None:
    parent = q.put_one()
    q.fail(q.take_one(), verdict="fatal")
    failing, skipping, running = (put_child(q, parent, policy=p) for p in (None, "skip", "run"))

    assert [q.state(i) for i in (failing, skipping, running)] == [
        TaskState.FAILED,
        TaskState.CANCELLED,
        TaskState.PENDING,
    ]
    assert (q.view(failing).error or {})["parent"] == parent
    assert edges(q) == 0


def test_one_failed_parent_is_enough_and_the_others_do_not_matter_any_more(q: QueueDriver) -> None:
    parents = q.put_many(3)
    child, patient = put_child(q, *parents), put_child(q, *parents, policy="run")
    tasks = q.take(3)
    q.fail(tasks[1], verdict="fatal")
    assert (q.state(child), q.state(patient)) == (TaskState.FAILED, TaskState.BLOCKED)

    q.complete(tasks[0], tasks[2])

    assert (q.state(child), q.state(patient)) == (TaskState.FAILED, TaskState.PENDING)


def test_a_failure_goes_down_a_chain_of_any_length_in_one_step(q: QueueDriver) -> None:
    names = [f"n{i}" for i in range(400)]
    q.put(waiting(name=names[0]), *[waiting(f"{a}@mail", name=b) for a, b in itertools.pairwise(names)])

    q.fail(q.take_one(), verdict="fatal")

    assert q.depths() == {"failed": 400}
    assert edges(q) == 0
    assert (q.view("n399@mail").error or {})["parent"] == "n398@mail"


def test_a_chain_of_skipped_tasks_ends_where_one_runs_all_the_same(q: QueueDriver) -> None:
    a = q.put_one()
    b = put_child(q, a, policy="skip")
    c = put_child(q, b, policy="skip")
    d = put_child(q, c, policy="run")
    e = put_child(q, d)

    q.run(operator.cancel([a], actor="ann"))

    assert q.depths() == {"cancelled": 3, "pending": 1, "blocked": 1}
    assert q.take_one().id == d
    assert q.view(e).blocked_by == (d,)


def test_children_that_are_named_with_their_parent_end_as_they_were_told(q: QueueDriver) -> None:
    parent, other = q.put_many(2)
    child = put_child(q, parent)
    grandchild = put_child(q, child)
    assert [d.word for d in q.run(operator.cancel([parent, child, grandchild], actor="ann"))] == ["cancelled"] * 3
    child = put_child(q, other)
    grandchild = put_child(q, child, policy="run")
    assert [d.word for d in q.run(operator.discard([other, child], actor="ann"))] == ["deleted"] * 2
    assert q.depths() == {"cancelled": 3, "pending": 1}
    assert edges(q) == 0


def test_a_blocked_task_that_is_cancelled_or_deleted_is_waited_for_no_more(q: QueueDriver) -> None:
    parent = q.put_one()
    cancelled, deleted, left = put_child(q, parent), put_child(q, parent), put_child(q, parent)
    after = put_child(q, cancelled, policy="skip")
    q.run(operator.cancel([cancelled], actor="ann"))
    q.run(operator.discard([deleted], actor="ann"))
    assert q.state(after) is TaskState.CANCELLED

    q.complete(q.take_one())

    assert q.depths() == {"completed": 1, "cancelled": 2, "pending": 1}
    assert q.state(left) is TaskState.PENDING


def test_a_purge_of_blocked_tasks_leaves_nothing_of_them(q: QueueDriver) -> None:
    parent = q.put_one(unique_key="p")
    put_child(q, parent, unique_key="c")
    put_child(q, put_child(q, parent), policy="run")

    assert q.run(operator.purge(q.queue, actor="ann", state=TaskState.BLOCKED)).done == 3
    assert q.depths() == {"pending": 1}
    assert edges(q) == 0


def test_a_child_that_ends_with_its_parent_frees_its_unique_key(q: QueueDriver) -> None:
    parent = q.put_one()
    put_child(q, parent, unique_key="once")
    q.fail(q.take_one(), verdict="fatal")

    assert put_child(q, q.put_one(), unique_key="once")


def test_a_queue_that_keeps_nothing_settles_all_the_same(q: QueueDriver) -> None:
    q.run(operator.configure_queue(q.queue, {"keep_failed": 0, "keep_completed": 0}, actor="ann"))
    parent, good = q.put_many(2)
    child = put_child(q, parent)
    put_child(q, child, policy="run", name="last")
    freed = put_child(q, good)
    tasks = q.take(2)

    q.fail(tasks[0], verdict="fatal")
    q.complete(tasks[1])

    assert q.state(freed) is TaskState.PENDING
    assert q.state("last@mail") is TaskState.PENDING
    assert q.depths() == {"pending": 2}


def test_a_child_that_ends_at_once_is_no_parent_to_those_behind_it(q: QueueDriver) -> None:
    parent = q.put_one()
    q.fail(q.take_one(), verdict="fatal")
    q.run(operator.configure_queue(q.queue, {"keep_failed": 1}, actor="ann"))

    q.put(waiting(parent, name="b"), waiting("b@mail", name="c"), waiting("c@mail", name="d", policy="run"))

    assert q.depths() == {"failed": 1, "pending": 1}
    assert q.state("d@mail") is TaskState.PENDING


# --- running again ---


def test_a_parent_that_is_run_again_holds_nobody_up(q: QueueDriver) -> None:
    one, two = q.put_many(2)
    child = put_child(q, one, two, policy="run")
    tasks = q.take(2)
    q.fail(tasks[0], verdict="fatal")
    q.run(operator.requeue([one], actor="ann"))
    assert q.view(child).blocked_by == (two,)

    q.complete(tasks[1])

    assert q.state(child) is TaskState.PENDING


def test_a_child_that_is_run_again_waits_only_for_parents_that_have_not_ended(q: QueueDriver) -> None:
    parent = q.put_one()
    child = put_child(q, parent)
    q.fail(q.take_one(), verdict="fatal")
    q.run(operator.requeue([child], actor="ann"))
    assert q.state(child) is TaskState.PENDING
    q.run(operator.cancel([child], actor="ann"))
    q.run(operator.requeue([parent], actor="ann"))
    q.run(operator.requeue([child], actor="ann"))
    assert q.view(child).blocked_by == (parent,)

    q.complete(q.take_one())

    assert q.take_one().id == child


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_a_chain_that_is_run_again_whole_runs_in_order(q: QueueDriver, order: tuple[int, ...]) -> None:
    a = q.put_one()
    b = put_child(q, a)
    c = put_child(q, b, policy="skip")
    q.fail(q.take_one(), verdict="fatal")

    done = q.run(operator.requeue([(a, b, c)[i] for i in order], actor="ann"))

    assert [d.word for d in done] == ["requeued"] * 3
    assert (q.view(b).blocked_by, q.view(c).blocked_by) == ((a,), (b,))
    q.fail(q.take_one(), verdict="fatal")
    assert q.depths() == {"failed": 2, "cancelled": 1}
    assert q.run(operator.requeue_all(q.queue, actor="ann")).done == 2
    assert q.depths() == {"pending": 1, "blocked": 1, "cancelled": 1}


def test_tasks_that_name_one_another_under_names_used_twice_do_not_wait_in_a_circle(q: QueueDriver) -> None:
    q.put(waiting(name="a"), waiting("a@mail", name="b"))
    q.run(operator.discard(["a@mail"], actor="ann"))
    q.put(waiting("b@mail", name="a"))
    assert q.depths() == {"failed": 2}

    q.run(operator.requeue(["a@mail", "b@mail"], actor="ann"))

    assert q.findings() == []
    assert q.depths() == {"pending": 1, "blocked": 1}


# --- what is refused ---


def test_an_unknown_parent_is_refused_and_nothing_is_written(q: QueueDriver) -> None:
    q.put_one(name="known")
    before = q.stats().counters

    with pytest.raises(UnknownParentError, match=r"cannot depend on gone@mail: it never existed") as refusal:
        q.put(producer.new_task("work", {}), waiting("known@mail", "gone@mail"))

    assert refusal.value.parent_id == "gone@mail"
    assert (q.depths(), q.stats().counters) == ({"pending": 1}, before)


def test_a_parent_that_was_refused_itself_is_unknown(q: QueueDriver) -> None:
    q.put_one(unique_key="once")

    with pytest.raises(UnknownParentError):
        q.put(producer.new_task("work", {}, name="a", unique_key="once"), waiting("a@mail"))
    assert q.depths() == {"pending": 1}


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ([waiting("a@mail", name="a")], "a@mail cannot depend on itself"),
        ([waiting("b@mail", name="a"), waiting(name="b")], "a@mail cannot depend on b@mail, which comes after it"),
    ],
)
def test_circles_are_refused(q: QueueDriver, tasks: list[NewTask], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        q.put(*tasks)
    assert q.depths() == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (TaskOptions(depends_on=("no id",)), "'no id' is no task id"),
        (TaskOptions(depends_on=("a@mail",), on_parent_failure="shrug"), "use fail, skip, run"),
        (TaskOptions(on_parent_failure="run"), "name them in depends_on"),
        (TaskOptions(depends_on=tuple(f"n{i}@mail" for i in range(1001))), "at most 1000"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: TaskOptions, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        producer.new_task("work", {}, options=options)


def test_no_more_tasks_wait_for_one_than_can_be_settled_in_one_step(q: QueueDriver) -> None:
    parent = q.put_one()
    q.raw.zadd(q.key("children"), {f"{parent}>x{i}": 0 for i in range(10_000)})

    with pytest.raises(RefusedError, match=f"10000 tasks wait for {parent} already"):
        q.put(waiting(parent))

    q.raw.delete(q.key("children"))


def test_blocked_tasks_count_against_the_size_of_a_queue(q: QueueDriver) -> None:
    q.run(operator.configure_queue(q.queue, {"max_size": 2}, actor="ann"))
    put_child(q, q.put_one())

    with pytest.raises(RefusedError):
        q.put_one()


def test_a_remembered_number_of_the_queue_that_is_outdated_refuses_no_parent(q: QueueDriver) -> None:
    parent = q.put_one()

    (outcome,) = q.run(producer.enqueue(q.queue, [waiting(parent)], number=9))

    assert q.view(outcome.task_id).blocked_by == (parent,)


# --- what is told ---


def test_why_names_the_parents_and_what_comes_then(q: QueueDriver) -> None:
    one, two = q.put_many(2)
    child = put_child(q, one, two)
    skipped = put_child(q, one, policy="skip")
    first, second = sorted((one, two))
    assert q.run(in_words(q.view(child))) == (
        f"waits for 2 tasks: {first}, {second}; if one does not complete, it fails too"
    )
    q.complete(q.take_one())
    assert q.run(in_words(q.view(child))) == (
        f"waits for the task {two}; 1 of its 2 have ended; if one does not complete, it fails too"
    )
    q.run(operator.cancel([two], actor="ann"))
    assert q.run(in_words(q.view(child))) == (
        "failed 0 ms ago (a task it waited for did not complete): "
        f"ParentFailedError: the task {two}, which it waited for, was cancelled"
    )
    assert q.state(skipped) is TaskState.PENDING


def test_upkeep_leaves_blocked_tasks_alone(q: QueueDriver) -> None:
    child = put_child(q, q.put_one())
    q.clock.advance(10**9)
    q.run(maintenance.upkeep([q.queue]))
    assert q.state(child) is TaskState.BLOCKED
