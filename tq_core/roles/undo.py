"""What was deleted or cancelled, put back: tasks in the state and at the turn they had, with their history.

An operation's tasks lie in their queues' trash from the step that took them until keep_trash_ms is over. What went on
meanwhile is left: a task that was run again, a name that was enqueued again, a unique key that another task holds. An
undo is an operation that cannot itself be undone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from tq_core.errors import InvalidInputError, NotFoundError
from tq_core.keyspace import keys, wire
from tq_core.roles import moves, outbox, registry
from tq_core.roles.operator import CHUNK, Bulk, Done, Progress, encode_audit_detail, new_op, skipped_of
from tq_core.transport.steps import Batch, Flow, Script

LIST_MAX = 100
_OP = re.compile(r"[0-9a-f]{6,32}")


class Undoable(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that can still be undone."""

    op: str
    at_ms: int
    action: str
    by: str
    detail: dict[str, Any]
    tasks: dict[str, int]
    """Queue -> how many of its tasks are in the trash."""
    until_ms: int

    @property
    def count(self) -> int:
        return sum(self.tasks.values())


def undoable(
    queues: Sequence[str] | None = None, *, op: str = "", by: str = "", limit: int = LIST_MAX
) -> Flow[list[Undoable]]:
    """The operations on queues (all when None) that can be undone, the latest first.

    Args:
        op: Only this one.
        by: Only those of this actor.
    """
    if op and not _OP.fullmatch(op):
        raise InvalidInputError(f"{op!r} is no operation: `tq undo --list` shows them")
    if queues is None:
        queues = list((yield from registry.queue_numbers()))
    replies = yield Batch([Script("operations", keys.queue_prefix(q), (op, limit)) for q in queues])
    found: dict[str, Undoable] = {}
    for queue, (_, *entries) in zip(queues, replies, strict=True):
        for raw_op, facts, count, until_ms in entries:
            at_ms, action, actor, detail = wire.values_of(facts, 4)
            name = raw_op.decode("ascii", "replace")
            known = found.get(name)
            found[name] = Undoable(
                op=name,
                at_ms=max(int(at_ms) if at_ms.isdigit() else 0, known.at_ms if known else 0),
                action=action.decode("utf-8", "replace"),
                by=actor.decode("utf-8", "replace"),
                detail=wire.json_object(detail),
                tasks={**(known.tasks if known else {}), queue: int(count)},
                until_ms=int(float(until_ms)),
            )
    chosen = [each for each in found.values() if not by or each.by == by]
    return sorted(chosen, key=lambda each: -each.at_ms)[:limit]


def last_undoable(queues: Sequence[str] | None = None, *, by: str = "") -> Flow[Undoable]:
    """The latest operation that can be undone.

    Raises:
        NotFoundError: there is none.
    """
    found = yield from undoable(queues, by=by)
    if not found:
        of_whom = f" of {by}" if by else ""
        raise NotFoundError(f"there is nothing{of_whom} that can be undone: see `tq undo --list`")
    return found[0]


def undo(
    op: str,
    queues: Sequence[str] | None = None,
    *,
    actor: str,
    why: str = "",
    on_progress: Progress | None = None,
) -> Flow[Bulk]:
    """Puts back what an operation deleted or cancelled, and what gave up because of it; says what is left and why.

    Raises:
        NotFoundError: there is no such operation, or it was too long ago.
        InvalidInputError: this is no name of an operation.
    """
    found = yield from undoable(queues, op=op)
    if not found:
        raise NotFoundError(f"the operation {op} cannot be undone (any more): see `tq undo --list`")
    detail, own_op = encode_audit_detail({"by": actor, "why": why, "undid": op}), new_op()
    restored = 0
    left: dict[str, Done] = {}
    questions: list[outbox.Message] = []
    for queue in found[0].tasks:
        if found[0].action == "move":
            back = yield from moves.move_back(queue, op, actor=actor, why=why)
            restored += back.done
            left |= {done.task_id: done for done in back.skipped}
            continue
        after, in_round, deferred, force = "", 0, 0, 0
        while True:
            word, *rest = yield Script(
                "undo",
                keys.queue_prefix(queue),
                (actor, own_op, detail, op, after, CHUNK, force),
                is_idempotent=False,
            )
            if word == b"GONE":
                break
            ids, words, last, later, asks = rest
            questions += (outbox.Message(queue, raw) for raw in asks)
            restored += len(ids)
            in_round += len(ids)
            deferred += int(later)
            left |= {done.task_id: done for done in map(skipped_of, words)}
            if on_progress:
                on_progress(restored)
            after = last.decode()
            if not after:
                if not deferred:
                    break
                # Parents first: a round that could put nothing back will never find them.
                force, in_round, deferred = int(in_round == 0), 0, 0
    # Only now are the parents there that this operation had taken from other queues.
    yield from outbox.tell_soon(questions)
    yield from outbox.deliver_soon(tuple(found[0].tasks))
    return Bulk(restored, tuple(left.values()))
