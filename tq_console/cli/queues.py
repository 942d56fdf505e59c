"""`tq queues`: how full they are, and what stops or limits them."""

from __future__ import annotations

from typing import Any

import click

from tq_console.cli.acting import WHY, tell_bulk
from tq_console.cli.commands import Group
from tq_console.cli.confirm import YES, confirm
from tq_console.cli.exit_codes import ExitCode
from tq_console.cli.invocation import Invocation
from tq_console.cli.progress import Progress
from tq_console.cli.values import COUNT_OR_NONE, DURATION_OR_NONE
from tq_console.view.formats import duration, plural

PURGEABLE = ("blocked", "scheduled", "pending", "retrying", "completed", "failed", "cancelled")
WINDOW_MINUTES = 5


@click.group(
    cls=Group,
    examples="""
        tq queues list
        tq queues pause mail --why 'the mail server is down'
        tq queues limit mail --max-size 10000
    """,
)
def queues() -> None:
    """List, pause, resume, purge, limit queues."""


@queues.command(
    "list",
    examples="""
        tq queues list
        tq queues list --json | jq -r 'select(.is_paused) | .queue'
    """,
)
@click.pass_obj
def list_queues(invocation: Invocation) -> None:
    """List queues with their depths and rates."""
    from tq_console.view.dashboard import QUEUE_COLUMNS, queue_row
    from tq_console.view.records import queue_record
    from tq_core.roles import inspector

    out = invocation.out
    found = invocation.run(inspector.stats(minutes=WINDOW_MINUTES))
    if out.is_json:
        out.records(map(queue_record, found))
    else:
        out.table(QUEUE_COLUMNS, map(queue_row, found), empty="no queue yet")


_NAMES = click.argument("names", metavar="QUEUE...", nargs=-1, required=True)


@queues.command(
    examples="""
        tq queues pause mail --why 'the mail server is down'
    """
)
@_NAMES
@WHY
@click.pass_obj
def pause(invocation: Invocation, names: tuple[str, ...], why: str) -> None:
    """Stop the tasks of queues from being claimed; running ones go on."""
    from tq_core.roles import operator

    _switch(invocation, names, lambda queue: operator.pause_queue(queue, actor=invocation.actor, why=why), "paused")


@queues.command(
    examples="""
        tq queues resume mail
    """
)
@_NAMES
@WHY
@click.pass_obj
def resume(invocation: Invocation, names: tuple[str, ...], why: str) -> None:
    """Let the tasks of paused queues be claimed again."""
    from tq_core.roles import operator

    _switch(invocation, names, lambda queue: operator.resume_queue(queue, actor=invocation.actor, why=why), "resumed")


def _switch(invocation: Invocation, names: tuple[str, ...], flow: Any, word: str) -> None:
    from tq_console.cli.task_reading import known_queues

    out = invocation.out
    for queue in known_queues(invocation, names) or ():
        is_changed = invocation.change(flow(queue))
        if out.is_json:
            out.record({"queue": queue, "word": word, "is_changed": is_changed})
        else:
            already = {"paused": "was paused already", "resumed": "was not paused"}[word]
            out.line(f"{queue}  {word if is_changed else already}")


@queues.command(
    examples="""
        tq queues purge mail                             # what is pending
        tq queues purge mail --state failed --yes
        tq queues purge mail --no-undo                   # frees memory at once
    """
)
@click.argument("name", metavar="QUEUE")
@click.option(
    "--state", "-s", type=click.Choice(PURGEABLE), default="pending", show_default=True, help="Which tasks to delete."
)
@click.option("--no-undo", "is_for_good", is_flag=True, help="Keep nothing for `tq undo`: frees memory at once.")
@WHY
@YES
@click.pass_obj
def purge(invocation: Invocation, /, *, name: str, state: str, is_for_good: bool, why: str, is_sure: bool) -> int:
    """Delete all tasks of one state of a queue; never running ones."""
    from tq_console.cli.task_reading import known_queues
    from tq_core.model import TaskState
    from tq_core.roles import inspector, operator

    known_queues(invocation, (name,))
    (found,) = invocation.run(inspector.stats([name], minutes=1))
    depth = found.depths[TaskState(state)]
    if depth:
        can_undo = not is_for_good and found.limits.get("keep_trash_ms") != 0
        what = f"delete {plural(depth, f'{state} task')} of {name}{'' if can_undo else ' for good'}"
        confirm(invocation, what=what, is_sure=is_sure, can_undo=can_undo)
    with Progress("deleted", total=depth) as progress:
        bulk = invocation.change(
            operator.purge(
                name,
                actor=invocation.actor,
                why=why,
                state=TaskState(state),
                can_undo=not is_for_good,
                on_progress=progress.reach,
            )
        )
    return tell_bulk(invocation, bulk, participle="deleted")


@queues.command(
    examples="""
        tq queues limit mail                             # what is set
        tq queues limit mail --max-size 10000 --keep 7d
        tq queues limit mail --max-size none
    """
)
@click.argument("name", metavar="QUEUE")
@click.option("--max-size", type=COUNT_OR_NONE, help="Most tasks that may wait; more are refused. none = no limit.")
@click.option("--keep", "keep_ms", type=DURATION_OR_NONE, help="How long completed and cancelled tasks are kept.")
@click.option("--keep-completed", type=COUNT_OR_NONE, help="Most completed tasks that are kept.")
@click.option("--keep-cancelled", type=COUNT_OR_NONE, help="Most cancelled tasks that are kept.")
@click.option("--keep-failed", type=COUNT_OR_NONE, help="Most failed tasks that are kept.")
@click.option(
    "--keep-trash",
    "keep_trash_ms",
    type=DURATION_OR_NONE,
    help="How long `tq undo` can put tasks back; 0 = never.",
)
@WHY
@click.pass_obj
def limit(invocation: Invocation, /, *, name: str, why: str, **options: Any) -> int:
    """Set or show the limits of a queue; `none` puts one back to its default."""
    from tq_core.names import check_queue
    from tq_core.roles import inspector, operator

    settings = {field: None if value == "none" else value for field, value in options.items() if value is not None}
    if settings:
        invocation.change(operator.configure_queue(check_queue(name), settings, actor=invocation.actor, why=why))
    else:
        from tq_console.cli.task_reading import known_queues

        known_queues(invocation, (name,))
    (found,) = invocation.run(inspector.stats([name], minutes=1))
    out = invocation.out
    if out.is_json:
        out.record({"queue": name, **{field: found.limits.get(field) for field in operator.SETTINGS}})
    else:
        for field in operator.SETTINGS:
            value = found.limits.get(field)
            text = "default" if value is None else duration(value) if field.endswith("_ms") else f"{value:,}"
            out.line(f"{field.removesuffix('_ms').replace('_', '-'):15} {text}")
    return ExitCode.OK
