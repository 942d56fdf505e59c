"""`tq audit`: whether the keyspace is consistent, and who changed what."""

from __future__ import annotations

import click

from tq_console.cli.commands import command
from tq_console.cli.exit_codes import ExitCode
from tq_console.cli.invocation import Invocation
from tq_console.view.formats import clock, count, plural
from tq_console.view.tables import Column
from tq_console.view.text import json_line


@command(
    examples="""
        tq audit                                         # exit code 1 when something disagrees
        tq audit mail
        tq audit --log -n 200                            # who did what
    """
)
@click.argument("queues", metavar="[QUEUE]...", nargs=-1)
@click.option(
    "--max-tasks", type=click.IntRange(1), help="Check larger queues too; the server does nothing else meanwhile."
)
@click.option("--log", "is_log", is_flag=True, help="Show what people changed instead, newest first.")
@click.option("--limit", "-n", default=50, show_default=True, type=click.IntRange(1), help="With --log: how many.")
@click.pass_obj
def audit(
    invocation: Invocation, /, *, queues: tuple[str, ...], max_tasks: int | None, is_log: bool, limit: int
) -> int:
    """Check that every task is in exactly one state and that all that is kept of it agrees."""
    from tq_console.cli.task_reading import known_queues

    named = known_queues(invocation, queues)
    return _print_log(invocation, named, limit) if is_log else _check(invocation, named, max_tasks)


def _check(invocation: Invocation, queues: list[str] | None, max_tasks: int | None) -> ExitCode:
    from tq_core.roles import registry
    from tq_core.roles.audit import MAX_TASKS, between
    from tq_core.roles.audit import audit as check

    out = invocation.out
    limit = max_tasks or MAX_TASKS
    names = queues if queues is not None else list(invocation.run(registry.queue_numbers()))
    findings = [finding for queue in names for finding in invocation.run(check([queue], limit=limit))]
    if queues is None:
        findings += invocation.run(between(names))
    if out.is_json:
        out.records({"queue": f.queue, "word": f.word, "meaning": f.meaning, "subject": f.subject} for f in findings)
    elif findings:
        columns = [Column("QUEUE"), Column("FINDING"), Column("WHERE", is_flexible=True)]
        out.table(columns, [(f.queue, f.meaning, f.subject) for f in findings])
    else:
        out.line(f"{plural(len(names), 'queue')} checked: consistent")
    return ExitCode.FAILED if findings else ExitCode.OK


def _print_log(invocation: Invocation, queues: list[str] | None, limit: int) -> ExitCode:
    from tq_console.view.records import audited_record
    from tq_core.roles.operator import audit_log

    out, masker = invocation.out, invocation.masker
    entries = invocation.run(audit_log(queues, limit=limit))
    if out.is_json:
        out.records(masker.masked(audited_record(entry)) for entry in entries)
        return ExitCode.OK
    columns = [
        Column("WHEN"),
        Column("WHO", is_flexible=True),
        Column("DID"),
        Column("TO"),
        Column("TASKS", is_right=True),
        Column("MORE", is_flexible=True),
    ]
    rows = []
    for entry in entries:
        detail = {key: value for key, value in masker.masked(entry.detail).items() if key != "by"}
        more = " ".join(filter(None, (", ".join(entry.ids), json_line(detail) if detail else "")))
        rows.append((clock(entry.at_ms), entry.by, entry.action, entry.target, count(entry.count), more))
    out.table(columns, rows, empty="nobody changed anything yet")
    return ExitCode.OK
