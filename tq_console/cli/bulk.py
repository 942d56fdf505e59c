"""An action on all tasks that a filter fits: a job, done by this command or left to the workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from tq_console.cli.acting import tell_undo
from tq_console.cli.confirm import YES, confirm
from tq_console.cli.exit_codes import ExitCode
from tq_console.cli.filters import FILTER, HELP, VIEW, one_of
from tq_console.cli.progress import Interrupted, Progress
from tq_console.cli.values import STATE
from tq_console.view.formats import plural

if TYPE_CHECKING:
    from tq_console.cli.invocation import Invocation
    from tq_core.model import TaskState
    from tq_core.query.query import TaskQuery
    from tq_core.roles.jobs import Action, Part

POLL_S = 0.1
PARTS = 5
"""Pages of tasks between two looks at how far the job is."""
PARTICIPLES = {
    "cancel": "cancelled",
    "kill": "killed",
    "retry": "requeued",
    "delete": "deleted",
    "reprioritise": "reprioritised",
    "move": "moved",
}
BACKGROUND = click.option(
    "--background",
    "is_background",
    is_flag=True,
    help="Print the job's id and leave it to the workers; see `tq jobs`.",
)
_OPTIONS = (
    click.option(
        "--filter",
        "-f",
        "words",
        type=FILTER,
        help=f"Instead of ids: t{HELP[1:]}",
    ),
    click.option("--queue", "-q", "queues", multiple=True, help="With --filter: only this queue; may be given again."),
    click.option(
        "--state", "-s", "states", type=STATE, multiple=True, help="With --filter: only this state; may be given again."
    ),
    VIEW,
    BACKGROUND,
    YES,
)


def with_filter(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command on named tasks the options that choose tasks by a filter instead."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def is_chosen_by_filter(task_ids: Sequence[str], chosen: dict[str, Any]) -> bool:
    """Whether a filter says which tasks are meant; the options of `with_filter` are in `chosen`, a view as its words.

    Raises:
        UsageError: neither ids nor a filter say it, or both do.
    """
    context = click.get_current_context()
    chosen["words"] = one_of(None, chosen["words"], chosen.pop("view"))
    if bool(task_ids) == (chosen["words"] is not None):
        raise click.UsageError("name tasks by their ids, or give --filter", context)
    if task_ids and (chosen["queues"] or chosen["states"] or chosen["is_background"]):
        raise click.UsageError("--queue, --state and --background go with --filter", context)
    return not task_ids


def states_of(action: Action, words: TaskQuery | None) -> tuple[TaskState, ...]:
    """The states that a query names of those to which an action goes; empty where it names none.

    Raises:
        InvalidInputError: it names only states to which it does not go.
    """
    from tq_core.errors import InvalidInputError
    from tq_core.roles.jobs import ALL_STATES

    if words is None or not words.names_state:
        return ()
    found = tuple(state for state in ALL_STATES[action] if state in words.states)
    if not found:
        raise InvalidInputError(
            f"{words.text!r} fits no task that can be chosen to {action}: use {', '.join(ALL_STATES[action])}"
        )
    return found


def run_job(
    invocation: Invocation,
    *,
    action: Action,
    words: TaskQuery | None,
    queues: Sequence[str],
    states: Sequence[str],
    why: str,
    is_background: bool,
    is_sure: bool = True,
    priority: int | None = None,
    to: str = "",
) -> ExitCode:
    """Starts a job and does it, or leaves it to the workers; prints what was done, or the job's id."""
    from tq_console.cli.task_reading import known_queues
    from tq_core.model import TaskState
    from tq_core.roles import inspector, jobs

    named = known_queues(invocation, queues or ((words.queue,) if words and words.queue else ()))
    job = jobs.Job(
        action=action,
        states=tuple(TaskState(state) for state in states),
        filter=words.text if words else "",
        by=invocation.actor,
        why=why,
        priority=priority,
        to=to,
    )
    jobs.check(job)
    found = invocation.run(inspector.stats(named, minutes=1))
    depths = {queue.queue: sum(queue.depths[state] for state in job.states) for queue in found}
    meant = [queue for queue, depth in depths.items() if depth and queue != to]
    total = sum(depths[queue] for queue in meant)
    out = invocation.out
    if not meant:
        out.talk("tq: no task is in such a state: nothing to do")
        return ExitCode.OK
    if not is_sure:
        what = f"{action} what fits {job.words!r} of {plural(total, 'task')} ({', '.join(states)})"
        confirm(invocation, what=what, is_sure=False, can_undo=action in ("cancel", "delete", "move"))
    job_id = invocation.change(jobs.start(meant, job))
    if is_background:
        if out.is_json:
            out.record({"job": job_id, "queues": meant})
        else:
            out.line(job_id)
            out.talk(f"tq: workers of {', '.join(meant)} do it; see `tq jobs watch {job_id}`")
        return ExitCode.OK
    return _finish(invocation, job_id, meant, total=total, action=action)


def _finish(invocation: Invocation, job_id: str, queues: list[str], *, total: int, action: str) -> ExitCode:
    from tq_console.view.job_rows import status_of
    from tq_core.roles import jobs, undo

    try:
        with Progress(f"looked at to be {PARTICIPLES[action]}", total=total) as progress:
            while status_of(parts := _parts(invocation, job_id, queues)) == "open":
                open_parts = [part for part in parts if part.status == "open"]
                progress.reach(sum(part.looked for part in parts))
                is_mine = [invocation.change(jobs.advance(p.queue, job_id, parts=PARTS)) for p in open_parts]
                if not any(is_mine):
                    time.sleep(POLL_S)
    except KeyboardInterrupt as error:
        raise Interrupted(f"{error}; workers go on with it: `tq jobs cancel {job_id}` ends it") from error
    undo_op = ""
    if action in ("cancel", "kill", "delete", "move") and invocation.run(undo.undoable(queues, op=job_id)):
        undo_op = job_id
    return tell_job(invocation, parts, undo_op=undo_op)


def _parts(invocation: Invocation, job_id: str, queues: list[str]) -> list[Part]:
    from tq_core.errors import NotFoundError
    from tq_core.roles import jobs

    if parts := invocation.run(jobs.jobs(queues, job_id=job_id)):
        return parts
    raise NotFoundError(f"the job {job_id} is gone: were its queues emptied? See `tq jobs list`")


def tell_job(invocation: Invocation, parts: Sequence[Part], *, undo_op: str = "") -> ExitCode:
    """Says what a job has done; returns how to exit."""
    from tq_console.view.job_rows import status_of

    out = invocation.out
    done, skipped = sum(part.done for part in parts), sum(part.skipped for part in parts)
    statuses = {part.status for part in parts}
    job = parts[0].job
    if out.is_json:
        record = {
            "job": parts[0].job_id,
            "status": status_of(parts),
            "done": done,
            "skipped": skipped,
            "undo_op": undo_op or None,
        }
        out.record(record)
    else:
        out.line(f"{plural(done, 'task')} {PARTICIPLES[job.action] if job else 'done'}")
    if undo_op:
        tell_undo(invocation, undo_op)
    if skipped:
        out.talk(f"tq: {plural(skipped, 'task')} that fit were left, since they had gone on or another holds their key")
    if "failed" in statuses:
        return ExitCode.FAILED
    return ExitCode.REFUSED if skipped or "cancelled" in statuses else ExitCode.OK
