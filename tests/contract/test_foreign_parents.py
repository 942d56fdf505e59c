"""Tasks that wait for others of other queues: whatever order word of an end comes in, none is lost."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from tests.contract.test_dependencies import ENDS, put_child, waiting
from tests.queue_driver import QueueDriver
from tq_console.view.family_lines import family_lines
from tq_core.errors import RefusedError, UnknownParentError
from tq_core.model import TaskState
from tq_core.roles import audit, family, operator, outbox, producer, undo
from tq_core.roles.why import in_words
from tq_core.transport.steps import Flow, Script


@pytest.fixture
def far(q: QueueDriver) -> Iterator[QueueDriver]:
    """A queue beside `q`, which has the parents; at the end all queues agree with one another."""
    other = q.beside("files")
    other.put_one(name="first")
    other.complete(other.take_one())
    yield other
    assert fleet_findings(q) == []
    q.tell()
    other.tell()
    assert [q.raw.zcard(d.key("outbox")) for d in (q, other)] == [0, 0]


def fleet_findings(q: QueueDriver) -> list[tuple[str, str]]:
    return [(f.word, f.subject) for f in q.run(audit.audit())]


def edges(q: QueueDriver) -> int:
    return sum(int(q.raw.exists(q.key(name))) for name in ("parents", "children", "waits"))


def stop_before(flow: Flow[object], name: str, q: QueueDriver) -> None:
    """Runs a flow up to the first step that sends this script, as a process does that dies there."""
    reply = None
    for _ in range(20):
        step = flow.send(reply)
        if any(isinstance(s, Script) and s.name == name for s in getattr(step, "steps", [step])):
            flow.close()
            return
        reply = q.ask(step)
    raise AssertionError(f"it never sent {name}")


@pytest.mark.parametrize("end", ENDS)
def test_however_a_parent_ends_its_children_in_other_queues_do_what_their_policy_says(
    q: QueueDriver, far: QueueDriver, end: object
) -> None:
    parent = far.put_one(max_attempts=1)
    ids = failing, skipping, running = [put_child(q, parent, policy=policy) for policy in (None, "skip", "run")]
    assert [q.state(i) for i in ids] == [TaskState.BLOCKED] * 3
    assert q.tell() == 0, "the producer asked at once"
    assert fleet_findings(q) == []

    how = end(far, parent)  # type: ignore[operator]

    far.tell()
    assert [q.state(i) for i in ids] == [TaskState.FAILED, TaskState.CANCELLED, TaskState.PENDING]
    error = q.view(failing).error or {}
    assert (error["reason"], error["parent"]) == ("parent_failed", parent)
    assert error["message"] == f"the task {parent}, which it waited for, {how}"
    assert (q.view(skipping).error or {})["parent"] == parent
    assert q.take_one().id == running
    assert edges(q) == 0
    assert not q.raw.exists(far.key("watchers"))


def test_a_child_runs_after_the_last_of_its_parents_wherever_they_are(q: QueueDriver, far: QueueDriver) -> None:
    here, there = q.put_one(), far.put_one()
    child, delayed = put_child(q, here, there, "first@files"), put_child(q, there, delay_s=60)
    assert set(q.view(child).blocked_by) == {here, there}
    far.complete(far.take_one())
    assert q.state(child) is TaskState.BLOCKED
    assert q.raw.exists(far.key("posted"))

    assert far.tell() == 1
    assert q.view(child).blocked_by == (here,)
    assert q.state(delayed) is TaskState.SCHEDULED
    q.complete(q.take_one())
    assert q.take_one().id == child
    assert edges(q) == 0


def test_parents_that_had_ended_count_as_they_ended(q: QueueDriver, far: QueueDriver) -> None:
    bad = far.put_one()
    far.fail(far.take_one(), verdict="fatal")

    children = [put_child(q, "first@files"), put_child(q, "first@files", bad), put_child(q, bad, policy="run")]

    assert [q.state(i) for i in children] == [TaskState.PENDING, TaskState.FAILED, TaskState.PENDING]
    assert edges(q) == 0


@pytest.mark.parametrize("parent", ["gone@files", "gone@nowhere", "01h2qnkm00zzz0000000000000"])
def test_an_unknown_parent_is_refused_and_nothing_is_written(q: QueueDriver, far: QueueDriver, parent: str) -> None:
    live = far.put_one()
    q.put_one()
    before = q.stats().counters

    with pytest.raises(UnknownParentError) as refusal:
        q.put(producer.new_task("work", {}), waiting(live, parent))

    assert refusal.value.parent_id == parent
    assert (q.depths(), q.stats().counters) == ({"pending": 1}, before)
    assert not q.raw.exists(far.key("watchers"))


def test_an_enqueue_that_is_sent_again_changes_nothing_though_the_parent_is_gone(
    q: QueueDriver, far: QueueDriver
) -> None:
    parent = far.put_one()
    child = put_child(q, parent, name="child")
    far.run(operator.discard([parent], actor="ann"))

    (again,) = q.put(waiting(parent, name="child"))

    assert (again.task_id, again.duplicate_of) == (child, "id")


@pytest.mark.parametrize("ends", ["completed", "failed", "deleted"])
def test_a_parent_that_ends_before_its_queue_was_asked_is_not_missed(
    q: QueueDriver, far: QueueDriver, ends: str
) -> None:
    parent = far.put_one(name="p")
    stop_before(producer.enqueue("mail", [waiting(parent, name="c")]), "outbox", q)
    assert q.state("c@mail") is TaskState.BLOCKED
    assert fleet_findings(q) == [], "the question is in the outbox"
    if ends == "deleted":
        far.run(operator.discard([parent], actor="ann"))
    elif ends == "failed":
        far.fail(far.take_one(), verdict="fatal")
    else:
        far.complete(far.take_one())
    assert far.tell() == 0

    assert q.tell() == 1
    assert q.state("c@mail") is (TaskState.PENDING if ends == "completed" else TaskState.FAILED)


@pytest.mark.parametrize(
    ("queue", "point"), [("mail", "watch"), ("mail", "told"), ("files", "parents_ended"), ("files", "told")]
)
def test_a_death_at_any_point_of_telling_only_makes_it_be_told_again(
    q: QueueDriver, far: QueueDriver, queue: str, point: str
) -> None:
    parent = far.put_one(name="p")
    stop_before(producer.enqueue("mail", [waiting(parent, name="c")]), "outbox", q)
    if queue == "mail":
        stop_before(outbox.deliver(["mail"]), point, q)
    assert q.tell() == 1
    assert q.state("c@mail") is TaskState.BLOCKED
    far.complete(far.take_one())
    if queue == "files":
        stop_before(outbox.deliver(["files"]), point, q)

    assert far.tell() == 1
    assert q.state("c@mail") is TaskState.PENDING
    assert [e["e"] for e in q.events()] == ["enqueued", "unblocked"]


def test_a_child_that_is_cancelled_or_deleted_before_leaves_nothing_that_harms(
    q: QueueDriver, far: QueueDriver
) -> None:
    parent = far.put_one()
    cancelled, deleted = put_child(q, parent), put_child(q, parent)
    q.run(operator.cancel([cancelled], actor="ann"))
    q.run(operator.discard([deleted], actor="ann"))
    assert edges(q) == 0

    far.fail(far.take_one(), verdict="fatal")

    assert far.tell() == 1
    assert q.depths() == {"cancelled": 1}
    assert not q.raw.exists(far.key("watchers"))


def test_word_of_an_earlier_life_of_a_parent_settles_only_who_waited_then(q: QueueDriver, far: QueueDriver) -> None:
    parent = far.put_one()
    early = put_child(q, parent)
    far.fail(far.take_one(), verdict="fatal")
    word = far.run(outbox.waiting(["files"]))
    far.ask(Script("requeue", "tq:{files}:", ("ann", "op", b"{}", "", 0, 0, 0, "", parent)))
    late = put_child(q, parent)

    q.run(outbox.tell(word))
    assert (q.state(early), q.state(late)) == (TaskState.FAILED, TaskState.BLOCKED)
    q.run(outbox.tell(word))
    far.complete(far.take_one())
    far.tell()

    assert q.state(late) is TaskState.PENDING


def test_a_question_that_is_asked_twice_does_not_make_a_later_one_be_forgotten(
    q: QueueDriver, far: QueueDriver
) -> None:
    parent = far.put_one(name="p")
    stop_before(producer.enqueue("mail", [waiting(parent, name="c")]), "outbox", q)
    first = q.run(outbox.waiting(["mail"]))
    late = put_child(q, parent)
    q.run(outbox.tell(first))
    assert fleet_findings(q) == []

    far.complete(far.take_one())
    far.tell()

    assert [q.state(i) for i in ("c@mail", late)] == [TaskState.PENDING] * 2


def test_a_child_that_is_run_again_waits_only_for_parents_that_have_not_ended(q: QueueDriver, far: QueueDriver) -> None:
    parent = far.put_one()
    child, other = put_child(q, parent), put_child(q, parent, policy="skip")
    far.fail(far.take_one(), verdict="fatal")
    far.tell()
    q.run(operator.requeue([child], actor="ann"))
    assert q.take_one().id == child, "a person decided"

    far.run(operator.requeue([parent], actor="ann"))
    q.run(operator.requeue([other], actor="ann"))
    assert q.view(other).blocked_by == (parent,)
    far.fail(far.take_one(), verdict="fatal")
    far.tell()

    assert q.state(other) is TaskState.CANCELLED


def test_a_failure_goes_on_from_queue_to_queue(q: QueueDriver, far: QueueDriver) -> None:
    a = far.put_one()
    b = put_child(q, a)
    c = put_child(far, b, policy="skip")
    d = put_child(q, c, policy="run")

    far.run(operator.cancel([a], actor="ann"))
    q.tell()
    far.tell()

    assert [x.state(i) for x, i in ((q, b), (far, c), (q, d))] == [
        TaskState.FAILED,
        TaskState.CANCELLED,
        TaskState.PENDING,
    ]


def test_a_queue_that_forgot_who_waits_is_asked_again(q: QueueDriver, far: QueueDriver) -> None:
    kept, lost = far.put_one(), far.put_one()
    after_kept, after_lost = put_child(q, kept), put_child(q, lost, policy="skip")
    q.raw.delete(far.key("watchers"))
    assert {word for word, _ in fleet_findings(q)} == {"foreign_parent_unwatched"}
    q.run(outbox.ask_again("mail"))
    assert fleet_findings(q) == []

    # By its key, a cluster finds the node that has the queue.
    q.raw.eval("for _, k in ipairs(redis.call('KEYS', KEYS[1] .. '*')) do redis.call('DEL', k) end", 1, far.key(""))
    assert {word for word, _ in fleet_findings(q)} == {"foreign_parent_ended"}
    assert q.run(outbox.ask_again("mail")) == 0

    assert [q.state(i) for i in (after_kept, after_lost)] == [TaskState.FAILED, TaskState.CANCELLED]
    far.put_one()


def test_a_message_that_cannot_be_told_holds_up_no_other(q: QueueDriver, far: QueueDriver) -> None:
    child = put_child(q, far.put_one())
    newer, damaged = b'{"kind":"newer","id":1,"at":1}', b'{"kind":"ended","id":2,"at":1}'
    q.raw.zadd(far.key("outbox"), {newer: 0, damaged: 0})
    far.complete(far.take_one())

    assert far.tell() == 1
    assert q.state(child) is TaskState.PENDING
    assert far.tell() == 0
    q.clock.advance(outbox.AGAIN_AFTER_MS)
    assert {m.raw for m in q.run(outbox.waiting(["files"]))} == {newer, damaged}
    q.raw.delete(far.key("outbox"))


def test_a_thousand_parents_of_two_queues_and_no_more(q: QueueDriver, far: QueueDriver) -> None:
    parents = [*far.put_many(500), *q.put_many(500)]
    child = put_child(q, *parents)
    assert len(q.view(child).blocked_by) == 1000
    far.complete(*far.take(500))
    assert far.tell() == 500
    assert len(q.view(child).blocked_by) == 500
    q.complete(*q.take(500))
    assert q.take_one().id == child


def test_as_many_wait_for_one_of_another_queue_as_can_be_settled_in_one_step(q: QueueDriver, far: QueueDriver) -> None:
    parent = far.put_one()
    q.raw.zadd(q.key("children"), {f"{parent}>n{i}@mail": 0 for i in range(10_000)})
    with pytest.raises(RefusedError, match=f"10000 tasks wait for {parent} already"):
        put_child(q, parent)
    q.raw.delete(q.key("children"))


def test_why_names_parents_of_other_queues_with_their_queue(q: QueueDriver, far: QueueDriver) -> None:
    here, there = q.put_one(), far.put_one()
    child = put_child(q, here, there)

    said = q.run(in_words(q.view(child)))

    assert f"{there} of the queue 'files'" in said
    assert f"{here} of" not in said
    assert msgspec.json.decode(msgspec.json.encode(q.view(child)))["blocked_by"]


def test_a_tree_has_parents_and_children_of_all_queues(q: QueueDriver, far: QueueDriver) -> None:
    gone = q.put_one()
    top = put_child(far, gone, policy="run")
    q.run(operator.discard([gone], actor="ann"))
    q.tell()
    middle = put_child(q, top, "first@files")
    here, there = put_child(q, middle), put_child(far, middle)
    last = put_child(q, there, here)

    found = q.run(family.tree(middle))

    assert found.is_whole
    assert {(r.depth, r.task_id, r.task and r.task.state.value) for r in found.relatives} == {
        (-2, gone, None),
        (-1, top, "pending"),
        (-1, "first@files", "completed"),
        (0, middle, "blocked"),
        (1, here, "blocked"),
        (1, there, "blocked"),
        (2, last, "blocked"),
    }
    lines = list(family_lines(found))
    assert lines[0] == f"{middle}  blocked  work  mail"
    assert f"      {gone}  gone" in lines
    assert [len(line) - len(line.lstrip()) for line in lines] == [0, 0, 3, 6, 3, 0, 3, 6, 3]
    few = q.run(family.tree(middle, limit=3))
    assert (len(few.relatives), few.is_whole) == (3, False)


@pytest.mark.parametrize("how", ["cancel", "discard"])
@pytest.mark.parametrize("ends_meanwhile", [False, True])
def test_a_child_that_an_undo_puts_back_waits_again_or_learns_at_once_how_its_parent_ended(
    q: QueueDriver, far: QueueDriver, how: str, ends_meanwhile: bool
) -> None:
    parent = far.put_one()
    child = put_child(q, parent)
    taken = q.run(getattr(operator, how)([child], actor="eve"))
    if ends_meanwhile:
        far.complete(far.take_one())

    q.run(undo.undo(taken.undo_op, actor="eve"))

    assert q.state(child) is (TaskState.PENDING if ends_meanwhile else TaskState.BLOCKED)
    assert fleet_findings(q) == []
    if not ends_meanwhile:
        far.complete(far.take_one())
        far.tell()
    assert q.state(child) is TaskState.PENDING


def test_tasks_of_two_queues_come_back_together_whatever_is_told_between(q: QueueDriver, far: QueueDriver) -> None:
    # The children's queue is undone first or last; a node tells whatever was posted at once.
    here, there = q.put_one(), far.put_one()
    child, far_child = put_child(q, there), put_child(far, here)
    acted = q.run(operator.discard([child, far_child, here, there], actor="ann"))
    assert q.state(child) is None

    def step_by_step() -> Flow[operator.Bulk]:
        flow, reply = undo.undo(acted.undo_op, actor="ann"), None
        while True:
            try:
                step = flow.send(reply)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            reply = yield step
            for queue in (q.queue, far.queue):
                yield from outbox.deliver([queue])

    assert q.run(step_by_step()).done == 4
    assert [driver.state(i) for driver, i in ((q, child), (far, far_child))] == [TaskState.BLOCKED] * 2
    assert [q.complete(q.take_one()), far.complete(far.take_one())] == [["K"], ["K"]]
    q.tell()
    far.tell()
    assert [q.take_one().id, far.take_one().id] == [child, far_child]


def test_an_undo_that_dies_leaves_a_question_that_is_put_later(q: QueueDriver, far: QueueDriver) -> None:
    parent = far.put_one()
    child = put_child(q, parent)
    acted = q.run(operator.cancel([child], actor="ann"))
    far.complete(far.take_one())
    far.tell()

    flow, reply = undo.undo(acted.undo_op, actor="ann"), None
    while q.state(child) is not TaskState.BLOCKED:
        reply = q.ask(flow.send(reply))
    flow.close()
    assert q.tell() == 0
    q.clock.advance(10_000)
    q.tell()

    assert q.take_one().id == child


def test_a_task_that_a_person_had_run_again_comes_back_as_such(q: QueueDriver, far: QueueDriver) -> None:
    bad = far.put_one()
    far.fail(far.take_one(), verdict="fatal")
    child = put_child(q, bad)
    assert q.state(child) is TaskState.FAILED
    stop_after(operator.requeue([child], actor="ann"), "requeue", q)
    live = far.put_one()
    other = put_child(q, live)
    acted = q.run(operator.cancel([child, other], actor="ann"))
    far.fail(far.take_one(), verdict="fatal")

    q.run(undo.undo(acted.undo_op, actor="ann"))

    assert [q.state(child), q.state(other)] == [TaskState.PENDING, TaskState.FAILED]
    q.tell()


def stop_after(flow: Flow[object], name: str, q: QueueDriver) -> None:
    """As `stop_before`, but that the script has run."""
    reply, was_sent = None, False
    while not was_sent:
        step = flow.send(reply)
        was_sent = isinstance(step, Script) and step.name == name
        reply = q.ask(step)
    flow.close()
