"""What a screen needs, as one flow: everything it shows comes in one round trip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tq_console.tui.watch.group_reading import GroupsRead, read_groups
from tq_console.tui.watch.jump import place_near
from tq_console.tui.watch.snapshot import (
    Detail,
    HuntAnswer,
    HuntStep,
    Question,
    ServerFacts,
    TaskList,
    TaskListQuestion,
    Waiting,
)
from tq_console.tui.watch.whole_task import home_of, whole_task
from tq_core.errors import BrokerError
from tq_core.model import TaskState, TaskView
from tq_core.roles import browser, failure_groups, inspector, operator, readiness, registry, search
from tq_core.roles.inspector import QueueStats
from tq_core.roles.operator import Audited
from tq_core.roles.registry import Fleet
from tq_core.roles.why import explain
from tq_core.transport.steps import Command, Flow
from tq_core.transport.together import together

ALL_RUNNING_MAX = 500
"""Up to so many running tasks are read whole, to be put in the order of their start."""
MINUTES_REMEMBERED = 15
"""Past minutes that are kept at hand: they never change, and the next screen shows them at once."""
WAITING_READ = 50
"""Of so many tasks at the front of a queue it is told of which types they are."""
_HUNT_BYTES = 4_096
_PREVIEW_BYTES = 65_536
"""A preview is asked for again and again, and shows few lines."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked for, of one instant."""

    numbers: Mapping[str, int]
    """The queues and their numbers."""
    queues: tuple[QueueStats, ...]
    remembered: tuple[QueueStats, ...]
    """The same with more past minutes than were asked for, so that those need not be read again."""
    fleet: Fleet
    tasks: TaskList | None
    detail: Detail | None
    failures: Failures | None
    audited: tuple[Audited, ...]
    part: Any = None
    groups: GroupsRead | None = None
    waiting: Waiting | None = None


@dataclass(frozen=True, slots=True)
class Failures:
    """The latest failures, and what says whether there are others by now."""

    count: int
    of: str | None
    tasks: tuple[TaskView, ...]
    tally: Mapping[str, tuple[int, int]]
    """Of each queue how many have failed, and how many did in the minutes at hand, as they were then."""


def _tally(queues: Iterable[QueueStats]) -> dict[str, tuple[int, int]]:
    return {q.queue: (q.depths[TaskState.FAILED], sum(m.counts.get("failed", 0) for m in q.minutes)) for q in queues}


def ask(question: Question, before: Answer | None) -> Flow[Answer]:
    """Everything that the question names, in one round trip while no queue is new.

    Args:
        before: What was last answered, to whatever question: what cannot have changed since is not read again.
    """
    numbers: Mapping[str, int] = before.numbers if before else {}
    while True:
        answer = yield from _ask(question, numbers, before)
        if tuple(answer.numbers) == tuple(numbers):
            return answer
        numbers = answer.numbers


def _ask(question: Question, numbers: Mapping[str, int], before: Answer | None) -> Flow[Answer]:
    names = tuple(numbers)
    known = {q.queue: q for q in before.remembered} if before else {}
    minutes = max(question.minutes, MINUTES_REMEMBERED)
    failures: Failures | None = None
    flows: dict[str, Flow[Any]] = {
        "numbers": registry.queue_numbers(),
        "queues": inspector.stats(names, minutes=minutes, known=known.values(), has_counters=False),
        "fleet": registry.fleet(before.fleet if before else None),
    }
    if question.tasks is not None:
        flows["tasks"] = _task_list(question.tasks, names, known, before.tasks if before else None)
    if question.detail_id is not None:
        look = whole_task if question.screen == "detail" else _preview
        flows["detail"] = look(question.detail_id, numbers)
    last = before.failures if before and question.failures else None
    if last is not None and _are_still_those(last, question, known):
        failures = last
    elif question.failures:
        flows["failures"] = _failures(question, names, known, last)
    if question.groups is not None:
        tally, read = _tally(known.values()), before.groups if before else None
        flows["groups"] = read_groups(question.groups, names, tally, read)
    if question.waiting_of is not None and question.waiting_of in numbers:
        flows["waiting"] = _waiting(question.waiting_of)
    if question.audited:
        flows["audited"] = operator.audit_log(names, limit=question.audited)
    if question.part is not None:
        flows["part"] = question.part.flow(names)
    found = dict(zip(flows, (yield from together(list(flows.values()))), strict=True))
    remembered: list[QueueStats] = found["queues"]
    queues = tuple(inspector.with_minutes(q, question.minutes) for q in remembered)
    detail: Detail | None = found.get("detail")
    if "failures" in found:
        failures = Failures(question.failures, question.failures_of, found["failures"], _tally(remembered))
    return Answer(
        numbers=found["numbers"],
        queues=queues,
        remembered=tuple(remembered),
        fleet=found["fleet"],
        tasks=found.get("tasks"),
        detail=_explained(detail, queues, found["fleet"]),
        failures=failures,
        audited=tuple(found.get("audited", ())),
        part=found.get("part"),
        groups=found.get("groups"),
        waiting=found.get("waiting"),
    )


def _are_still_those(last: Failures, question: Question, known: Mapping[str, QueueStats]) -> bool:
    """Whether nothing has failed since, and nothing that failed has gone; as of the last look."""
    return (last.count, last.of) == (question.failures, question.failures_of) and last.tally == _tally(known.values())


def _failures(
    question: Question, names: Sequence[str], known: Mapping[str, QueueStats], last: Failures | None
) -> Flow[tuple[TaskView, ...]]:
    """The latest failures; a new one is seen a refresh later than its count."""
    asked = [q for q in names if question.failures_of in (None, q)]
    asked = [q for q in asked if q not in known or known[q].depths[TaskState.FAILED]]
    expected = Counter(task.queue for task in last.tasks) if last and last.tasks else None
    found = yield from browser.window(asked, TaskState.FAILED, from_there=question.failures, expected=expected)
    return tuple(row.task for row in found.rows)


def _waiting(queue: str) -> Flow[Waiting]:
    page = yield from inspector.page(queue, TaskState.PENDING, limit=WAITING_READ, payload_max=0)
    types = Counter(task.type for task in page.tasks)
    return Waiting(queue, tuple(types.most_common()), len(page.tasks), page.total)


def _preview(task_id: str, numbers: Mapping[str, int]) -> Flow[Detail]:
    queue = home_of(task_id, numbers)
    if queue is None:
        return Detail(task_id, None)
    (task,) = yield from inspector.show([task_id], payload_max=_PREVIEW_BYTES, queue=queue)
    return Detail(task_id, task)


def _explained(detail: Detail | None, queues: Sequence[QueueStats], fleet: Fleet) -> Detail | None:
    if detail is None or detail.task is None:
        return detail
    task = detail.task
    numbers = next((q for q in queues if q.queue == task.queue), None)
    return replace(detail, why=explain(task, numbers, fleet)) if numbers is not None else detail


def _task_list(
    question: TaskListQuestion, names: Sequence[str], known: Mapping[str, QueueStats], was: TaskList | None
) -> Flow[TaskList]:
    queues = [name for name in names if question.queue in (None, name)]
    if question.hunt is not None:
        return (yield from _hunt(question, question.hunt, queues))
    if question.group:
        return (yield from _members(question, queues))
    # A queue that had none a moment ago is asked all the same: it may have some now.
    depths = [known[q].depths[question.state] if q in known else 0 for q in queues]
    if question.state is TaskState.RUNNING and sum(depths) <= ALL_RUNNING_MAX:
        found = yield from browser.window(queues, question.state, from_there=ALL_RUNNING_MAX)
        rows = tuple(sorted(found.rows, key=lambda row: (row.task.started_at_ms or 0, row.task.id)))
        return TaskList(question, found.total, 0, rows)
    place, before, count = question.place, question.before, question.count
    if place is None and question.first > 0:
        last = question.first + count
        place, at = yield from place_near(queues, question.state, question.first + count // 2, depths)
        before = max(0, at - question.first)
        count = before + max(1, last - at)
    found = yield from browser.window(
        queues,
        question.state,
        place=place,
        before=before,
        from_there=max(1, count - before),
        expected=_expected(question, was),
    )
    return TaskList(question, found.total, found.offset, found.rows)


def _members(question: TaskListQuestion, names: Sequence[str]) -> Flow[TaskList]:
    counts = dict(question.group_counts)
    queues = [queue for queue in names if queue in counts] or list(names)
    found = yield from failure_groups.members(
        queues, question.group, offset=question.first, limit=question.count, counts=counts
    )
    rows = tuple(browser.Placed(task, 0.0) for task in found.tasks)
    told = tuple(found.counts.items())
    return TaskList(question, min(found.total, failure_groups.OFFSET_MAX), question.first, rows, group_counts=told)


def _expected(question: TaskListQuestion, was: TaskList | None) -> Mapping[str, int] | None:
    """How many rows each queue probably has; None where nothing is known of this list."""
    if was is None or not was.rows:
        return None
    if not question.is_of_one_list(was.question):
        return None
    return Counter(row.task.queue for row in was.rows)


def _hunt(question: TaskListQuestion, step: HuntStep, queues: Sequence[str]) -> Flow[TaskList]:
    """Reads on in a search, and the rows of it that are on screen again."""
    from tq_core.query.query import parse_query

    query = parse_query(question.words) if question.words else None
    judge = (yield from search.judge_of(query)) if query else (lambda _task: True)
    at, found = step.search, None
    if step.look_max:
        at = at or (yield from search.begin(queues, step.states, query))
        found = yield from search.go_on(
            at, judge, look_max=step.look_max, find_max=step.look_max, payload_max=_HUNT_BYTES
        )
    again = yield from _again(step, judge)
    came = HuntAnswer(found.search if found else at, found.unread if found else 0, again)
    return TaskList(question, 0, 0, found.rows if found else (), came)


def _again(step: HuntStep, judge: Callable[[TaskView], bool | None]) -> Flow[dict[str, TaskView | None]]:
    by_queue: dict[str, list[str]] = {}
    for task_id, queue in step.again:
        by_queue.setdefault(queue, []).append(task_id)
    flows = [inspector.show(some, payload_max=_HUNT_BYTES, queue=queue) for queue, some in by_queue.items()]
    again: dict[str, TaskView | None] = {}
    for some, views in zip(by_queue.values(), (yield from together(flows)) if flows else (), strict=True):
        for task_id, task in zip(some, views, strict=True):
            again[task_id] = task if task is not None and task.state in step.states and judge(task) else None
    return again


def server_facts() -> Flow[ServerFacts]:
    """What the server says of itself; nothing where it does not tell."""
    try:
        info = yield Command(("INFO",))
    except BrokerError:
        return ServerFacts()
    if not isinstance(info, dict):
        return ServerFacts()
    ready = readiness.judge(info)
    problems = list(ready.problems)
    if ready.used_bytes and ready.max_bytes and ready.used_bytes > readiness.FULL_SHARE * ready.max_bytes:
        share = ready.used_bytes / ready.max_bytes
        problems.append("memory full: takes no new tasks" if share >= 1 else f"memory {share:.0%} full")
    return ServerFacts(
        version=ready.version,
        is_replica=str(info.get("role", "master")) in ("slave", "replica"),
        problem=problems[0] if problems else "",
        used_bytes=ready.used_bytes,
    )
