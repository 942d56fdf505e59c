"""What a screen needs, as one flow: everything it shows comes in one round trip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tq_console.tui.watch.jump import place_near
from tq_console.tui.watch.snapshot import Detail, Question, ServerFacts, TaskList, TaskListQuestion
from tq_core.errors import BrokerError, InvalidInputError
from tq_core.model import TaskState, TaskView
from tq_core.roles import browser, inspector, operator, readiness, registry
from tq_core.roles.inspector import QueueStats
from tq_core.roles.operator import Audited
from tq_core.roles.registry import Fleet
from tq_core.roles.task_filter import parse_filter
from tq_core.transport.steps import Command, Flow
from tq_core.transport.together import together

ALL_RUNNING_MAX = 500
"""Up to so many running tasks are read whole, to be put in the order of their start."""
SEARCH_MAX = 2_000
"""Tasks that a filter looks at for each refresh."""
_DETAIL_BYTES = 1_048_576
_PREVIEW_BYTES = 65_536
"""A preview is asked for again and again, and shows few lines."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked for, of one instant."""

    names: tuple[str, ...]
    queues: tuple[QueueStats, ...]
    fleet: Fleet
    tasks: TaskList | None
    detail: Detail | None
    failures: tuple[TaskView, ...]
    audited: tuple[Audited, ...]


def ask(question: Question, known: Sequence[QueueStats]) -> Flow[Answer]:
    """Everything that the question names, in one round trip while no queue is new.

    Args:
        known: The queues as they were last seen.
    """
    numbers = {q.queue: q for q in known}
    names = tuple(numbers)
    while True:
        answer = yield from _ask(question, names, numbers)
        if answer.names == names:
            return answer
        names = answer.names


def _ask(question: Question, names: tuple[str, ...], known: dict[str, QueueStats]) -> Flow[Answer]:
    flows: dict[str, Flow[Any]] = {
        "names": registry.queue_numbers(),
        "queues": inspector.stats(names, minutes=question.minutes),
        "fleet": registry.fleet(),
    }
    if question.tasks is not None:
        flows["tasks"] = _task_list(question.tasks, names, known)
    if question.detail_id is not None:
        whole = question.screen == "detail"
        flows["detail"] = _detail(question.detail_id, _DETAIL_BYTES if whole else _PREVIEW_BYTES)
    if question.failures:
        flows["failures"] = browser.window(names, TaskState.FAILED, from_there=question.failures)
    if question.audited:
        flows["audited"] = operator.audit_log(names, limit=question.audited)
    found = dict(zip(flows, (yield from together(list(flows.values()))), strict=True))
    queues: list[QueueStats] = found["queues"]
    task: TaskView | None = found.get("detail")
    return Answer(
        names=tuple(found["names"]),
        queues=tuple(queues),
        fleet=found["fleet"],
        tasks=found.get("tasks"),
        detail=_explained(question.detail_id, task, queues, found["fleet"]),
        failures=tuple(row.task for row in found["failures"].rows) if "failures" in found else (),
        audited=tuple(found.get("audited", ())),
    )


def _detail(task_id: str, payload_max: int) -> Flow[TaskView | None]:
    try:
        (task,) = yield from inspector.show([task_id], payload_max=payload_max)
    except InvalidInputError:
        return None
    return task


def _explained(task_id: str | None, task: TaskView | None, queues: Sequence[QueueStats], fleet: Fleet) -> Detail | None:
    if task_id is None:
        return None
    numbers = next((q for q in queues if task is not None and q.queue == task.queue), None)
    why = inspector.explain(task, numbers, fleet) if task is not None and numbers is not None else ""
    return Detail(task_id, task, why)


def _task_list(question: TaskListQuestion, names: Sequence[str], known: dict[str, QueueStats]) -> Flow[TaskList]:
    queues = [name for name in names if question.queue in (None, name)]
    if question.words:
        return (yield from _search(question, queues))
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
        queues, question.state, place=place, before=before, from_there=max(1, count - before)
    )
    return TaskList(question, found.total, found.offset, found.rows)


def _search(question: TaskListQuestion, queues: Sequence[str]) -> Flow[TaskList]:
    words = parse_filter(question.words)
    named = [q for q in queues if words.queue in (None, q)]
    found = yield from inspector.search(
        named,
        [question.state],
        words.matches,
        limit=SEARCH_MAX,
        search_max=SEARCH_MAX,
        payload_max=browser.PREVIEW_BYTES * 16,
    )
    rows = tuple(browser.Placed(task, 0.0) for task in found.tasks)
    return TaskList(question, len(rows), 0, rows, searched=found.searched, of=found.total)


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
