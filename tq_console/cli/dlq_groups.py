"""What `tq dlq` does with tasks that failed alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from tq_console.cli.acting import tell_bulk
from tq_console.cli.confirm import confirm
from tq_console.cli.progress import Progress
from tq_console.cli.task_reading import known_queues
from tq_console.cli.tasks import print_tasks
from tq_console.view.formats import age, count, plural
from tq_console.view.tables import Column
from tq_console.view.task_page import error_text
from tq_core.errors import NotFoundError
from tq_core.model import TaskState, TaskView
from tq_core.roles import failure_groups, inspector, registry

if TYPE_CHECKING:
    from tq_console.cli.exit_codes import ExitCode
    from tq_console.cli.invocation import Invocation
    from tq_core.keyspace.wire import Group
    from tq_core.query.query import TaskQuery

_COLUMNS = (
    Column("COUNT", is_right=True),
    Column("GROUP"),
    Column("TYPE", is_flexible=True),
    Column("QUEUE", is_flexible=True),
    Column("FIRST", is_right=True, is_optional=True),
    Column("LAST", is_right=True),
    Column("EXAMPLE", is_optional=True),
    Column("ERROR", is_flexible=True, readable=40),
)


def print_groups(invocation: Invocation, queues: Sequence[str], words: TaskQuery | None) -> None:
    """Prints the groups of queues, all when none is named."""
    found = invocation.run(inspector.groups(known_queues(invocation, queues)))
    fits = _of_groups(words) if words else None
    shown = [g for g in found.groups if fits is None or fits(_as_task(g))]
    out, masker = invocation.out, invocation.masker
    if out.is_json:
        for g in shown:
            out.record(
                {
                    "group": g.group,
                    "count": g.count,
                    "type": g.type,
                    "queue": g.queue,
                    "error": masker.masked({"reason": g.reason, **g.error}),
                    "code_versions": list(g.versions),
                    "first_at_ms": g.first_at_ms,
                    "last_at_ms": g.last_at_ms,
                    "example_id": g.example_id,
                }
            )
    else:
        now_ms = invocation.run(registry.server_time_ms()) if shown else 0
        rows = [
            (
                *(count(g.count), g.group, g.type, g.queue),
                *(age(now_ms - at_ms) if at_ms else "-" for at_ms in (g.first_at_ms, g.last_at_ms)),
                g.example_id,
                error_text({"reason": g.reason, **g.error}, masker),
            )
            for g in shown
        ]
        out.table(_COLUMNS, rows, empty="nothing failed")
    if len(found.groups) < found.total:
        out.talk(f"tq: these are {len(found.groups):,} of {found.total:,} groups")


def _of_groups(words: TaskQuery) -> Callable[[TaskView], bool]:
    """The query as a function of a group.

    Raises:
        UsageError: it asks for what only single tasks have.
    """
    if other := sorted(words.keys - {"", "state", "type", "queue", "error", "reason"}):
        text = f"groups have type, queue, error and reason, and no {', '.join(other)}: see `tq dlq list --filter`"
        raise click.UsageError(text, click.get_current_context())
    return words.matcher(0)


def _as_task(group: Group) -> TaskView:
    """The group as a task that failed like all of it, for a filter."""
    return TaskView(
        id=group.example_id,
        type=group.type,
        queue=group.queue,
        state=TaskState.FAILED,
        priority=0,
        attempt=0,
        max_attempts=0,
        error={"reason": group.reason, **group.error},
    )


def list_group(invocation: Invocation, group: str, queues: Sequence[str], limit: int) -> None:
    """Prints tasks of a group.

    Raises:
        NotFoundError: it has none.
    """
    counts = _counts(invocation, group, queues)
    tasks: list[TaskView] = []
    total = sum(counts.values())
    while len(tasks) < min(limit, total):
        step = min(inspector.PAGE_MAX, limit - len(tasks))
        found = invocation.run(
            failure_groups.members(list(counts), group, offset=len(tasks), limit=step, counts=counts)
        )
        if not found.tasks:
            break
        tasks += found.tasks
    print_tasks(invocation, tasks)
    if len(tasks) < total:
        invocation.out.talk(f"tq: these are {len(tasks):,} of {plural(total, 'task')}; see --limit")


def retry_group(invocation: Invocation, group: str, queues: Sequence[str], why: str) -> ExitCode:
    """Runs a group again.

    Raises:
        NotFoundError: it has no task.
    """
    counts = _counts(invocation, group, queues)
    with Progress("requeued", total=sum(counts.values())) as progress:
        bulk = invocation.change(
            failure_groups.requeue(list(counts), group, actor=invocation.actor, why=why, on_progress=progress.reach)
        )
    return tell_bulk(invocation, bulk, participle="requeued")


def discard_group(invocation: Invocation, group: str, queues: Sequence[str], why: str, *, is_sure: bool) -> ExitCode:
    """Deletes a group.

    Raises:
        NotFoundError: it has no task.
    """
    counts = _counts(invocation, group, queues)
    total = sum(counts.values())
    what = f"delete {plural(total, 'failed task')} of {', '.join(counts)} that failed alike"
    confirm(invocation, what=what, is_sure=is_sure, can_undo=True)
    with Progress("deleted", total=total) as progress:
        bulk = invocation.change(
            failure_groups.discard(list(counts), group, actor=invocation.actor, why=why, on_progress=progress.reach)
        )
    return tell_bulk(invocation, bulk, participle="deleted")


def _counts(invocation: Invocation, group: str, queues: Sequence[str]) -> dict[str, int]:
    """How many tasks of a group each queue has, of those that have some."""
    named = known_queues(invocation, queues)
    if named is None:
        named = list(invocation.run(registry.queue_numbers()))
    found = invocation.run(failure_groups.members(named, group, limit=0)).counts if named else {}
    counts = {queue: number for queue, number in found.items() if number}
    if not counts:
        raise NotFoundError(f"no failed task is in the group {group!r}: see `tq dlq groups`")
    return counts
