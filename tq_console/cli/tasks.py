"""`tq tasks`: what there is, where it is and why, and what people do with single tasks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from tq_console.cli.acting import WHY, act, read_ids
from tq_console.cli.bulk import is_chosen_by_filter, run_job, states_of, with_filter
from tq_console.cli.commands import Group
from tq_console.cli.exporting import into_a_file
from tq_console.cli.filters import FILTER, LANGUAGE, VIEW, one_of
from tq_console.cli.invocation import Invocation
from tq_console.cli.output import state_cell
from tq_console.cli.values import DURATION, PRIORITY, STATE
from tq_console.view.formats import age, plural, time_of_day
from tq_console.view.tables import Column
from tq_console.view.text import fit, visible

if TYPE_CHECKING:
    from pathlib import Path

    from tq_console.cli.exit_codes import ExitCode
    from tq_console.view.export import Form
    from tq_core.model import TaskView
    from tq_core.query.query import TaskQuery
    from tq_core.roles.jobs import Action

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
    """List, show, export, retry, cancel, kill, delete, reprioritise, move tasks, or wait for one."""


@tasks.command(
    "list",
    has_reveal=True,
    epilog=LANGUAGE,
    examples="""
        tq tasks list                                    # running first, then waiting, then ended
        tq tasks list 'state:failed type:send_* error:timeout ended:<1h' --json
        tq tasks list 'args.user.id=42 NOT state:completed' --queue mail --limit 500
        tq config set views.stuck 'state:running age:>1h' && tq tasks list --view stuck
    """,
)
@click.argument("query", type=FILTER, required=False)
@click.option("--queue", "-q", "queues", multiple=True, help="Only this queue; may be given again.")
@click.option("--state", "-s", "states", type=STATE, multiple=True, help="Only this state; may be given again.")
@click.option("--filter", "-f", "words", type=FILTER, help="The same as QUERY.")
@VIEW
@click.option("--limit", "-n", default=50, show_default=True, type=click.IntRange(1), help="How many at most.")
@click.pass_obj
def list_tasks(
    invocation: Invocation,
    /,
    *,
    query: TaskQuery | None,
    queues: tuple[str, ...],
    states: tuple[str, ...],
    words: TaskQuery | None,
    view: str | None,
    limit: int,
) -> None:
    """List tasks: running ones first, then those that wait, then those that ended, newest first."""
    from tq_console.cli.task_reading import find_tasks

    found, talk = find_tasks(invocation, queues=queues, states=states, words=one_of(query, words, view), limit=limit)
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
        Column("QUEUE", is_flexible=True, is_optional=True),
        Column("STATE"),
        Column("PRIO", is_optional=True),
        Column("ATTEMPT", is_right=True),
        Column("AGE", is_right=True),
        Column("WORKER", is_flexible=True, is_optional=True),
        Column("ARGUMENTS / ERROR", is_flexible=True, readable=40),
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
        empty="no task fits",
    )


def _now_ms(invocation: Invocation) -> int:
    from tq_core.roles import registry

    return invocation.run(registry.server_time_ms())


@tasks.command(
    has_json=False,
    has_reveal=True,
    examples="""
        tq tasks export 'state:failed type:send_* ended:<1d' --output mail.csv
        tq tasks export --queue mail > mail.ndjson
    """,
)
@click.argument("query", type=FILTER, required=False)
@click.option("--queue", "-q", "queues", multiple=True, help="Only this queue; may be given again.")
@click.option("--filter", "-f", "words", type=FILTER, help="The same as QUERY.")
@VIEW
@into_a_file
@click.pass_obj
def export(
    invocation: Invocation,
    /,
    *,
    query: TaskQuery | None,
    queues: tuple[str, ...],
    words: TaskQuery | None,
    view: str | None,
    output: Path | None,
    form: Form | None,
) -> None:
    """Print every task that fits whole, as JSON lines or CSV."""
    from tq_console.cli.exporting import export_tasks
    from tq_core.model import TaskState

    meant = one_of(query, words, view)
    states = meant.states if meant else tuple(TaskState)
    export_tasks(invocation, queues=queues, states=states, words=meant, output=output, form=form)


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
        NotFoundError: it is not there.
    """
    from tq_console.cli.task_reading import WHOLE_PAYLOAD_BYTES, reveal
    from tq_console.view.records import task_detail
    from tq_console.view.task_page import facts, history_lines, traceback_lines
    from tq_core.roles import inspector
    from tq_core.roles.why import in_words

    task = invocation.run(inspector.show_one(task_id, payload_max=WHOLE_PAYLOAD_BYTES))
    why = invocation.run(in_words(task))
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


@tasks.command(
    examples="""
        tq tasks tree 01jd7q0v3k0a19c8x7v6b5n4m2         # what it waited for, and what waits for it
        tq tasks tree report-2030-01@reports --json | jq 'select(.state == "failed")'
    """,
)
@click.argument("task_id", metavar="ID")
@click.pass_obj
def tree(invocation: Invocation, task_id: str) -> None:
    """Show the tasks that a task waits or waited for, and those that still wait for it, across queues."""
    from tq_console.view.family_lines import family_lines
    from tq_core.roles import family

    found = invocation.run(family.tree(task_id))
    out = invocation.out
    if out.is_json:
        out.records(
            {
                "id": relative.task_id,
                "depth": relative.depth,
                "of": relative.of or None,
                "queue": relative.task.queue if relative.task else None,
                "type": relative.task.type if relative.task else None,
                "state": relative.task.state.value if relative.task else None,
            }
            for relative in found.relatives
        )
    else:
        for line in family_lines(found):
            out.line(line)
    if not found.is_whole:
        out.talk(f"there are more; these are the nearest {len(found.relatives)}")


@tasks.command(
    examples="""
        tq tasks logs 01jd7q0v3k0a19c8x7v6b5n4m2
        tq tasks logs 01jd7q0v3k0a19c8x7v6b5n4m2 -f      # go on until it has ended
    """,
)
@click.argument("task_id", metavar="ID")
@click.option("--follow", "-f", "is_following", is_flag=True, help="Go on until the task has ended, or Ctrl-C.")
@click.pass_obj
def logs(invocation: Invocation, task_id: str, *, is_following: bool) -> None:
    """Print the last lines that a task's handlers wrote with context.log(), of all its attempts."""
    from tq_console.cli.task_reading import reveal
    from tq_core.roles import inspector, task_logs

    out, masker = invocation.out, invocation.masker
    task = invocation.run(inspector.show_one(task_id, payload_max=0))
    reveal(invocation, [task])

    def show(lines: Sequence[task_logs.Line]) -> None:
        for line in lines:
            text = masker.masked(line.text)
            if out.is_json:
                out.record({"at_ms": line.at_ms, "text": text})
            else:
                out.line(f"{time_of_day(line.at_ms)}  {visible(text)}")
        sys.stdout.flush()

    lines = invocation.run(task_logs.read(task_id))
    show(lines)
    if not lines and not is_following:
        out.talk(f"tq: {task_id} has no lines: its handler writes them with context.log()")
    has_ended = not is_following
    while not has_ended:
        more = invocation.run(task_logs.follow(task_id, lines))
        show(more.new)
        lines, has_ended = more.lines, more.has_ended


_IDS = click.argument("task_ids", metavar="[ID]...", nargs=-1)
WAITING = ("blocked", "scheduled", "retrying", "pending")


def _act_on_all(invocation: Invocation, action: Action, states: Sequence[str], chosen: dict[str, Any]) -> ExitCode:
    """Acts on what the filter fits, in the states that were named or else these; asks before it takes tasks away."""
    chosen["states"] = chosen["states"] or states_of(action, chosen["words"]) or states
    chosen["is_sure"] = chosen["is_sure"] or action in ("retry", "reprioritise")
    if not chosen["states"]:
        raise click.UsageError("say of which state: --state completed", click.get_current_context())
    return run_job(invocation, action=action, **chosen)


@tasks.command(
    examples="""
        tq tasks retry 01jd7q0v3k0a19c8x7v6b5n4m2 --why 'the mail server is back'
        tq tasks list --state cancelled --json | tq tasks retry -
    """
)
@_IDS
@with_filter
@WHY
@click.pass_obj
def retry(invocation: Invocation, /, *, task_ids: tuple[str, ...], why: str, **chosen: Any) -> int:
    """Run ended tasks again from the start; their history stays. ID may be - for stdin."""
    if is_chosen_by_filter(task_ids, chosen):
        return _act_on_all(invocation, "retry", ("failed",), {**chosen, "why": why})
    from tq_core.roles import operator

    ids = read_ids(task_ids)
    return act(
        invocation,
        ids,
        lambda told: operator.requeue(ids, actor=invocation.actor, why=why, on_progress=told),
        participle="requeued",
    )


@tasks.command(
    examples="""
        tq tasks cancel 01jd7q0v3k0a19c8x7v6b5n4m2
        tq tasks list --queue mail --state pending --limit 500 --json | tq tasks cancel - --why 'wrong list'
        tq tasks cancel --filter 'type:send_* queue:mail' --background --yes   # a job that workers do; see tq jobs
    """
)
@_IDS
@with_filter
@WHY
@click.pass_obj
def cancel(invocation: Invocation, /, *, task_ids: tuple[str, ...], why: str, **chosen: Any) -> int:
    """End tasks that have not run, and ask running ones to stop. ID may be - for stdin."""
    if is_chosen_by_filter(task_ids, chosen):
        return _act_on_all(invocation, "cancel", WAITING, {**chosen, "why": why})
    from tq_core.roles import operator

    ids = read_ids(task_ids)
    return act(
        invocation,
        ids,
        lambda told: operator.cancel(ids, actor=invocation.actor, why=why, on_progress=told),
        participle="cancelled",
    )


@tasks.command(
    examples="""
        tq tasks kill 01jd7q0v3k0a19c8x7v6b5n4m2         # for a task that does not listen to cancel
    """
)
@_IDS
@with_filter
@WHY
@click.pass_obj
def kill(invocation: Invocation, /, *, task_ids: tuple[str, ...], why: str, **chosen: Any) -> int:
    """End tasks at once, running ones too, if need be with their process. ID may be - for stdin.

    A task in a thread that does not listen can only be ended with its worker process; tasks that run beside it are
    then run again without costing them an attempt.
    """
    if is_chosen_by_filter(task_ids, chosen):
        return _act_on_all(invocation, "kill", ("running",), {**chosen, "why": why})
    from tq_core.roles import operator

    ids = read_ids(task_ids)
    warn_of_neighbours(invocation, ids)
    return act(
        invocation,
        ids,
        lambda told: operator.cancel(ids, actor=invocation.actor, why=why, kill=True, on_progress=told),
        participle="killed",
    )


def warn_of_neighbours(invocation: Invocation, ids: Sequence[str]) -> None:
    """Says which tasks run in the same processes as those that are about to be killed."""
    from tq_core.roles import registry
    from tq_core.roles.registry import WorkerInfo

    for member in invocation.run(registry.fleet()).workers:
        running = [slot.task_id for slot in member.info.running] if isinstance(member.info, WorkerInfo) else []
        others = [task_id for task_id in running if task_id not in ids]
        if others and len(others) < len(running):
            invocation.out.talk(
                f"tq: {plural(len(others), 'other task')} on {member.id} will run again if its process must be ended"
            )


@tasks.command(
    examples="""
        tq tasks delete 01jd7q0v3k0a19c8x7v6b5n4m2 --why test
        tq tasks delete --filter 'type:old_*' --state completed --yes
    """
)
@_IDS
@with_filter
@WHY
@click.pass_obj
def delete(invocation: Invocation, /, *, task_ids: tuple[str, ...], why: str, **chosen: Any) -> int:
    """Delete tasks with all that is kept of them; running ones are left alone. ID may be - for stdin."""
    if is_chosen_by_filter(task_ids, chosen):
        return _act_on_all(invocation, "delete", (), {**chosen, "why": why})
    from tq_core.roles import operator

    ids = read_ids(task_ids)
    return act(
        invocation,
        ids,
        lambda told: operator.discard(ids, actor=invocation.actor, why=why, action="delete", on_progress=told),
        participle="deleted",
    )


@tasks.command(
    examples="""
        tq tasks reprioritise 01jd7q0v3k0a19c8x7v6b5n4m2 --priority high
        tq tasks reprioritise --filter 'type:send_*' --priority low
    """
)
@_IDS
@click.option(
    "--priority", "-p", type=PRIORITY, required=True, help="critical, high, normal, low, or 0 (first) to 255."
)
@with_filter
@WHY
@click.pass_obj
def reprioritise(
    invocation: Invocation, /, *, task_ids: tuple[str, ...], priority: int, why: str, **chosen: Any
) -> int:
    """Give tasks that wait another priority; among those of the new one they keep their age. ID may be - for stdin."""
    if is_chosen_by_filter(task_ids, chosen):
        return _act_on_all(invocation, "reprioritise", WAITING, {**chosen, "why": why, "priority": priority})
    from tq_core.roles import operator

    ids = read_ids(task_ids)
    return act(
        invocation,
        ids,
        lambda told: operator.reprioritise(ids, priority, actor=invocation.actor, why=why, on_progress=told),
        participle="reprioritised",
    )


@tasks.command(
    examples="""
        tq tasks move 01jd7q0v3k0a19c8x7v6b5n4m2 --to slow
        tq tasks move --filter 'type:send_*' --state pending --to slow --yes
    """
)
@_IDS
@click.option("--to", required=True, metavar="QUEUE", help="The queue that they go to.")
@with_filter
@WHY
@click.pass_obj
def move(invocation: Invocation, /, *, task_ids: tuple[str, ...], to: str, why: str, **chosen: Any) -> int:
    """Move tasks that wait or have failed to another queue, under new ids. ID may be - for stdin.

    A failed one begins anew there. Tasks that wait for others, or that others wait for, stay where they are.
    """
    from tq_console.cli.task_reading import known_queues
    from tq_core.roles import moves

    known_queues(invocation, [to])
    if is_chosen_by_filter(task_ids, chosen):
        return _act_on_all(invocation, "move", WAITING, {**chosen, "why": why, "to": to})
    ids = read_ids(task_ids)
    return act(
        invocation,
        ids,
        lambda told: moves.move(ids, to, actor=invocation.actor, why=why, on_progress=told),
        participle="moved",
    )


@tasks.command(
    has_reveal=True,
    examples="""
        tq tasks wait 01jd7q0v3k0a19c8x7v6b5n4m2 --timeout 5m && echo done
    """,
)
@click.argument("task_id", metavar="ID")
@click.option("--timeout", type=DURATION, help="Wait at most so long (exit code 6); as long as it takes by default.")
@click.pass_obj
def wait(invocation: Invocation, task_id: str, timeout: float | None) -> int:
    """Wait until a task has ended and print its result; exit code 1 when it failed or was cancelled."""
    from tq_console.cli.waiting import print_end

    return print_end(invocation, task_id, timeout_s=timeout)
