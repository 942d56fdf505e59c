"""Acting on tasks that were named, and telling what became of each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from tq_console.cli.exit_codes import ExitCode
from tq_console.cli.progress import Progress
from tq_console.view.formats import plural
from tq_core.errors import InvalidInputError

if TYPE_CHECKING:
    from tq_console.cli.invocation import Invocation
    from tq_core.roles.operator import Bulk, Done
    from tq_core.transport.steps import Flow

UNDOABLE = frozenset({"cancelled", "deleted", "moved"})
BAR_FROM = 50
"""Fewer tasks than these are told one by one only."""
MAX_NAMED = 20


def read_ids(words: Sequence[str]) -> list[str]:
    """The ids that were named, each once; `-` stands for those on stdin, one on each line, or JSON records with an id.

    Raises:
        InvalidInputError: a line of stdin holds no id.
    """
    ids: list[str] = []
    for word in words:
        ids += map(_id_of, filter(str.strip, sys.stdin)) if word == "-" else [word]
    return list(dict.fromkeys(ids))


def _id_of(line: str) -> str:
    if not line.lstrip().startswith("{"):
        return line.split(maxsplit=1)[0]
    try:
        found: Any = msgspec.json.decode(line)["id"]
    except (msgspec.DecodeError, KeyError) as error:
        raise InvalidInputError(f"{line.strip()[:80]!r} is no record with an id") from error
    return str(found)


def act(
    invocation: Invocation,
    ids: Sequence[str],
    flow: Callable[[Callable[[int], None]], Flow[list[Done]]],
    *,
    participle: str,
) -> ExitCode:
    """Runs an operation on named tasks and tells what became of each.

    Args:
        invocation: The run of the command.
        ids: The tasks.
        flow: Makes the operation, given what is to be told of its progress.
        participle: What is done to each, such as `requeued`.
    """
    if not ids:
        invocation.out.talk("tq: no tasks were named: nothing to do")
        return ExitCode.OK
    if len(ids) < BAR_FROM:
        return tell(invocation, invocation.change(flow(_silent)))
    with Progress(f"looked at to be {participle}", total=len(ids)) as progress:
        done = invocation.change(flow(progress.reach))
    return tell(invocation, done)


def _silent(done: int) -> None:
    del done


def tell(invocation: Invocation, done: Sequence[Done]) -> ExitCode:
    """Prints what was done on stdout, what was not on stderr; returns how to exit."""
    out = invocation.out
    code = ExitCode.OK
    undo_op = getattr(done, "undo_op", "")
    for each in done:
        if out.is_json:
            record = {
                "id": each.task_id,
                "is_done": each.is_done,
                "word": each.word,
                "worker_id": each.worker_id or None,
                "new_id": each.new_id or None,
                "undo_op": undo_op if each.word in UNDOABLE and undo_op else None,
            }
            out.record(record)
        elif each.is_done:
            asked = f"asked to stop; it runs on {each.worker_id}"
            now = f"moved; it is {each.new_id} now" if each.word == "moved" else each.word
            out.line(f"{each.task_id}  {asked if each.word == 'asked' else now}")
        if not each.is_done:
            code = max(code, ExitCode.NOT_FOUND if each.word == "gone" else ExitCode.REFUSED)
            out.talk(f"tq: {each.task_id}: {_why_not(each.word)}")
    if any(each.word in UNDOABLE for each in done):
        tell_undo(invocation, undo_op)
    return code


def tell_undo(invocation: Invocation, undo_op: str) -> None:
    """Says how to undo what was done, or that it cannot be."""
    if undo_op:
        invocation.out.talk(f"undo: tq undo {undo_op}")
    else:
        invocation.out.talk("tq: this cannot be undone: nothing was kept of them")


def _why_not(word: str) -> str:
    kind, _, rest = word.partition(":")
    match kind:
        case "gone":
            return "there is no such task (any more)"
        case "is":
            return f"nothing was done, because it is {rest}"
        case "unique":
            return f"nothing was done, because the task {rest} holds its unique key: wait for that one or cancel it"
        case "same":
            return "nothing was done, because it has that priority"
        case "waits":
            return "nothing was done, because it waits for other tasks"
        case "awaited":
            return "nothing was done, because other tasks wait for it"
        case "went":
            new_id, _, how = rest.partition(" ")
            return f"it stays in the other queue as {new_id}, because it {how.replace('is:', 'is ')}"
    return f"nothing was done ({word})"


def tell_bulk(invocation: Invocation, bulk: Bulk, *, participle: str) -> ExitCode:
    """Says on stdout how many tasks of many were done; names those that were left on stderr."""
    out = invocation.out
    if out.is_json:
        skipped = [{"id": d.task_id, "word": d.word} for d in bulk.skipped]
        out.record({"done": bulk.done, "skipped": skipped, "undo_op": bulk.undo_op or None})
    else:
        out.line(f"{plural(bulk.done, 'task')} {participle}")
    if bulk.done and participle == "deleted":
        tell_undo(invocation, bulk.undo_op)
    for each in bulk.skipped[:MAX_NAMED]:
        out.talk(f"tq: {each.task_id}: {_why_not(each.word)}")
    if len(bulk.skipped) > MAX_NAMED:
        out.talk(f"tq: and {len(bulk.skipped) - MAX_NAMED:,} more were left where they are")
    return ExitCode.REFUSED if bulk.skipped else ExitCode.OK


WHY = click.option("--why", default="", metavar="TEXT", help="A reason, written down with the change.")
