"""Brings tasks that were moved to their new queue, or back to the old one; see `tq_core.roles.moves`.

A task lies in the `leaving` of its old queue until it has arrived, and the step that takes it out takes the message out
that says where it goes. So a death at any point makes it be brought twice, and the second time its queue knows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from tq_core import ids
from tq_core.errors import InvalidInputError, RefusedError
from tq_core.keyspace import keys, wire
from tq_core.transport.steps import Arg, Command, Flow, Script

MOVE, RETURN = "move", "return"
_VALUES = 7


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks on their way from one queue to another."""

    origin: str
    """The queue that keeps them until they have arrived."""
    to: str
    op: str
    by: str
    undid: str
    """The move that is undone; empty for a move."""
    ids: tuple[tuple[str, str], ...]
    """(id, new id)."""


def read(queue: str, said: dict[str, Any]) -> Passage:
    """What a message of a queue's outbox says; KeyError, TypeError or ValueError where it is damaged."""
    flat = [str(each) for each in said["ids"]]
    return Passage(
        origin=queue,
        to=str(said["to"]),
        op=str(said["op"]),
        by=str(said["by"]),
        undid=str(said["undid"]) if said["kind"] == RETURN else "",
        ids=tuple(zip(flat[::2], flat[1::2], strict=True)),
    )


def bring(passage: Passage) -> Flow[None]:
    """Has the tasks accepted that have not arrived yet.

    Raises:
        RefusedError: the queue is not the one that it was, or a newer tq wrote it; they stay where they are.
    """
    leaving = keys.queue_prefix(passage.origin) + "leaving"
    found = yield Command(("HMGET", leaving, *(new_id for _, new_id in passage.ids)))
    packed = {pair: raw for pair, raw in zip(passage.ids, found, strict=True) if raw is not None}
    if not packed:
        return
    if passage.undid:
        yield from _put_back(passage, [new_id for _, new_id in packed])
    prefix = keys.queue_prefix(passage.to)
    detail = wire.encode_detail({"by": passage.by, "from": passage.origin})
    args: list[Arg] = [_number(new_id for _, new_id in packed), passage.by, passage.op, detail, passage.undid]
    for (old_id, new_id), raw in packed.items():
        args += _arrival(old_id, new_id, raw)
    word, *_ = yield Script("arrive", prefix, args)
    if word != b"OK":
        raise RefusedError(f"{passage.to!r} does not take tasks that were moved to it: {word.decode()}")


def _number(new_ids: Iterable[str]) -> int | str:
    """The number of their queue that ids carry; "" where all are chosen ones."""
    return next((home for home in map(ids.home_of, new_ids) if isinstance(home, int)), "")


def _put_back(passage: Passage, task_ids: list[str]) -> Flow[None]:
    """What is still in the trash comes back from there, at the turn it had; the rest arrives as anew."""
    detail = wire.encode_detail({"by": passage.by, "undid": passage.undid})
    args: list[Arg] = [passage.by, passage.op, detail, passage.undid, "", 0, 1, *task_ids]
    yield Script("undo", keys.queue_prefix(passage.to), args)


def _arrival(old_id: str, new_id: str, packed: bytes) -> Iterator[Arg]:
    state, due_ms, expires_ms, key, body, trail, attempts = wire.values_of(packed, _VALUES)
    try:
        header, payload = wire.split_body(body)
        priority = header.priority
        tail = wire.body_tail(
            task_type=header.task_type,
            max_attempts=header.max_attempts,
            unique_key=header.unique_key,
            options=msgspec.structs.replace(header.options, linked_to=old_id),
            payload=payload,
        )
    except InvalidInputError:
        # Nobody can run it, but it is not ours to lose.
        place, _, rest = body.partition(b"|")
        priority = int(place) // wire.PRIORITY_BAND if place.isdigit() else 0
        tail = rest.partition(b"|")[2]
    yield from (new_id, priority, state, due_ms, expires_ms, key, tail, trail, attempts)
