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
from tq_console.cli.values import COUNT_OR_NONE, DURATION, DURATION_OR_NONE, PERCENT, RATE_OR_NONE
from tq_console.view.formats import duration, plural
from tq_console.view.limits import breaker_line, breaker_record, limit_lines, limits_record

PURGEABLE = ("blocked", "scheduled", "pending", "retrying", "completed", "failed", "cancelled")
WINDOW_MINUTES = 5


@click.group(
    cls=Group,
    examples="""
        tq queues list
        tq queues pause mail --why 'the mail server is down'
        tq queues limit mail --max-size 10000 --running 20 --key-running 2
        tq queues breaker mail send_mail --failures 50%
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
        tq queues limit mail --running 20 --rate 100/s --key-running 2
        tq queues limit mail --key acme --running 5 --rate 10/m
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
@click.option("--running", type=COUNT_OR_NONE, help="Most tasks that run at once; more wait. none = no limit.")
@click.option("--rate", type=RATE_OR_NONE, help="How many tasks may start: 100/s, 10/5m, 100/m+20 for a burst of 20.")
@click.option("--key-running", type=COUNT_OR_NONE, help="Most tasks of each limit key that run at once.")
@click.option("--key-rate", type=RATE_OR_NONE, help="How many tasks of each limit key may start.")
@click.option("--key", metavar="KEY", help="--running and --rate are of this limit key alone.")
@WHY
@click.pass_obj
def limit(invocation: Invocation, /, *, name: str, key: str | None, why: str, **options: Any) -> int:
    """Set or show the limits of a queue; `none` puts one back to its default."""
    from tq_core.names import check_queue
    from tq_core.roles import inspector, limits, operator

    chosen = {field: None if value == "none" else value for field, value in options.items() if value is not None}
    settings = {field: value for field, value in chosen.items() if field in operator.SETTINGS}
    gates = {field: value for field, value in chosen.items() if field not in operator.SETTINGS}
    if key is not None and (settings or not gates.keys() <= {"running", "rate"} or not gates):
        raise click.UsageError("--key goes with --running or --rate", click.get_current_context())
    # Two writes: what one of them would be refused for is found before the other.
    operator.check_settings(settings)
    if gates:
        change = limits.set_limits(check_queue(name), gates, key=key, actor=invocation.actor, why=why)
        invocation.change(change)
    if settings:
        invocation.change(operator.configure_queue(check_queue(name), settings, actor=invocation.actor, why=why))
    if not chosen:
        from tq_console.cli.task_reading import known_queues

        known_queues(invocation, (name,))
    (found,) = invocation.run(inspector.stats([name], minutes=1))
    gated = invocation.run(limits.read(name))
    out = invocation.out
    if out.is_json:
        kept = {field: found.limits.get(field) for field in operator.SETTINGS}
        out.record({"queue": name, **kept, **limits_record(gated)})
    else:
        for field in operator.SETTINGS:
            value = found.limits.get(field)
            text = _setting(field, operator.DEFAULTS[field]) if value is None else _setting(field, value)
            text += " (default)" if value is None and operator.DEFAULTS[field] is not None else ""
            out.line(f"{field.removesuffix('_ms').replace('_', '-'):15} {text}")
        for label, text in limit_lines(gated):
            out.line(f"{label:15} {text}")
    return ExitCode.OK


def _setting(field: str, value: int | None) -> str:
    return "no limit" if value is None else duration(value) if field.endswith("_ms") else f"{value:,}"


@queues.command(
    examples="""
        tq queues breaker mail                           # all of a queue, and how they stand
        tq queues breaker mail send_mail --failures 50% --min 10 --window 1m --cooldown 30s
        tq queues breaker mail send_mail --open --why 'the vendor is down'
        tq queues breaker mail send_mail --off
    """
)
@click.argument("name", metavar="QUEUE")
@click.argument("task_type", metavar="[TYPE]", required=False)
@click.option("--failures", "failures_percent", type=PERCENT, help="It opens when so many of the runs failed.")
@click.option("--min", "min_runs", type=click.IntRange(1), help="But not before so many runs have ended.")
@click.option("--window", "window_s", type=DURATION, help="How far back runs count.")
@click.option("--cooldown", "cooldown_s", type=DURATION, help="How long it is open before probes may run.")
@click.option("--probes", type=click.IntRange(1), help="How many may run at once then; one that succeeds closes it.")
@click.option("--open", "word", flag_value="open", help="Hold the type's tasks back until --close.")
@click.option("--close", "word", flag_value="close", help="Let them run, and count anew.")
@click.option("--off", "word", flag_value="off", help="Take the breaker away.")
@WHY
@click.pass_obj
def breaker(
    invocation: Invocation, /, *, name: str, task_type: str | None, word: str | None, why: str, **options: Any
) -> int:
    """Hold a type's tasks back while too many of them fail; set, steer or show.

    What is held back waits and is never lost. What is not said stays as it is, or is 50% of 10 runs or more in a
    minute, open for 30 s, then one probe.
    """
    from tq_console.cli.task_reading import known_queues
    from tq_core.names import check_queue
    from tq_core.roles import limits

    context = click.get_current_context()
    said = {field: value for field, value in options.items() if value is not None}
    if task_type is None and (said or word):
        raise click.UsageError("name the task type whose breaker it is", context)
    if said and word:
        raise click.UsageError(f"--{word} goes without settings", context)
    known_queues(invocation, (check_queue(name),))  # a mistyped one is not made by this
    if task_type is None:
        pass
    elif word in ("open", "close"):
        flow = limits.open_breaker if word == "open" else limits.close_breaker
        invocation.change(flow(name, task_type, actor=invocation.actor, why=why))
    elif word == "off":
        invocation.change(limits.set_breaker(name, task_type, None, actor=invocation.actor, why=why))
    else:
        before = {b.type: b.breaker for b in invocation.run(limits.read(name)).breakers}.get(task_type)
        if said or before is None:
            wanted = limits.changed_breaker(before, said)
            invocation.change(limits.set_breaker(name, task_type, wanted, actor=invocation.actor, why=why))
    found = [b for b in invocation.run(limits.read(name)).breakers if task_type in (None, b.type)]
    out = invocation.out
    if out.is_json:
        out.records(map(breaker_record, found))
    elif not found:
        out.talk(f"tq: {name} has no breaker" if task_type is None else f"tq: {task_type} has no breaker now")
    for each in () if out.is_json else found:
        out.line(breaker_line(each))
    return ExitCode.OK
