"""Reading tasks for a command: bounded, whole payloads only where they are wanted, revealing only on the record."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tq_console.view.formats import plural
from tq_core.errors import NotFoundError
from tq_core.model import TaskState, TaskView
from tq_core.names import nearest
from tq_core.roles import inspector, operator, search
from tq_core.roles.registry import queue_numbers

if TYPE_CHECKING:
    from tq_console.cli.invocation import Invocation
    from tq_core.query.query import TaskQuery

WHOLE_PAYLOAD_BYTES = 4 * 1024 * 1024
SEARCH_MAX = 100_000


def known_queues(invocation: Invocation, queues: Sequence[str]) -> list[str] | None:
    """The queues that were named, each known to exist; None when none was named: all.

    Raises:
        NotFoundError: there is no such queue.
    """
    if not queues:
        return None
    known = invocation.run(queue_numbers())
    for queue in queues:
        if queue not in known:
            near = nearest(queue, known)
            hint = f": did you mean {' or '.join(near)}?" if near else ": see `tq queues list`"
            raise NotFoundError(f"there is no queue {queue!r}{hint}")
    return list(dict.fromkeys(queues))


def find_tasks(
    invocation: Invocation,
    *,
    queues: Sequence[str],
    states: Sequence[str],
    words: TaskQuery | None,
    limit: int,
) -> tuple[list[TaskView], str]:
    """Tasks to list, and what is to be said about those that are not listed."""
    named = known_queues(invocation, [*queues, *([words.queue] if words and words.queue and not queues else [])])
    wanted = [TaskState(state) for state in states] or list(words.states if words else TaskState)
    if words is None and limit <= inspector.PAGE_MAX:
        page = invocation.run(inspector.list_tasks(named, wanted, limit=limit, payload_max=inspector.SHOW_BYTES))
        found, total = list(page.tasks), page.total
        unread = 0
        looked = total
    else:
        look_max = SEARCH_MAX if words else limit
        result = invocation.run(search.find(named, wanted, words, limit=limit, look_max=look_max))
        found, total, unread = sorted(result.tasks, key=inspector.list_place), result.search.total, result.unread
        looked = result.search.looked
        if words and result.search.is_done:
            total = len(found)
    talk = ""
    if total > len(found):
        shown = f"{len(found):,} of {total:,} tasks" if words is None else f"the first {len(found):,} that fit"
        talk = f"tq: {shown} shown; --limit shows more"
        if words is not None and len(found) < limit:
            talk = f"tq: {len(found):,} fit among the {looked:,} tasks that were read, of {total:,}"
    if unread:
        hint = f"of {plural(unread, 'task')} it is not known whether they fit: too long to be read here, or sealed"
        talk = f"{talk}\ntq: {hint}" if talk else f"tq: {hint}"
    if invocation.is_json:
        found = whole(invocation, found)
    return found, talk


def whole(invocation: Invocation, found: list[TaskView]) -> list[TaskView]:
    """The tasks with their whole arguments: those that were cut are read again, one by one."""
    out = []
    for task in found:
        if task.args is None and task.payload_bytes > inspector.SHOW_BYTES:
            (again,) = invocation.run(inspector.show([task.id], payload_max=WHOLE_PAYLOAD_BYTES))
            out.append(again or task)
        else:
            out.append(task)
    return out


def reveal(invocation: Invocation, shown: Sequence[TaskView]) -> None:
    """Writes down whose secrets are shown, where that was asked for, before they are."""
    if not invocation.is_revealed:
        return
    by_queue = itertools.groupby(sorted(shown, key=lambda task: task.queue), key=lambda task: task.queue)
    for queue, some in by_queue:
        ids = [task.id for task in some]
        detail = {"tasks": len(ids), "ids": ids[:20]}
        invocation.run(operator.note(queue, actor=invocation.actor, action="reveal", detail=detail))


def reveal_all(invocation: Invocation, depths: Mapping[str, int]) -> None:
    """Writes down that the secrets of so many tasks of each queue may be shown, where that was asked for."""
    if invocation.is_revealed:
        for queue, depth in depths.items():
            invocation.run(operator.note(queue, actor=invocation.actor, action="reveal", detail={"tasks": depth}))


def print_records(invocation: Invocation, task_ids: Sequence[str]) -> None:
    """Prints tasks as JSON, one on each line; those that are gone already are left out."""
    from tq_console.view.records import task_record

    found = [task for task in invocation.run(inspector.show(task_ids, payload_max=WHOLE_PAYLOAD_BYTES)) if task]
    reveal(invocation, found)
    masker = invocation.masker
    invocation.out.records(task_record(task, masker) for task in found)
