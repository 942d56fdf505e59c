"""`tq dlq`: the dead letter queue, where tasks wait that failed for good."""

from __future__ import annotations

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
from tq_console.view.formats import plural

if TYPE_CHECKING:
    from tq_console.view.export import Form
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

GROUP = click.option("--group", "-g", metavar="GROUP", help="The tasks that failed alike: a group of `tq dlq groups`.")


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
        tq dlq list --group 3f9c0a1b7d22                 # see tq dlq groups
    """,
)
@QUEUES
@WORDS
@GROUP
@click.option("--limit", "-n", default=50, show_default=True, type=click.IntRange(1), help="How many at most.")
@click.pass_obj
def list_failed(
    invocation: Invocation, /, *, queues: tuple[str, ...], words: TaskQuery | None, group: str | None, limit: int
) -> None:
    """List failed tasks, the newest failure first; of a group those first that were enqueued last."""
    if group is not None:
        from tq_console.cli.dlq_groups import list_group

        if words is not None:
            raise click.UsageError("give --filter or --group, not both", click.get_current_context())
        list_group(invocation, group, queues, limit)
        return
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
    from tq_console.cli.dlq_groups import print_groups

    print_groups(invocation, queues, words)


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
@GROUP
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
        from tq_console.cli.dlq_groups import retry_group

        return retry_group(invocation, group, queues, why)
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


@dlq.command(
    examples="""
        tq dlq discard 01jd7q0v3k0a19c8x7v6b5n4m2
        tq dlq discard --filter 'type:old_import' --yes
        tq dlq discard --all --queue mail
        tq dlq discard --group 3f9c0a1b7d22 --yes        # see tq dlq groups
    """
)
@click.argument("task_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All failed tasks, of all queues or of those named.")
@GROUP
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
    group: str | None,
    words: TaskQuery | None,
    queues: tuple[str, ...],
    why: str,
    is_sure: bool,
) -> int:
    """Delete failed tasks: those named, those that failed alike or that a filter fits, or all."""
    from tq_core.roles import operator

    _check_choice(task_ids, is_all=is_all, words=words, queues=queues, group=group)
    if group is not None:
        from tq_console.cli.dlq_groups import discard_group

        return discard_group(invocation, group, queues, why, is_sure=is_sure)
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
    from tq_core.roles import inspector, search

    if words:
        named = known_queues(invocation, queues or ((words.queue,) if words.queue else ()))
        found = invocation.run(search.find(named, [TaskState.FAILED], words, limit=SEARCH_MAX, look_max=SEARCH_MAX))
        if not found.search.is_done:
            looked, total = found.search.looked, found.search.total
            invocation.out.talk(f"tq: {looked:,} of {total:,} failed tasks were looked at: for the rest say it again")
        if found.unread:
            invocation.out.talk(f"tq: whether {plural(found.unread, 'more task')} fit is not known: left alone")
        return [task.id for task in found.tasks]
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
