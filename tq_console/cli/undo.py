"""`tq undo`: puts back what was deleted or cancelled."""

from __future__ import annotations

import click

from tq_console.cli.acting import WHY, tell_bulk
from tq_console.cli.commands import command
from tq_console.cli.exit_codes import ExitCode
from tq_console.cli.invocation import Invocation
from tq_console.cli.progress import Progress
from tq_console.view.formats import age, clock, count, plural
from tq_console.view.tables import Column
from tq_console.view.text import json_line


@command(
    examples="""
        tq undo                                          # the last thing that you deleted or cancelled
        tq undo --list                                   # what can be undone, by whom, and for how long
        tq undo 3f9c0a1b7d22
    """
)
@click.argument("op", metavar="[OP]", required=False)
@click.option("--list", "is_list", is_flag=True, help="Show what can be undone instead, the latest first.")
@click.option("--queue", "-q", "queues", multiple=True, help="Only what was done to this queue; may be given again.")
@click.option("--by", metavar="WHO", help="The last thing that this one did, or anybody for *; you by default.")
@WHY
@click.pass_obj
def undo(
    invocation: Invocation, /, *, op: str | None, is_list: bool, queues: tuple[str, ...], by: str | None, why: str
) -> int:
    """Put back what was deleted, purged or cancelled: states, turns and history as they were.

    Tasks that went on meanwhile stay as they are, and are named. An undo cannot itself be undone.
    """
    from tq_console.cli.task_reading import known_queues
    from tq_core.roles import undo as role

    if op and (is_list or by):
        raise click.UsageError("an operation alone says what is undone", click.get_current_context())
    named = known_queues(invocation, queues)
    if is_list:
        return _list(invocation, named, "" if by == "*" else by or "")
    if op is None:
        last = invocation.run(role.last_undoable(named, by="" if by == "*" else by or invocation.actor))
        op = last.op
        what = f"{last.action} of {plural(last.count, 'task')} by {last.by} at {clock(last.at_ms)}"
        invocation.out.talk(f"tq: {op}: {what}")
    with Progress("restored") as progress:
        bulk = invocation.change(role.undo(op, named, actor=invocation.actor, why=why, on_progress=progress.reach))
    return tell_bulk(invocation, bulk, participle="restored")


def _list(invocation: Invocation, queues: list[str] | None, by: str) -> ExitCode:
    from tq_core.roles import registry
    from tq_core.roles import undo as role

    found = invocation.run(role.undoable(queues, by=by))
    out, masker = invocation.out, invocation.masker
    if out.is_json:
        for each in found:
            out.record(
                {
                    "op": each.op,
                    "at_ms": each.at_ms,
                    "action": each.action,
                    "by": each.by,
                    "tasks": each.tasks,
                    "detail": masker.masked(each.detail),
                    "until_ms": each.until_ms,
                }
            )
        return ExitCode.OK
    now_ms = invocation.run(registry.server_time_ms()) if found else 0
    columns = [
        Column("OP"),
        Column("WHEN"),
        Column("WHO", is_flexible=True),
        Column("DID"),
        Column("TO", is_flexible=True),
        Column("TASKS", is_right=True),
        Column("FOR", is_right=True),
        Column("MORE", is_flexible=True),
    ]
    rows = []
    for each in found:
        more = {key: value for key, value in masker.masked(each.detail).items() if key != "by"}
        rows.append(
            (
                *(each.op, clock(each.at_ms), each.by, each.action, ", ".join(each.tasks), count(each.count)),
                *(age(each.until_ms - now_ms), json_line(more) if more else ""),
            )
        )
    out.table(columns, rows, empty="there is nothing that can be undone")
    return ExitCode.OK
