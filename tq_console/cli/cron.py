"""`tq cron`: what is enqueued again and again, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tq_console.cli.acting import WHY
from tq_console.cli.commands import Group
from tq_console.cli.exit_codes import ExitCode
from tq_console.cli.invocation import Invocation
from tq_console.cli.values import DURATION, PRIORITY

if TYPE_CHECKING:
    from collections.abc import Callable

    from tq_core.roles.schedules import ScheduleView
    from tq_core.transport.steps import Flow


@click.group(
    cls=Group,
    examples="""
        tq cron list
        tq cron add report send_report city=Rome --cron '0 8 * * 1-5' --tz Europe/Rome
        tq cron pause report --why 'holidays'
    """,
)
def cron() -> None:
    """List, show, add, edit, remove, run, pause, resume schedules."""


@cron.command(
    "list",
    has_reveal=True,
    examples="""
        tq cron list
        tq cron list --queue mail --json | jq -r 'select(.state == "late") | .name'
    """,
)
@click.option("--queue", "-q", "queues", multiple=True, help="Only those of this queue; may be given again.")
@click.pass_obj
def list_schedules(invocation: Invocation, queues: tuple[str, ...]) -> None:
    """List schedules with their next and last fires.

    A schedule is active, paused, late (no worker serves its queue, or that is full), undeclared (code declared it once
    and does so no longer; it fires on), or unreadable (a newer tq wrote it).
    """
    from tq_console.cli.task_reading import known_queues
    from tq_console.view.schedule_rows import SCHEDULE_COLUMNS, schedule_record, schedule_row
    from tq_core.roles import operator, schedules

    found = invocation.run(schedules.schedules(known_queues(invocation, queues)))
    if invocation.is_revealed:
        for queue in dict.fromkeys(view.queue for view in found):
            count = sum(view.queue == queue for view in found)
            note = operator.note(queue, actor=invocation.actor, action="reveal", detail={"schedules": count})
            invocation.run(note)
    out = invocation.out
    if out.is_json:
        out.records(schedule_record(view, invocation.masker) for view in found)
    else:
        out.table(SCHEDULE_COLUMNS, map(schedule_row, found), empty="no schedule yet")


@cron.command(
    has_reveal=True,
    examples="""
        tq cron show report
    """,
)
@click.argument("name", metavar="NAME")
@click.pass_obj
def show(invocation: Invocation, name: str) -> None:
    """Show a schedule in words, with its next five fires in its own time zone."""
    from tq_console.view.schedule_rows import schedule_page, schedule_record
    from tq_core.roles import operator, schedules

    view = invocation.run(schedules.find(name))
    if invocation.is_revealed:
        detail = {"schedule": view.name}
        invocation.run(operator.note(view.queue, actor=invocation.actor, action="reveal", detail=detail))
    if invocation.is_json:
        invocation.out.record(schedule_record(view, invocation.masker))
        return
    for line in schedule_page(view, invocation.masker):
        invocation.out.line(line)


@cron.command(
    examples="""
        tq cron add tidy clean_up --every 15m
        tq cron add report send_report city=Rome --cron '0 8 * * 1-5' --tz Europe/Rome
        tq cron add sync pull --cron @hourly --jitter 5m --no-overlap --missed skip
    """
)
@click.argument("name", metavar="NAME")
@click.argument("task_type", metavar="TYPE")
@click.argument("words", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--cron", "expression", metavar="EXPR", help="Minute, hour, day, month, weekday; or @hourly, @daily, …")
@click.option("--every", type=DURATION, help="Every so long, counted from 1970: 30s, 15m, 6h.")
@click.option("--tz", default="UTC", show_default=True, metavar="ZONE", help="Time zone of --cron: Europe/Rome.")
@click.option(
    "--missed",
    type=click.Choice(["skip", "once", "all"]),
    default="once",
    show_default=True,
    help="When over a minute late: skip, make up for all that was missed once, or run all (100 at most).",
)
@click.option("--jitter", type=DURATION, default=0.0, help="Spread the tasks over so long after each fire.")
@click.option("--no-overlap", is_flag=True, help="Skip a fire while an earlier task has not ended.")
@click.option("--data", "-d", help="The arguments as a JSON object: as text, @FILE, or - for stdin.")
@click.option("--queue", "-q", help="The queue; the type's own by default.")
@click.option("--priority", "-p", type=PRIORITY, help="critical, high, normal, low, or 0 (first) to 255.")
@click.option("--max-attempts", type=click.IntRange(1, 1000), help="How often each task is tried in all.")
@click.option("--timeout", type=DURATION, help="Longest time that one attempt may take.")
@click.option("--expires", type=DURATION, help="Do not start a task so long after it was enqueued, or later.")
@click.option("--force", is_flag=True, help="Add it even where the type or its arguments are not known to workers.")
@WHY
@click.pass_obj
def add(invocation: Invocation, /, *, name: str, task_type: str, words: tuple[str, ...], **options: Any) -> int:
    """Add a schedule; what runs it are the workers of its queue."""
    from tq_console.cli.submit import read_data
    from tq_console.cli.task_types import read_rules
    from tq_console.view.formats import clock
    from tq_console.view.submission import TaskLine
    from tq_core.roles import schedules

    data = read_data(options["data"])
    rules = read_rules(invocation, is_forced=options["force"])
    line = TaskLine(
        type=task_type,
        args={**data, **rules.arguments(task_type, words)},
        queue=options["queue"],
        priority=options["priority"],
        max_attempts=options["max_attempts"],
        timeout=options["timeout"],
        expires=options["expires"],
    )
    queue, task = rules.checked(line)
    schedule = schedules.new_schedule(
        name,
        task_type,
        line.args,
        queue=queue,
        cron=options["expression"],
        every_s=options["every"],
        tz=options["tz"],
        missed=options["missed"],
        jitter_s=options["jitter"],
        overlap=not options["no_overlap"],
        priority=task.priority,
        max_attempts=task.max_attempts,
        timeout_s=task.options.timeout_s,
        expires_in_s=task.options.expires_in_s,
    )
    next_ms = invocation.change(schedules.add(schedule, actor=invocation.actor, why=options["why"]))
    if invocation.is_json:
        invocation.out.record({"name": name, "queue": queue, "word": "added", "next_at_ms": next_ms})
    else:
        invocation.out.line(f"{name}  added to {queue}; its first fire is at {clock(next_ms)}")
    return ExitCode.OK


@cron.command(
    examples="""
        tq cron edit report --cron '30 7 * * 1-5' --why 'before the meeting'
        tq cron edit tidy --every 30m --missed skip
        tq cron edit report city=Oslo                    # the other arguments stay as they are
    """
)
@click.argument("name", metavar="NAME")
@click.argument("words", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--type", "task_type", help="Another task type.")
@click.option("--cron", "expression", metavar="EXPR", help="Minute, hour, day, month, weekday; or @hourly, @daily, …")
@click.option("--every", type=DURATION, help="Every so long, counted from 1970: 30s, 15m, 6h.")
@click.option("--tz", metavar="ZONE", help="Time zone of the cron expression: Europe/Rome.")
@click.option("--missed", type=click.Choice(["skip", "once", "all"]), help="What becomes of missed fires.")
@click.option("--jitter", type=DURATION, help="Spread the tasks over so long after each fire; 0s not at all.")
@click.option("--overlap/--no-overlap", default=None, help="Whether to fire while an earlier task has not ended.")
@click.option("--data", "-d", help="All arguments anew, as a JSON object: as text, @FILE, or - for stdin.")
@click.option("--priority", "-p", type=PRIORITY, help="critical, high, normal, low, or 0 (first) to 255.")
@click.option("--max-attempts", type=click.IntRange(1, 1000), help="How often each task is tried in all.")
@click.option("--timeout", type=DURATION, help="Longest time that one attempt may take.")
@click.option("--expires", type=DURATION, help="Do not start a task so long after it was enqueued, or later.")
@click.option("--force", is_flag=True, help="Even where the type or its arguments are not known to workers.")
@WHY
@click.pass_obj
def edit(invocation: Invocation, /, *, name: str, words: tuple[str, ...], **options: Any) -> int:
    """Change a schedule; what is not named stays, and its next fire is worked out from now on.

    What code declares says again what the code says when a worker of it starts.
    """
    from tq_console.cli.submit import read_data
    from tq_console.cli.task_types import read_rules
    from tq_console.view.formats import clock
    from tq_console.view.submission import TaskLine
    from tq_core.roles import schedule_edit, schedules

    view = invocation.run(schedules.find(name))
    before = schedules.readable(view)
    task_type = options["task_type"] or before.task_type
    rules = read_rules(invocation, is_forced=options["force"])
    args = before.args if options["data"] is None else read_data(options["data"])
    args = {**args, **rules.arguments(task_type, words)}
    rules.checked(TaskLine(type=task_type, args=args, queue=before.queue, priority=options["priority"]))
    new = schedule_edit.revised(
        before,
        task_type=task_type,
        args=args,
        cron=options["expression"],
        every_s=options["every"],
        tz=options["tz"],
        missed=options["missed"],
        jitter_s=options["jitter"],
        overlap=options["overlap"],
        priority=options["priority"],
        max_attempts=options["max_attempts"],
        timeout_s=options["timeout"],
        expires_in_s=options["expires"],
    )
    next_ms = invocation.change(schedule_edit.edit(view, new, actor=invocation.actor, why=options["why"]))
    if invocation.is_json:
        invocation.out.record({"name": view.name, "queue": view.queue, "word": "changed", "next_at_ms": next_ms})
    else:
        then = "it stays paused" if next_ms is None else f"its next fire is at {clock(next_ms)}"
        invocation.out.line(f"{view.name}@{view.queue}  changed; {then}")
        if view.state == "active" and view.seen_at_ms is not None:
            invocation.out.talk("tq: code declares it: when a worker of that code starts, it is as the code says again")
    return ExitCode.OK


_NAMES = click.argument("names", metavar="NAME...", nargs=-1, required=True)


@cron.command(
    examples="""
        tq cron remove tidy
        tq cron remove tidy@mail --force                 # though code that runs declares it
    """
)
@_NAMES
@click.option("--force", is_flag=True, help="Remove it though code declares it: it comes back when a worker says it.")
@WHY
@click.pass_obj
def remove(invocation: Invocation, names: tuple[str, ...], why: str, force: bool) -> None:
    """Remove schedules; the tasks that they made stay."""
    from tq_core.roles import schedules

    def flow(view: ScheduleView) -> Flow[bool]:
        yield from schedules.remove(view, actor=invocation.actor, why=why, is_forced=force)
        return True

    _each(invocation, names, flow, "removed", "")


@cron.command(
    examples="""
        tq cron run report                               # prints the id of the task
        tq tasks wait $(tq cron run report)
    """
)
@_NAMES
@WHY
@click.pass_obj
def run(invocation: Invocation, names: tuple[str, ...], why: str) -> None:
    """Enqueue a task of schedules now, paused or not; their fires stay as they are."""
    from tq_core.roles import schedules

    out = invocation.out
    for view in _found(invocation, names):
        task_id = invocation.change(schedules.run_now(view, actor=invocation.actor, why=why))
        if out.is_json:
            out.record({"name": view.name, "queue": view.queue, "word": "run", "id": task_id})
        else:
            out.line(task_id)


@cron.command(
    examples="""
        tq cron pause report --why 'holidays'
    """
)
@_NAMES
@WHY
@click.pass_obj
def pause(invocation: Invocation, names: tuple[str, ...], why: str) -> None:
    """Keep schedules from firing; a paused one stays so when workers start again."""
    from tq_core.roles import schedules

    _each(
        invocation,
        names,
        lambda view: schedules.pause(view, actor=invocation.actor, why=why),
        "paused",
        "was paused already",
    )


@cron.command(
    examples="""
        tq cron resume report
    """
)
@_NAMES
@WHY
@click.pass_obj
def resume(invocation: Invocation, names: tuple[str, ...], why: str) -> None:
    """Let paused schedules fire again, from their next fire on."""
    from tq_core.roles import schedules

    _each(
        invocation,
        names,
        lambda view: schedules.resume(view, actor=invocation.actor, why=why),
        "resumed",
        "was not paused",
    )


def _found(invocation: Invocation, names: tuple[str, ...]) -> list[ScheduleView]:
    """The schedules that were named, all of them known before the first is touched."""
    from tq_core.roles import schedules

    return [invocation.run(schedules.find(name)) for name in dict.fromkeys(names)]


def _each(
    invocation: Invocation,
    names: tuple[str, ...],
    flow: Callable[[ScheduleView], Flow[bool]],
    *words: str,
) -> None:
    word, already = words
    out = invocation.out
    for view in _found(invocation, names):
        is_changed = invocation.change(flow(view))
        if out.is_json:
            out.record({"name": view.name, "queue": view.queue, "word": word, "is_changed": is_changed})
        else:
            out.line(f"{view.name}@{view.queue}  {word if is_changed else already}")
