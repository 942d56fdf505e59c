"""`tq jobs`: actions on all tasks that a filter fits, done a part at a time."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

import click

from tq_console.cli.acting import WHY
from tq_console.cli.bulk import tell_job
from tq_console.cli.commands import Group
from tq_console.cli.exit_codes import ExitCode
from tq_console.cli.invocation import Invocation
from tq_console.cli.progress import Progress
from tq_console.cli.values import DURATION
from tq_console.view.formats import clock, count
from tq_console.view.job_rows import status_of
from tq_console.view.tables import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tq_core.roles.jobs import Part

POLL_S = 0.3
_ID = click.argument("job_id", metavar="JOB")


@click.group(
    cls=Group,
    examples="""
        tq tasks cancel --filter 'type:send_*' --background --yes
        tq jobs list
        tq jobs watch 3f9c0a1b7d22
    """,
)
def jobs() -> None:
    """List, show, watch, cancel actions on many tasks."""


@jobs.command(
    "list",
    examples="""
        tq jobs list
        tq jobs list --json | jq -r 'select(.status == "open") | .job'
    """,
)
@click.option("--queue", "-q", "queues", multiple=True, help="Only those of this queue; may be given again.")
@click.pass_obj
def list_jobs(invocation: Invocation, queues: tuple[str, ...]) -> None:
    """List jobs that are open or ended lately, the latest first."""
    from tq_console.cli.task_reading import known_queues
    from tq_core.roles import jobs as role

    found = invocation.run(role.jobs(known_queues(invocation, queues)))
    grouped = [list(parts) for _, parts in itertools.groupby(found, key=lambda part: part.job_id)]
    out = invocation.out
    if out.is_json:
        out.records(map(_record, grouped))
        return
    columns = [
        Column("JOB"),
        Column("BEGUN"),
        Column("STATUS"),
        Column("DOES"),
        Column("TO", is_flexible=True),
        Column("LOOKED", is_right=True),
        Column("DONE", is_right=True),
        Column("LEFT", is_right=True),
        Column("BY", is_flexible=True),
    ]
    rows = []
    for parts in grouped:
        record = _record(parts)
        to = " ".join(filter(None, (",".join(record["queues"]), ",".join(record["states"]), record["filter"])))
        rows.append(
            (
                *(record["job"], clock(record["begun_at_ms"]), record["status"], record["action"] or "?", to),
                *(count(record["looked"]), count(record["done"]), count(record["skipped"]), record["by"] or ""),
            )
        )
    out.table(columns, rows, empty="no job yet")


def _record(parts: Sequence[Part]) -> dict[str, Any]:
    job = parts[0].job
    return {
        "job": parts[0].job_id,
        "status": status_of(parts),
        "action": job.action if job else None,
        "queues": [part.queue for part in parts],
        "states": list(job.states) if job else [],
        "filter": job.words if job else "",
        "priority": job.priority if job else None,
        "by": job.by if job else None,
        "why": job.why if job else "",
        "looked": sum(part.looked for part in parts),
        "done": sum(part.done for part in parts),
        "skipped": sum(part.skipped for part in parts),
        "begun_at_ms": min(part.begun_at_ms for part in parts),
        "changed_at_ms": max(part.changed_at_ms for part in parts),
    }


@jobs.command(
    examples="""
        tq jobs show 3f9c0a1b7d22
    """
)
@_ID
@click.pass_obj
def show(invocation: Invocation, job_id: str) -> None:
    """Show what a job does and how far it is."""
    record = _record(_found(invocation, job_id))
    out = invocation.out
    if out.is_json:
        out.record(record)
        return
    for name, value in record.items():
        if value not in (None, "", []):
            shown = clock(value) if name.endswith("_at_ms") else ", ".join(value) if isinstance(value, list) else value
            out.line(f"{out.paint(name.removesuffix('_at_ms').ljust(12), 'bold')}  {_safe(shown)}")


def _safe(value: object) -> str:
    from tq_console.view.text import visible

    return visible(str(value))


def _found(invocation: Invocation, job_id: str) -> list[Part]:
    from tq_core.errors import NotFoundError
    from tq_core.roles import jobs as role

    parts = invocation.run(role.jobs(job_id=job_id))
    if not parts:
        raise NotFoundError(f"there is no job {job_id} (any more): see `tq jobs list`")
    return parts


@jobs.command(
    examples="""
        tq jobs cancel 3f9c0a1b7d22 --why 'wrong filter'
    """
)
@_ID
@WHY
@click.pass_obj
def cancel(invocation: Invocation, job_id: str, why: str) -> int:
    """End a job before it is done; what it has done stays, see `tq undo`."""
    from tq_core.roles import jobs as role

    tell_job(invocation, invocation.change(role.cancel_job(job_id, actor=invocation.actor, why=why)))
    return ExitCode.OK


@jobs.command(
    examples="""
        tq jobs watch 3f9c0a1b7d22 --timeout 5m && echo done
    """
)
@_ID
@click.option("--timeout", type=DURATION, help="Wait at most so long (exit code 6); as long as it takes by default.")
@click.pass_obj
def watch(invocation: Invocation, job_id: str, timeout: float | None) -> int:
    """Wait until a job has ended and say what it did."""
    until_s = None if timeout is None else time.monotonic() + timeout
    with Progress("looked at") as progress:
        while True:
            parts = _found(invocation, job_id)
            progress.reach(sum(part.looked for part in parts))
            if status_of(parts) != "open":
                break
            if until_s is not None and time.monotonic() >= until_s:
                return ExitCode.WAIT_TIMEOUT
            time.sleep(POLL_S)
    return tell_job(invocation, parts)
