"""The plan for a new task: what the submit form carries out."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from tq_console.tui.actions.plan import Level, Plan, Told, command_line
from tq_console.view.formats import size
from tq_console.view.secrets import Masker
from tq_console.view.submission import TaskLine
from tq_console.view.text import json_line, visible
from tq_core.errors import InvalidArgumentsError
from tq_core.model import NewTask, priority_label
from tq_core.roles import producer
from tq_core.roles.producer import Enqueued
from tq_core.tasks import schema as schemas

LONGEST_ARGUMENTS = 400
"""A command with longer arguments takes them from a pipe."""


def submit(
    queue: str,
    task: NewTask,
    line: TaskLine,
    *,
    masker: Masker,
    schema: Mapping[str, Any] | None = None,
    before: TaskLine | None = None,
    is_forced: bool = False,
    is_raw: bool = False,
) -> Plan:
    """Enqueues one task that has been checked.

    Args:
        line: What the task was made from.
        schema: What the type's workers published; words of a command are read by it.
        before: What is asked for again, with the changes of `line`.
        is_raw: The arguments were written as JSON, and so the command shows them.
    """
    return Plan(
        title=f"Submit {task.task_type} to {queue}",
        command=submit_command(
            queue,
            task,
            line,
            masker=masker,
            schema={} if schema is None or is_forced else schema,
            before=before,
            is_forced=is_forced,
            is_raw=is_raw,
        ),
        level=Level.NONE,
        flow=lambda _: producer.enqueue(queue, [task]),
        tell=_tell(queue, task),
    )


def submit_command(
    queue: str,
    task: NewTask,
    line: TaskLine,
    *,
    masker: Masker,
    schema: Mapping[str, Any],
    before: TaskLine | None = None,
    is_forced: bool = False,
    is_raw: bool = False,
) -> str:
    """The command that does the same, without secrets; what is too long for a line is said to come from a pipe."""
    command = ["submit", task.task_type]
    notes = []
    if line.linked_to is not None:
        command += ["--from", line.linked_to]
    arguments, note = _arguments(line.args, masker=masker, schema=schema, before=before, is_raw=is_raw)
    command += arguments
    notes += [note] if note else []
    command += _options(queue, task, line, before)
    if before is not None and before.timeout is not None and line.timeout is None:
        notes.append("and without its timeout")
    command += ["--force"] if is_forced else []
    return command_line(*map(visible, command)) + (f"   # {', '.join(notes)}" if notes else "")


def _options(queue: str, task: NewTask, line: TaskLine, before: TaskLine | None) -> list[str]:
    # What the other task had and this one has not must be said too, as what it is now.
    old = before or TaskLine()
    words = []
    if line.queue != old.queue:
        words += ["--queue", queue]
    if _priority(line.priority) != _priority(old.priority):
        words += ["--priority", priority_label(task.priority)]
    for flag, value in (("--delay", line.delay), ("--at", line.at)):
        words += [flag, str(value)] if value is not None else []
    if line.max_attempts != old.max_attempts:
        words += ["--max-attempts", str(task.max_attempts)]
    if line.timeout is not None and task.options.timeout_s != old.timeout:
        words += ["--timeout", str(line.timeout)]
    for flag, text in (("--unique", line.unique), ("--id", line.id)):
        words += [flag, text] if text is not None else []
    return words


def _priority(value: int | str | None) -> str:
    return priority_label(value) if isinstance(value, int) else str(value)


def _arguments(
    args: dict[str, Any],
    *,
    masker: Masker,
    schema: Mapping[str, Any],
    before: TaskLine | None,
    is_raw: bool,
) -> tuple[list[str], str]:
    """Words for the arguments, and what must be said beside them."""
    said = args
    if before is not None:
        if args.keys() >= before.args.keys():
            # What is not said is taken from the other task.
            said = {k: v for k, v in args.items() if k not in before.args or not same(v, before.args[k])}
            is_raw = False
            if not said:
                return [], ""
        else:
            is_raw = True
    if not said:
        return (["--data", "{}"] if before is not None else []), ""
    if not is_raw and len(msgspec.json.encode(said)) <= LONGEST_ARGUMENTS:
        words = _words(said, masker, schema)
        if words is not None:
            return words, ""
    # --data stands for all arguments, so with them it is all that must come.
    whole = len(msgspec.json.encode(args))
    if whole <= LONGEST_ARGUMENTS:
        return ["--data", json_line(_masked(args, masker))], ""
    return ["--data", "-"], f"{size(whole)} of JSON on stdin"


def _words(args: dict[str, Any], masker: Masker, schema: Mapping[str, Any]) -> list[str] | None:
    """The arguments as key=value; None where one of them cannot be said like that."""
    masked = _masked(args, masker)
    words = []
    for name, value in args.items():
        text = value if isinstance(value, str) else json_line(value)
        try:
            is_same = same(schemas.coerce_text(schema, name, text), value)
        except InvalidArgumentsError:
            is_same = False
        if not is_same or "=" in name or name.startswith("-") or not (name + text).isprintable() or not name:
            return None
        shown = masked[name]
        words.append(f"{name}={shown if isinstance(shown, str) else json_line(shown)}")
    return words


def _masked(args: dict[str, Any], masker: Masker) -> dict[str, Any]:
    # Arguments may be nested as deeply as JSON can be, and those are short enough only up to here.
    try:
        return dict(masker.masked(args))
    except RecursionError:
        return dict.fromkeys(args, "…")


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: 1, 1.0 and true are not."""
    return type(one) is type(other) and _canonical(one) == _canonical(other)


_canonical = msgspec.json.Encoder(order="deterministic").encode


def _tell(queue: str, task: NewTask) -> Callable[[Sequence[Enqueued]], Told]:
    def tell(outcomes: Sequence[Enqueued]) -> Told:
        (outcome,) = outcomes
        if outcome.duplicate_of == "unique":
            return Told(
                f"not enqueued: the unique key {shlex.quote(visible(task.unique_key or ''))} is held by the task "
                f"{outcome.task_id}, which has not ended: wait for it or cancel it",
                is_good=False,
            )
        if not outcome.is_new:
            return Told(f"{outcome.task_id} was there already: nothing was added")
        return Told(f"{outcome.task_id} enqueued in {queue}", new_id=outcome.task_id)

    return tell
