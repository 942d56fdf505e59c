"""`tq tasks`: what there is, where it is and why, and what people do with single tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tq_console.cli.commands import Group
from tq_console.cli.filters import FILTER, TaskFilter
from tq_console.cli.invocation import Invocation
from tq_console.cli.output import state_cell
from tq_console.cli.values import STATE
from tq_console.view.formats import age
from tq_console.view.tables import Column
from tq_console.view.text import fit

if TYPE_CHECKING:
    from tq_core.model import TaskView

SUMMARY_CELLS = 200


@click.group(
    cls=Group,
    examples="""
        tq tasks list --queue mail --state running
        tq tasks show 01jd7q0v3k0a19c8x7v6b5n4m2
        tq tasks list --state failed --json | jq -r .id | tq tasks retry -
    """,
)
def tasks() -> None:
    """List, show, retry, cancel, kill, delete tasks, or wait for one."""


@tasks.command(
    "list",
    has_reveal=True,
    examples="""
        tq tasks list                                    # running first, then waiting, then ended
        tq tasks list --queue mail --state pending --limit 500
        tq tasks list --filter 'type:send_* error:timeout' --json
    """,
)
@click.option("--queue", "-q", "queues", multiple=True, help="Only this queue; may be given again.")
@click.option("--state", "-s", "states", type=STATE, multiple=True, help="Only this state; may be given again.")
@click.option(
    "--filter", "-f", "words", type=FILTER, help="Words like type:send_* error:timeout; see `tq dlq retry -h`."
)
@click.option("--limit", "-n", default=50, show_default=True, type=click.IntRange(1), help="How many at most.")
@click.pass_obj
def list_tasks(
    invocation: Invocation, /, *, queues: tuple[str, ...], states: tuple[str, ...], words: TaskFilter | None, limit: int
) -> None:
    """List tasks: running ones first, then those that wait, then those that ended, newest first."""
    from tq_console.cli.task_reading import find_tasks

    found, talk = find_tasks(invocation, queues=queues, states=states, words=words, limit=limit)
    print_tasks(invocation, found)
    if talk:
        invocation.out.talk(talk)


def print_tasks(invocation: Invocation, found: Sequence[TaskView]) -> None:
    """Prints tasks as a table, or as records."""
    from tq_console.cli.task_reading import reveal
    from tq_console.view.records import task_record

    out, masker = invocation.out, invocation.masker
    reveal(invocation, found)
    if out.is_json:
        out.records(task_record(task, masker) for task in found)
        return
    from tq_console.view.task_page import arguments_text, error_text
    from tq_core.model import priority_label

    columns = [
        Column("ID"),
        Column("TYPE", is_flexible=True),
        Column("QUEUE", is_flexible=True),
        Column("STATE"),
        Column("PRIO"),
        Column("ATTEMPT", is_right=True),
        Column("AGE", is_right=True),
        Column("WORKER", is_flexible=True),
        Column("ARGUMENTS / ERROR", is_flexible=True),
    ]
    now_ms = _now_ms(invocation) if found else 0
    out.table(
        columns,
        [
            (
                task.id,
                task.type,
                task.queue,
                state_cell(task.state),
                priority_label(task.priority),
                f"{task.attempt}/{task.max_attempts}",
                age(now_ms - task.created_at_ms),
                task.worker_id or "",
                fit(error_text(task.error, masker) or arguments_text(task, masker), SUMMARY_CELLS),
            )
            for task in found
        ],
    )


def _now_ms(invocation: Invocation) -> int:
    from tq_core import registry

    return invocation.run(registry.server_time_ms())


@tasks.command(
    has_reveal=True,
    examples="""
        tq tasks show 01jd7q0v3k0a19c8x7v6b5n4m2         # and one line: why it is where it is
        tq tasks show report-2030-01@reports --json | jq .history
    """,
)
@click.argument("task_id", metavar="ID")
@click.pass_obj
def show(invocation: Invocation, task_id: str) -> None:
    """Show all that is known of a task, and why it is where it is."""
    show_task(invocation, task_id)


def show_task(invocation: Invocation, task_id: str) -> None:
    """Prints one task whole.

    Raises:
        NotFound: it is not there.
    """
    from tq_console.cli.task_reading import WHOLE_PAYLOAD_BYTES, reveal
    from tq_console.view.records import task_detail
    from tq_console.view.task_page import facts, history_lines, traceback_lines
    from tq_core import inspector

    task = invocation.run(inspector.show_one(task_id, payload_max=WHOLE_PAYLOAD_BYTES))
    why = invocation.run(inspector.why(task))
    out, masker = invocation.out, invocation.masker
    reveal(invocation, [task])
    if out.is_json:
        out.record(task_detail(task, why, masker))
        return
    for label, text in facts(task, why, masker):
        out.line(f"{out.paint(label.ljust(12), 'bold')}  {text}")
    for title, lines in (
        ("history", history_lines(task.history, masker)),
        ("traceback", traceback_lines(task, masker)),
    ):
        if lines:
            out.line()
            out.line(out.paint(title, "bold"))
            for line in lines:
                out.line(f"  {line}")
