"""`tq dlq`: the dead letter queue, where tasks wait that failed for good."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tq_console.cli.acting import WHY, act, read_ids, tell_bulk
from tq_console.cli.bulk import BACKGROUND, run_job
from tq_console.cli.commands import Group
from tq_console.cli.confirm import YES, confirm
from tq_console.cli.exit_codes import ExitCode
from tq_console.cli.exporting import into_a_file
from tq_console.cli.filters import FILTER, HELP
from tq_console.cli.invocation import Invocation
from tq_console.cli.progress import Progress
from tq_console.cli.tasks import print_tasks, show_task
from tq_console.view.formats import age, count, plural
from tq_console.view.tables import Column

if TYPE_CHECKING:
    from tq_console.view.export import Form
    from tq_core.keyspace.wire import Group as FailedAlike
    from tq_core.model import TaskView
    from tq_core.query.query import TaskQuery
    from tq_core.roles.operator import Bulk, Done

QUEUES = click.option("--queue", "-q", "queues", multiple=True, help="Only this queue; may be given again.")
WORDS = click.option(
    "--filter",
    "-f",
    "words",
    type=FILTER,
    help=HELP,
)


@click.group(
    cls=Group,
    examples="""
        tq dlq groups                                    # what fails alike
        tq dlq retry --filter 'type:send_mail error:timeout'
        tq dlq export > failed.ndjson && tq dlq discard --all
    """,
)
def dlq() -> None:
    """See, retry, discard, export what failed for good."""


@dlq.command(
    "list",
    has_reveal=True,
    examples="""
        tq dlq list
        tq dlq list --filter 'type:send_* error:refused' --limit 200
    """,
)
@QUEUES
@WORDS
@click.option("--limit", "-n", default=50, show_default=True, type=click.IntRange(1), help="How many at most.")
@click.pass_obj
def list_failed(invocation: Invocation, /, *, queues: tuple[str, ...], words: TaskQuery | None, limit: int) -> None:
    """List failed tasks, the newest failure first."""
    from tq_console.cli.task_reading import find_tasks

    found, talk = find_tasks(invocation, queues=queues, states=("failed",), words=words, limit=limit)
    print_tasks(invocation, found)
    if talk:
        invocation.out.talk(talk)


@dlq.command(
    examples="""
        tq dlq groups --queue mail
    """
)
@QUEUES
@WORDS
@click.pass_obj
def groups(invocation: Invocation, /, *, queues: tuple[str, ...], words: TaskQuery | None) -> None:
    """Count the failed tasks that failed alike, the most frequent first.

    Alike: the same exception from the same function, with the same message but for numbers, ids and quoted values. The
    counts are kept as tasks fail, so this reads groups, never tasks.
    """
    from tq_console.cli.task_reading import known_queues
    from tq_console.view.task_page import error_text
    from tq_core.roles import inspector, registry

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
        columns = [
            Column("COUNT", is_right=True),
            Column("GROUP"),
            Column("TYPE", is_flexible=True),
            Column("QUEUE", is_flexible=True),
            Column("FIRST", is_right=True, is_optional=True),
            Column("LAST", is_right=True),
            Column("EXAMPLE", is_optional=True),
            Column("ERROR", is_flexible=True, readable=40),
        ]
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
        out.table(columns, rows, empty="nothing failed")
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


def _as_task(group: FailedAlike) -> TaskView:
    """The group as a task that failed like all of it, for a filter."""
    from tq_core.model import TaskState, TaskView

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


@dlq.command(
    has_reveal=True,
    examples="""
        tq dlq show 01jd7q0v3k0a19c8x7v6b5n4m2
    """,
)
@click.argument("task_id", metavar="ID")
@click.pass_obj
def show(invocation: Invocation, task_id: str) -> None:
    """Show all that is known of a failed task: arguments, history, traceback."""
    show_task(invocation, task_id)


@dlq.command(
    examples="""
        tq dlq retry 01jd7q0v3k0a19c8x7v6b5n4m2
        tq dlq retry --all --queue mail --why 'the mail server is back'
        tq dlq retry --filter 'type:send_* error:timeout'
        tq dlq retry --group 3f9c0a1b7d22                # see tq dlq groups
        tq dlq retry --all --background                  # workers do it; see tq jobs
    """
)
@click.argument("task_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All failed tasks, of all queues or of those named.")
@click.option("--group", "-g", metavar="GROUP", help="The tasks that failed alike: a group of `tq dlq groups`.")
@WORDS
@QUEUES
@BACKGROUND
@WHY
@click.pass_obj
def retry(
    invocation: Invocation,
    /,
    *,
    task_ids: tuple[str, ...],
    is_all: bool,
    group: str | None,
    words: TaskQuery | None,
    queues: tuple[str, ...],
    is_background: bool,
    why: str,
) -> int:
    """Run failed tasks again from the start: those named, those that failed alike or that a filter fits, or all."""
    from tq_core.roles import operator

    _check_choice(task_ids, is_all=is_all, words=words, queues=queues, group=group)
    if is_background:
        if not (is_all or words):
            raise click.UsageError("--background goes with --all or --filter", click.get_current_context())
        return run_job(
            invocation, action="retry", states=("failed",), words=words, queues=queues, why=why, is_background=True
        )
    if is_all:
        return _retry_all(invocation, queues, why)
    if group is not None:
        return _retry_group(invocation, group, queues, why)
    ids = _chosen(invocation, task_ids, words, queues)
    return act(
        invocation,
        ids,
        lambda told: operator.requeue(ids, actor=invocation.actor, why=why, on_progress=told),
        participle="requeued",
    )


def _retry_all(invocation: Invocation, queues: tuple[str, ...], why: str) -> ExitCode:
    from tq_core.roles import operator

    depths = _failed_depths(invocation, queues)
    done = 0
    skipped: list[Done] = []
    with Progress("requeued", total=sum(depths.values())) as progress:
        for queue in depths:
            before = done
            bulk = invocation.change(
                operator.requeue_all(
                    queue,
                    actor=invocation.actor,
                    why=why,
                    on_progress=lambda moved, before=before: progress.reach(before + moved),  # type: ignore[misc]
                )
            )
            done += bulk.done
            skipped += bulk.skipped
    return tell_bulk(invocation, _bulk(done, skipped), participle="requeued")


def _retry_group(invocation: Invocation, group: str, queues: tuple[str, ...], why: str) -> ExitCode:
    from tq_console.cli.task_reading import known_queues
    from tq_core.errors import NotFoundError
    from tq_core.roles import inspector, operator

    found = invocation.run(inspector.groups(known_queues(invocation, queues))).groups
    chosen = [g for g in found if g.group == group]
    if not chosen:
        raise NotFoundError(f"no failed task is in the group {group!r}: see `tq dlq groups`")
    done = 0
    skipped: list[Done] = []
    with Progress("requeued", total=sum(g.count for g in chosen)) as progress:
        for each in chosen:
            before = done
            bulk = invocation.change(
                operator.requeue_group(
                    each.queue,
                    group,
                    actor=invocation.actor,
                    why=why,
                    on_progress=lambda moved, before=before: progress.reach(before + moved),  # type: ignore[misc]
                )
            )
            done += bulk.done
            skipped += bulk.skipped
    return tell_bulk(invocation, _bulk(done, skipped), participle="requeued")


@dlq.command(
    examples="""
        tq dlq discard 01jd7q0v3k0a19c8x7v6b5n4m2
        tq dlq discard --filter 'type:old_import' --yes
        tq dlq discard --all --queue mail
    """
)
@click.argument("task_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All failed tasks, of all queues or of those named.")
@WORDS
@QUEUES
@WHY
@YES
@click.pass_obj
def discard(
    invocation: Invocation,
    /,
    *,
    task_ids: tuple[str, ...],
    is_all: bool,
    words: TaskQuery | None,
    queues: tuple[str, ...],
    why: str,
    is_sure: bool,
) -> int:
    """Delete failed tasks: those named, those that a filter fits, or all."""
    from tq_core.roles import operator

    _check_choice(task_ids, is_all=is_all, words=words, queues=queues)
    if is_all:
        return _discard_all(invocation, queues, why, is_sure=is_sure)
    ids = _chosen(invocation, task_ids, words, queues)
    if words and ids:
        confirm(invocation, what=f"delete {plural(len(ids), 'failed task')}", is_sure=is_sure, can_undo=True)
    return act(
        invocation,
        ids,
        lambda told: operator.discard(ids, actor=invocation.actor, why=why, on_progress=told),
        participle="deleted",
    )


def _discard_all(invocation: Invocation, queues: tuple[str, ...], why: str, *, is_sure: bool) -> ExitCode:
    from tq_core.model import TaskState
    from tq_core.roles import operator

    depths = {queue: depth for queue, depth in _failed_depths(invocation, queues).items() if depth}
    total, done = sum(depths.values()), 0
    op, undo_op = operator.new_op(), ""
    if total:
        what = f"delete {plural(total, 'failed task')} of {', '.join(depths)}"
        confirm(invocation, what=what, is_sure=is_sure, can_undo=True)
    with Progress("deleted", total=total) as progress:
        for queue in depths:
            before = done
            bulk = invocation.change(
                operator.purge(
                    queue,
                    actor=invocation.actor,
                    why=why,
                    state=TaskState.FAILED,
                    op=op,
                    on_progress=lambda gone, before=before: progress.reach(before + gone),  # type: ignore[misc]
                )
            )
            done += bulk.done
            undo_op = bulk.undo_op or undo_op
    return tell_bulk(invocation, _bulk(done, [], undo_op), participle="deleted")


@dlq.command(
    has_json=False,
    has_reveal=True,
    examples="""
        tq dlq export > failed.ndjson
        tq dlq export --filter 'type:send_mail ended:<1d' --output mail.csv --reveal
    """,
)
@QUEUES
@WORDS
@into_a_file
@click.pass_obj
def export(
    invocation: Invocation,
    /,
    *,
    queues: tuple[str, ...],
    words: TaskQuery | None,
    output: Path | None,
    form: Form | None,
) -> None:
    """Print every failed task whole, as JSON lines or CSV, the newest failure first."""
    from tq_console.cli.exporting import export_tasks
    from tq_core.model import TaskState

    export_tasks(invocation, queues=queues, states=[TaskState.FAILED], words=words, output=output, form=form)


def _check_choice(
    task_ids: tuple[str, ...],
    *,
    is_all: bool,
    words: TaskQuery | None,
    queues: tuple[str, ...],
    group: str | None = None,
) -> None:
    context = click.get_current_context()
    options = [o.opts[0] for o in context.command.params if o.name in ("is_all", "words", "group")]
    if sum((bool(task_ids), is_all, words is not None, group is not None)) != 1:
        raise click.UsageError(f"name tasks by their ids, or give one of {', '.join(options)}", context)
    if task_ids and queues:
        raise click.UsageError(f"--queue goes with {', '.join(options)}; an id alone says its queue", context)


def _chosen(
    invocation: Invocation, task_ids: tuple[str, ...], words: TaskQuery | None, queues: tuple[str, ...]
) -> list[str]:
    """The ids that were named, each known to be in the DLQ, or those that the filter fits.

    Raises:
        RefusedError: a named task has another state.
    """
    from tq_console.cli.task_reading import SEARCH_MAX, known_queues
    from tq_core.errors import RefusedError
    from tq_core.model import TaskState
    from tq_core.roles import inspector, operator

    if words:
        named = known_queues(invocation, queues or ((words.queue,) if words.queue else ()))
        ids = invocation.run(operator.matching(named, TaskState.FAILED, words, limit=SEARCH_MAX))
        if len(ids) >= SEARCH_MAX:
            invocation.out.talk(f"tq: more than {SEARCH_MAX:,} tasks fit; these are the first")
        return ids
    ids = read_ids(task_ids)
    for task in invocation.run(inspector.show(ids, payload_max=0)):
        if task is not None and task.state is not TaskState.FAILED:
            raise RefusedError(f"{task.id} is {task.state}, not in the DLQ: nothing was done; see `tq tasks --help`")
    return ids


def _failed_depths(invocation: Invocation, queues: tuple[str, ...]) -> dict[str, int]:
    from tq_console.cli.task_reading import known_queues
    from tq_core.model import TaskState
    from tq_core.roles import inspector

    found = invocation.run(inspector.stats(known_queues(invocation, queues), minutes=1))
    return {queue.queue: queue.depths[TaskState.FAILED] for queue in found}


def _bulk(done: int, skipped: list[Done], undo_op: str = "") -> Bulk:
    from tq_core.roles.operator import Bulk

    return Bulk(done, tuple(skipped), undo_op)
