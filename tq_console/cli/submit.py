"""`tq submit`: one task from the command line, or many from a file or pipe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tq_console.cli.commands import command
from tq_console.cli.exit_codes import ExitCode
from tq_console.cli.invocation import Invocation
from tq_console.cli.values import DURATION, MOMENT, PARENT_POLICIES, PRIORITY, UNIQUE_UNTIL

if TYPE_CHECKING:
    from tq_console.view.submission import SubmissionRules, TaskLine

MAX_DATA_BYTES = 8 * 1024 * 1024


@command(
    has_reveal=True,
    examples="""
        tq submit send_mail to=ana@example.org subject=hello
        tq submit resize --data '{"path": "a.png", "sizes": [64, 128]}' --priority high
        tq submit report month=2030-01 --id report-2030-01 --at 2030-02-01T06:00
        tq submit add a=1 b=2 --wait                     # prints the result: 3
        tq submit --batch tasks.ndjson                   # {"type": "add", "args": {"a": 1, "b": 2}} on each line
        tq submit --from 01jd7q0v3k0a19c8x7v6b5n4m2 to=bob@example.org   # the same again, with a change
        tq submit notify --depends-on 01jd7q0v3k0a19c8x7v6b5n4m2 --on-parent-failure skip
        tq submit show_price item=7 --expires 10m        # worth nothing later: cancelled if no worker took it by then
        tq submit reindex shop=7 --unique shop-7 --debounce 30s --debounce-max 5m
        make-tasks | tq submit resize --batch - --skip-bad --wait-for-room 10m
    """,
)
@click.argument("task_type", metavar="[TYPE]", required=False)
@click.argument("words", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--data", "-d", help="The arguments as a JSON object: as text, @FILE, or - for stdin.")
@click.option("--batch", help="Read tasks as JSON lines from this file, or - for stdin.")
@click.option("--skip-bad", is_flag=True, help="With --batch: leave bad lines out instead of stopping.")
@click.option("--queue", "-q", help="The queue; the type's own by default.")
@click.option("--priority", "-p", type=PRIORITY, help="critical, high, normal, low, or 0 (first) to 255.")
@click.option("--delay", type=DURATION, help="Not before so long from now: 90, 5m, 1h30m.")
@click.option("--at", type=MOMENT, help="Not before this time: 2030-01-31T18:00, or 18:00 for the next one.")
@click.option("--max-attempts", type=click.IntRange(1, 1000), help="How often it is tried in all.")
@click.option("--timeout", type=DURATION, help="Longest time that one attempt may take.")
@click.option("--memory-limit", metavar="MB", type=int, help="An attempt, in a process of its own, fails above it.")
@click.option("--soft-timeout", type=DURATION, help="When an attempt is told to finish tidily; below --timeout.")
@click.option("--unique", metavar="KEY", help="Refuse while an unfinished task of the queue holds this key.")
@click.option(
    "--unique-until",
    type=click.Choice(UNIQUE_UNTIL),
    help="Free the key when the task has finished (default), or as a worker takes it.",
)
@click.option("--unique-for", type=DURATION, help="Hold the key for so long instead, whatever becomes of the task.")
@click.option(
    "--debounce", type=DURATION, help="Wait so long; one of the same --unique key meanwhile replaces what waits."
)
@click.option("--debounce-max", type=DURATION, help="With --debounce: wait so long at most after the first one.")
@click.option("--expires", type=DURATION, help="Do not start it so long from now or later: it is cancelled then.")
@click.option("--wait-for-room", type=DURATION, help="While the queue is full, wait so long for room.")
@click.option("--id", "name", metavar="NAME", help="A name of your own; submitting it again changes nothing.")
@click.option("--from", "from_id", metavar="ID", help="Ask for what this task was, where nothing else is said.")
@click.option("--force", is_flag=True, help="Submit even where the type or its arguments are not known to workers.")
@click.option("--wait", "-w", "is_waiting", is_flag=True, help="Wait for the end and print the result.")
@click.option(
    "--wait-timeout", type=DURATION, help="Wait at most so long (exit code 6); as long as it takes by default."
)
@click.option(
    "--depends-on",
    metavar="ID",
    multiple=True,
    help="Not before this task has completed, of whatever queue; repeatable.",
)
@click.option(
    "--on-parent-failure",
    type=click.Choice(PARENT_POLICIES),
    help="When one of those does not complete: fail too (default), skip = be cancelled, or run.",
)
@click.option("--limit-key", metavar="KEY", help="Whose limits it counts to, such as a tenant: see `tq queues limit`.")
@click.pass_obj
def submit(invocation: Invocation, /, *, task_type: str | None, words: tuple[str, ...], **options: Any) -> int:
    """Enqueue a task and print its id.

    Values are read as the type's published schema wants them; without one, as JSON where they are JSON, else as text.
    """
    if options["batch"] is not None:
        return _submit_batch(invocation, task_type, words, options)
    if task_type is None and options["from_id"] is None:
        raise click.UsageError(
            "name a task type, as in `tq submit send_mail to=ana@example.org`", click.get_current_context()
        )
    if options["skip_bad"]:
        raise click.UsageError("--skip-bad is for --batch", click.get_current_context())
    return _submit_one(invocation, task_type, words, options)


def _submit_one(invocation: Invocation, task_type: str | None, words: tuple[str, ...], options: dict[str, Any]) -> int:
    import msgspec

    from tq_console.cli.task_types import read_rules
    from tq_console.cli.waiting import print_end

    is_waiting = options["is_waiting"] or options["wait_timeout"] is not None
    data = read_data(options["data"])
    rules = read_rules(invocation, is_forced=options["force"])
    before = _line_from(invocation, options["from_id"])
    if before is not None and (task_type is None or "=" in task_type):
        # The type is that of the other task, so what stands in its place is the first of the arguments.
        words = words if task_type is None else (task_type, *words)
        task_type = before.type
    assert task_type is not None
    args = before.args if before is not None and options["data"] is None else data
    line = _line(options, type=task_type, args={**args, **rules.arguments(task_type, words)})
    if before is not None:
        line = line.over(msgspec.structs.replace(before, args={}))
    task_id = _enqueue(invocation, rules, line, wait_for_room_s=options["wait_for_room"])
    if is_waiting:
        invocation.out.talk(f"tq: {task_id} was enqueued; waiting for its end")
        return print_end(invocation, task_id, timeout_s=options["wait_timeout"])
    if invocation.is_json:
        from tq_console.cli.task_reading import print_records

        print_records(invocation, [task_id])
    else:
        invocation.out.line(task_id)
    return ExitCode.OK


def _line_from(invocation: Invocation, task_id: str | None) -> TaskLine | None:
    if task_id is None:
        return None
    from tq_console.cli.task_reading import WHOLE_PAYLOAD_BYTES
    from tq_console.view.submission import line_of
    from tq_core.roles import inspector

    return line_of(invocation.run(inspector.show_one(task_id, payload_max=WHOLE_PAYLOAD_BYTES)))


def _enqueue(invocation: Invocation, rules: SubmissionRules, line: TaskLine, *, wait_for_room_s: float | None) -> str:
    from tq_console.cli.room import room_waits
    from tq_core.errors import DuplicateTaskError
    from tq_core.roles import backpressure

    queue, task = rules.checked(line)
    (outcome,) = invocation.change(
        backpressure.enqueue(
            queue, [task], wait_for_room_s=wait_for_room_s, on_wait=room_waits(invocation, wait_for_room_s)
        )
    )
    if outcome.duplicate_of == "unique":
        raise DuplicateTaskError(
            f"the unique key {line.unique!r} is held by the task {outcome.task_id}: wait for it or cancel it",
            holder_id=outcome.task_id,
        )
    if outcome.duplicate_of == "replaced":
        invocation.out.talk(f"tq: {outcome.task_id} was waiting: it does now what this one asks for")
    elif not outcome.is_new:
        invocation.out.talk(f"tq: {outcome.task_id} was there already: nothing was added")
    return outcome.task_id


def _submit_batch(
    invocation: Invocation, task_type: str | None, words: tuple[str, ...], options: dict[str, Any]
) -> int:
    context = click.get_current_context()
    for name in ("data", "from_id", "unique", "name", "is_waiting", "wait_timeout"):
        if options[name]:
            flag = {"name": "--id", "from_id": "--from", "is_waiting": "--wait"}.get(
                name, f"--{name.replace('_', '-')}"
            )
            raise click.UsageError(f"{flag} is for one task, not for --batch", context)
    if words:
        raise click.UsageError("with --batch the arguments stand in its lines", context)
    from tq_console.cli.batch import submit_batch

    defaults = _line(options, type=task_type, args={})
    return submit_batch(
        invocation,
        options["batch"],
        defaults,
        is_skipping=options["skip_bad"],
        is_forced=options["force"],
        wait_for_room_s=options["wait_for_room"],
    )


def _line(options: dict[str, Any], **fields: Any) -> TaskLine:
    from tq_console.view.submission import TaskLine

    at_ms = options["at"]
    return TaskLine(
        queue=options["queue"],
        priority=options["priority"],
        delay=options["delay"],
        at=None if at_ms is None else at_ms / 1000,
        max_attempts=options["max_attempts"],
        timeout=options["timeout"],
        soft_timeout=options["soft_timeout"],
        memory_limit_mb=options["memory_limit"],
        unique=options["unique"],
        unique_until=options["unique_until"],
        unique_for=options["unique_for"],
        debounce=options["debounce"],
        debounce_max=options["debounce_max"],
        expires=options["expires"],
        id=options["name"],
        depends_on=list(options["depends_on"]) or None,
        on_parent_failure=options["on_parent_failure"],
        limit_key=options["limit_key"],
        **fields,
    )


def read_data(source: str | None) -> dict[str, Any]:
    """The JSON object that --data names.

    Raises:
        InvalidInputError: it is none.
        PayloadTooLargeError: it is too large to be looked at.
    """
    if source is None:
        return {}
    import msgspec

    from tq_core.errors import InvalidInputError, PayloadTooLargeError

    if source == "-":
        text = sys.stdin.buffer.read(MAX_DATA_BYTES + 1)
    elif source.startswith("@"):
        with Path(source[1:]).open("rb") as file:
            text = file.read(MAX_DATA_BYTES + 1)
    else:
        text = source.encode("utf-8", "surrogateescape")
    if len(text) > MAX_DATA_BYTES:
        raise PayloadTooLargeError(
            f"--data holds more than {MAX_DATA_BYTES} bytes: store it elsewhere and pass its name"
        )
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInputError(f"--data is no valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise InvalidInputError(f'--data must be a JSON object like {{"key": "value"}}, not {type(found).__name__}')
    return found
