"""What handlers say while they run: how far they are, and their last lines, kept with the task.

A worker puts together what its handlers say and sends it about twice a second, and before each end; a task that says
nothing costs nothing. The last 100 lines or 16 KiB are kept, as long as the task is; deleting it deletes them for good.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tq_core.keyspace import keys, wire
from tq_core.roles import ends, inspector
from tq_core.transport.steps import Arg, Command, Flow, Pause, Script

MAX_LINES = 100
"""Of one task that one call carries: of more, the last."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What one run has said since the last time."""

    task_id: str
    token: bytes
    seq: int
    """Which part of what this run says it is, from 1."""
    progress: tuple[float, str] | None = None
    """Fraction from 0 to 1, and what it is doing."""
    lines: Sequence[tuple[int, str]] = ()
    """(how many milliseconds ago, text), oldest first."""


class Line(msgspec.Struct, frozen=True):
    """One line of a handler."""

    at_ms: int
    text: str


def note(queue: str, said: Sequence[Said]) -> Flow[None]:
    """Keeps what runs of one queue have said; may be sent again.

    Raises:
        BrokerRefusedError: the server takes no more memory; nothing was kept.
    """
    args: list[Arg] = []
    for each in said:
        progress = f"{each.progress[0]:.4f}|{each.progress[1]}" if each.progress else ""
        lines = b"\n".join(b"%d|%s" % (age_ms, msgspec.json.encode(text)) for age_ms, text in each.lines[-MAX_LINES:])
        args += (each.task_id, each.token, each.seq, progress, lines)
    yield Script("note", keys.queue_prefix(queue), args)


def read(task_id: str) -> Flow[list[Line]]:
    """The last lines that a task's handlers said, oldest first, of all its attempts.

    Raises:
        NotFoundError: no queue has given this id.
        InvalidInputError: this is no task id.
    """
    queue = yield from ends.home(task_id)
    return (yield from read_in(queue, task_id))


def read_in(queue: str, task_id: str) -> Flow[list[Line]]:
    """The same for a task whose queue is known, in one step."""
    raw: bytes | None = yield Command(("HGET", keys.logs(queue), task_id))
    return wire.log_lines(raw or b"", Line)


class More(msgspec.Struct, frozen=True):
    """What came since the last look."""

    new: list[Line]
    lines: list[Line]
    """All that is kept now: what the next look is given."""
    has_ended: bool


def follow(task_id: str, known: Sequence[Line], *, every_s: float = 0.5) -> Flow[More]:
    """Waits for more lines, or for the task's end.

    Raises:
        NotFoundError: the task is not there (any more).
    """
    while True:
        task = yield from inspector.show_one(task_id, payload_max=0)
        lines = yield from read(task_id)
        new = newer(known, lines)
        if new or task.state.is_terminal:
            return More(new, lines, task.state.is_terminal)
        yield Pause(every_s)


def newer(known: Sequence[Line], lines: Sequence[Line]) -> list[Line]:
    """The lines after those that were known; the oldest may have been dropped meanwhile."""
    for size in range(min(len(known), len(lines)), 0, -1):
        if list(lines[:size]) == list(known[-size:]):
            return list(lines[size:])
    return list(lines)
