"""Moves tasks to another queue, where each gets a new id, and back again.

No script can write in two queues. The step that takes tasks out of the old one keeps them in `leaving`, with a message;
whoever comes first brings them (`arrivals`), so nothing is lost or doubled if the mover dies at any point.
"""

from __future__ import annotations

from collections.abc import Sequence

from tq_core import ids, names
from tq_core.errors import NotFoundError, QueueFullError, RefusedError
from tq_core.keyspace import keys
from tq_core.model import WAITING_STATES
from tq_core.roles import inspector, outbox, registry
from tq_core.roles.operator import CHUNK, Acted, Bulk, Done, Progress, encode_audit_detail, new_op
from tq_core.transport.steps import Command, Flow, Script

_WORDS = {b"MOVED": "moved", b"GONE": "gone", b"WAITS": "waits", b"AWAITED": "awaited", b"STARTED": "started"}


def move(
    task_ids: Sequence[str],
    to: str,
    *,
    actor: str,
    why: str = "",
    job: str = "",
    on_progress: Progress | None = None,
) -> Flow[Acted]:
    """Moves tasks that wait or have failed to another queue; a failed one begins anew there, its history stays.

    Each gets a new id, which `Done.new_id` names and which links to the old one. Left are those that run or have ended
    otherwise, that wait for other tasks or are waited for, and whose unique key a task of the other queue holds.

    Raises:
        NotFoundError: there is no such queue.
        RefusedError: a task is in that queue already.
        QueueFullError: they do not fit in; then none is moved.
    """
    numbers = yield from registry.queue_numbers()
    if to not in numbers:
        near = names.nearest(to, numbers)
        hint = f": did you mean {' or '.join(near)}?" if near else ": see `tq queues list`"
        raise NotFoundError(f"there is no queue {to!r}{hint}")
    homes = yield from inspector.locate(task_ids)
    here = [task_id for task_id, queue in homes.items() if queue == to]
    if here:
        raise RefusedError(f"the task {here[0]} is in the queue {to!r} already: name another queue")
    number = yield from registry.register_queue(to)
    yield from _must_have_room(to, len(homes))
    detail, op, kept = encode_audit_detail({"by": actor, "why": why, "to": to}), job or new_op(), 0
    done: dict[str, Done] = {}
    by_queue: dict[str, list[str]] = {}
    for task_id, queue in homes.items():
        by_queue.setdefault(queue, []).append(task_id)
    for queue, ours in by_queue.items():
        for at in range(0, len(ours), CHUNK):
            chunk = ours[at : at + CHUNK]
            held = yield from _held_keys(queue, chunk, to)
            done |= held
            free = [task_id for task_id in chunk if task_id not in held]
            pairs = list(zip(free, ids.new_ids(number, len(free)), strict=True))
            if pairs:
                found, count = yield from _take(queue, to, pairs, (actor, op, detail), back_to="")
                kept += count
                done |= found
            # Each chunk arrives before the next is taken, so the check of unique keys sees those before it.
            yield from outbox.deliver_soon([queue])
            if on_progress:
                on_progress(len(done))
    acted = Acted(done.get(task_id, Done(task_id, "gone")) for task_id in task_ids)
    acted.undo_op = op if kept else ""
    return acted


def _must_have_room(to: str, count: int) -> Flow[None]:
    (stats,) = yield from inspector.stats([to], minutes=1)
    depth = sum(stats.depths[state] for state in WAITING_STATES)
    max_size = stats.limits.get("max_size")
    if max_size is not None and depth + count > max_size:
        raise QueueFullError(
            f"the queue {to!r} holds {depth} of at most {max_size} tasks: {count} more do not fit; "
            "raise max_size or move fewer",
            queue=to,
            depth=depth,
            max_size=max_size,
        )


def _held_keys(queue: str, task_ids: Sequence[str], to: str) -> Flow[dict[str, Done]]:
    """The tasks whose unique key a task of the other queue holds, or one before them in the list will."""
    views = yield from inspector.show(task_ids, payload_max=0, queue=queue)
    wanted = {v.id: names.encode_unique_key(v.unique_key) for v in views if v is not None and v.unique_key}
    if not wanted:
        return {}
    found = yield Command(("HMGET", keys.queue_prefix(to) + "unique", *wanted.values()))
    held: dict[str, Done] = {}
    seen: dict[str, str] = {}
    for (task_id, key), holder in zip(wanted.items(), found, strict=True):
        first = holder.decode("utf-8", "replace") if holder else seen.get(key)
        if first:
            held[task_id] = Done(task_id, f"unique:{first}")
        seen.setdefault(key, task_id)
    return held


def _take(
    queue: str, to: str, pairs: Sequence[tuple[str, str]], who: tuple[str, str, bytes], *, back_to: str
) -> Flow[tuple[dict[str, Done], int]]:
    flat = [each for pair in pairs for each in pair]
    _, words, kept = yield Script("move", keys.queue_prefix(queue), (*who, to, back_to, *flat))
    done = {}
    for (task_id, new_id), raw in zip(pairs, words, strict=True):
        word = _WORDS.get(raw) or f"is:{raw.decode().partition(':')[2]}"
        done[task_id] = Done(task_id, word, new_id=new_id if word == "moved" else "")
    return done, int(kept)


def move_back(queue: str, op: str, *, actor: str, why: str = "") -> Flow[Bulk]:
    """Brings back what an operation moved out of a queue, as it was; left is what was taken up meanwhile.

    A task comes back to its turn while its old queue's trash has it, else to the end of the line.
    """
    prefix, own_op = keys.queue_prefix(queue), new_op()
    detail = encode_audit_detail({"by": actor, "why": why, "undid": op})
    restored, after = 0, f"[{op} "
    left: list[Done] = []
    # What is not told yet has not arrived, and could not be taken back.
    yield from outbox.deliver_soon([queue])
    while True:
        members = yield Command(("ZRANGEBYLEX", prefix + "trashed", after, f"({op}!", "LIMIT", 0, CHUNK))
        if not members:
            return Bulk(restored, tuple(left))
        after = "(" + members[-1].decode()
        old_ids = [name.partition(" ")[2] for name in map(bytes.decode, members) if " !" not in name]
        there = yield from inspector.show(old_ids, payload_max=0, queue=queue)
        left += (Done(view.id, f"is:{view.state}") for view in there if view is not None)
        away = [i for i, view in zip(old_ids, there, strict=True) if view is None]
        moved = yield from inspector.moved_to(away)
        left += (Done(i, "gone") for i in away if i not in moved)
        homes = yield from inspector.locate(list(moved.values()))
        targets: dict[str, list[tuple[str, str]]] = {}
        for old_id, new_id in moved.items():
            targets.setdefault(homes.get(new_id, ""), []).append((new_id, old_id))
        for target, pairs in targets.items():
            if not target:
                left += (Done(old_id, "gone") for _, old_id in pairs)
                continue
            found, _ = yield from _take(target, queue, pairs, (actor, own_op, detail), back_to=op)
            for new_id, old_id in pairs:
                word = found[new_id].word
                if word == "moved":
                    restored += 1
                else:
                    left.append(Done(old_id, f"went:{new_id} {'is gone' if word == 'gone' else word}"))
        yield from outbox.deliver_soon([t for t in targets if t])
