"""What people change: each write names its actor and is written down, with its count, in the step that makes it.

Operations on many tasks go in chunks, so that no call holds up the server; `on_progress` is told after each how many
are done, and stopping between two chunks leaves everything consistent.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tq_core import names
from tq_core.errors import InvalidInputError, NotFoundError
from tq_core.keyspace import keys, wire
from tq_core.model import TERMINAL_STATES, WAITING_STATES, TaskState, parse_priority
from tq_core.roles import inspector, maintenance, outbox, registry
from tq_core.transport.steps import Arg, Batch, Command, Flow, Script

CHUNK = 200
PURGE_CHUNK = 1_000
AUDITED_IDS = 20
"""Ids that an entry of the audit names; the same number stands in its script."""
SETTINGS = ("max_size", "keep_ms", "keep_completed", "keep_cancelled", "keep_failed", "keep_trash_ms")
DEFAULTS: dict[str, int | None] = {
    "max_size": None,
    "keep_ms": maintenance.KEEP_MS,
    "keep_completed": maintenance.KEEP_COUNT,
    "keep_cancelled": maintenance.KEEP_COUNT,
    "keep_failed": maintenance.KEEP_COUNT,
    "keep_trash_ms": 900_000,
}
"""What holds where a queue says nothing else; that of the trash is in `includes/trash.lua`."""
MAX_SETTING = 2**45 - 1

Progress = Callable[[int], None]


_DONE = frozenset({"cancelled", "asked", "requeued", "deleted", "reprioritised", "restored", "moved"})


class Done(msgspec.Struct, frozen=True):
    """What became of one task of an operation."""

    task_id: str
    word: str
    """cancelled, asked (it runs and was told to stop), requeued, deleted, reprioritised, restored, moved; or why
    nothing was done: gone, is:STATE, unique:ID, same (it has that priority), waits (for others), awaited (by others),
    went:ID STATE (what was moved went on under this id)."""
    worker_id: str = ""
    new_id: str = ""
    """moved: its id in the other queue."""

    @property
    def is_done(self) -> bool:
        return self.word in _DONE


class Bulk(msgspec.Struct, frozen=True):
    """What became of many tasks."""

    done: int
    skipped: tuple[Done, ...] = ()
    undo_op: str = ""
    """What `undo` takes to put them back; empty where that cannot be done."""


class Acted(list[Done]):
    """What became of each of the tasks that were named."""

    undo_op = ""
    """What `undo` takes to put them back; empty where that cannot be done."""


def cancel(
    task_ids: Sequence[str],
    *,
    actor: str,
    why: str = "",
    kill: bool = False,
    job: str = "",
    on_progress: Progress | None = None,
) -> Flow[Acted]:
    """Ends tasks that have not run; asks running ones to stop, and with `kill` ends those that do not listen.

    A running task's node is told at once; should that message be lost, its worker learns it with the next renewal of
    the lease. What had not run can be put back by `undo`. `job` names the job that this is a part of.
    """
    mode = "kill" if kill else "cancel"
    detail = encode_audit_detail({"by": actor, "why": why, "mode": mode, "job": job})
    op, kept = job or new_op(), 0
    done: dict[str, Done] = {}
    chunks = _last_first((yield from _chunks(task_ids)))
    for queue, chunk in chunks:
        _, words, count = yield Script("cancel", keys.queue_prefix(queue), (actor, op, mode, detail, *chunk))
        kept += int(count)
        for task_id, raw in zip(chunk, words, strict=True):
            word, _, rest = raw.decode().partition(":")
            if word == "ASKED":
                done[task_id] = Done(task_id, "asked", rest)
                yield from _nudge(rest, task_id, mode, actor)
            else:
                done[task_id] = Done(task_id, f"is:{rest}" if word == "IS" else word.lower())
        if on_progress:
            on_progress(len(done))
    yield from outbox.deliver_soon(tuple(dict.fromkeys(queue for queue, _ in chunks)))
    return _acted(task_ids, done, op if kept else "")


def _acted(task_ids: Sequence[str], done: dict[str, Done], undo_op: str) -> Acted:
    acted = Acted(done.get(task_id, Done(task_id, "gone")) for task_id in task_ids)
    acted.undo_op = undo_op
    return acted


def reprioritise(
    task_ids: Sequence[str],
    priority: int,
    *,
    actor: str,
    why: str = "",
    job: str = "",
    on_progress: Progress | None = None,
) -> Flow[Acted]:
    """Gives tasks that wait another priority; among those of the new one they keep their age."""
    priority = parse_priority(priority)
    detail, op = encode_audit_detail({"by": actor, "why": why, "priority": priority}), job or new_op()
    done: dict[str, Done] = {}
    for queue, chunk in (yield from _chunks(task_ids)):
        words = yield Script("reprioritise", keys.queue_prefix(queue), (actor, op, detail, priority, *chunk))
        for task_id, raw in zip(chunk, words, strict=True):
            word, _, rest = raw.decode().partition(":")
            said = {"MOVED": "reprioritised", "IS": f"is:{rest}"}.get(word, word.lower())
            done[task_id] = Done(task_id, said)
        if on_progress:
            on_progress(len(done))
    return _acted(task_ids, done, "")


def _nudge(worker_id: str, task_id: str, mode: str, actor: str) -> Flow[None]:
    try:
        yield from registry.send_command(
            worker_id.rpartition(".")[0], "kill_task", actor=actor, args={"task_id": task_id, "mode": mode}
        )
    except NotFoundError:
        return


def requeue(
    task_ids: Sequence[str],
    *,
    actor: str,
    why: str = "",
    until_ms: int = 0,
    job: str = "",
    on_progress: Progress | None = None,
) -> Flow[list[Done]]:
    """Runs ended tasks again from the start; their history stays. With `until_ms`: only what had ended by then."""
    detail, op = encode_audit_detail({"by": actor, "why": why}), job or new_op()
    done: dict[str, Done] = {}
    chunks = list((yield from _chunks(task_ids)))
    for queue, chunk in chunks:
        _, moved, skipped, _ = yield Script(
            "requeue",
            keys.queue_prefix(queue),
            (actor, op, detail, "", until_ms, 0, 0, "", *chunk),
            is_idempotent=False,
        )
        done |= {i.decode(): Done(i.decode(), "requeued") for i in moved}
        done |= {d.task_id: d for d in map(skipped_of, skipped)}
        if on_progress:
            on_progress(len(done))
    yield from outbox.deliver_soon(tuple(dict.fromkeys(queue for queue, _ in chunks)))
    return [done.get(task_id, Done(task_id, "gone")) for task_id in task_ids]


def requeue_all(
    queue: str,
    *,
    actor: str,
    why: str = "",
    state: TaskState = TaskState.FAILED,
    on_progress: Progress | None = None,
) -> Flow[Bulk]:
    """Runs all tasks again that are in a terminal state now; those that fail again meanwhile are left alone."""
    if state not in TERMINAL_STATES:
        raise InvalidInputError(f"only ended tasks can be run again, not {state} ones")
    detail, op = encode_audit_detail({"by": actor, "why": why}), new_op()
    until_ms = yield from registry.server_time_ms()
    done = 0
    skipped: list[Done] = []
    while True:
        _, moved, left, _ = yield Script(
            "requeue",
            keys.queue_prefix(queue),
            (actor, op, detail, state, until_ms, CHUNK, len(skipped), ""),
            is_idempotent=False,
        )
        done += len(moved)
        skipped += [skipped_of(raw) for raw in left]
        if not moved and not left:
            yield from outbox.deliver_soon([queue])
            return Bulk(done, tuple(skipped))
        if on_progress:
            on_progress(done)


def requeue_group(
    queue: str, group: str, *, actor: str, why: str = "", on_progress: Progress | None = None
) -> Flow[Bulk]:
    """Runs the tasks of a queue again that failed alike until now; see `inspector.groups`."""
    detail, op = encode_audit_detail({"by": actor, "why": why, "group": group}), new_op()
    until_ms = yield from registry.server_time_ms()
    done, last = 0, ""
    skipped: list[Done] = []
    while True:
        _, moved, left, seen = yield Script(
            "requeue",
            keys.queue_prefix(queue),
            (actor, op, detail, TaskState.FAILED, until_ms, CHUNK, last, group),
            is_idempotent=False,
        )
        done += len(moved)
        skipped += [skipped_of(raw) for raw in left]
        last = seen.decode()
        if not last:
            yield from outbox.deliver_soon([queue])
            return Bulk(done, tuple(skipped))
        if on_progress:
            on_progress(done)


def discard(
    task_ids: Sequence[str],
    *,
    actor: str,
    why: str = "",
    action: str = "discard",
    can_undo: bool = True,
    job: str = "",
    on_progress: Progress | None = None,
) -> Flow[Acted]:
    """Deletes tasks with all that is kept of them; running ones are left alone.

    They can be put back by `undo` for as long as their queue keeps its trash, unless `can_undo` is False or memory is
    full.
    """
    detail, op, kept = encode_audit_detail({"by": actor, "why": why}), job or new_op(), 0
    done: dict[str, Done] = {}
    chunks = _last_first((yield from _chunks(task_ids)))
    for queue, chunk in chunks:
        _, _, skipped, count = yield Script(
            "discard", keys.queue_prefix(queue), (actor, op, action, detail, "", 0, 0, int(can_undo), *chunk)
        )
        kept += int(count)
        left = {d.task_id: d for d in map(skipped_of, skipped)}
        done |= {i: left.get(i, Done(i, "deleted")) for i in chunk}
        if on_progress:
            on_progress(len(done))
    yield from outbox.deliver_soon(tuple(dict.fromkeys(queue for queue, _ in chunks)))
    return _acted(task_ids, done, op if kept else "")


def purge(
    queue: str,
    *,
    actor: str,
    why: str = "",
    state: TaskState = TaskState.PENDING,
    can_undo: bool = True,
    op: str = "",
    on_progress: Progress | None = None,
) -> Flow[Bulk]:
    """Deletes the tasks that are in one state now; never running ones. What comes in meanwhile may go too (pending).

    They can be put back as those of `discard`; their memory is free only when the queue's trash is emptied. Purges that
    are given the same `op` are undone together.
    """
    if state not in WAITING_STATES | TERMINAL_STATES:
        raise InvalidInputError(f"{state} tasks cannot be purged: cancel or kill them")
    detail, op = encode_audit_detail({"by": actor, "why": why}), op or new_op()
    until: Arg = (yield from registry.server_time_ms()) if state.is_terminal else "+inf"
    (before,) = yield from inspector.stats([queue], minutes=1)
    done = kept = 0
    while done < before.depths[state]:
        limit = min(PURGE_CHUNK, before.depths[state] - done)
        _, count, _, saved = yield Script(
            "discard",
            keys.queue_prefix(queue),
            (actor, op, "purge", detail, state, until, limit, int(can_undo)),
            is_idempotent=False,
        )
        kept += int(saved)
        if not int(count):
            break
        done += int(count)
        if on_progress:
            on_progress(done)
    yield from outbox.deliver_soon([queue])
    return Bulk(done, undo_op=op if kept else "")


def pause_queue(queue: str, *, actor: str, why: str = "") -> Flow[bool]:
    """Stops a queue's tasks from being claimed; running ones go on. False when it was paused already."""
    return (yield from _pause(queue, actor, why, 1))


def resume_queue(queue: str, *, actor: str, why: str = "") -> Flow[bool]:
    """Lets a queue's tasks be claimed again. False when it was not paused."""
    return (yield from _pause(queue, actor, why, 0))


def _pause(queue: str, actor: str, why: str, paused: int) -> Flow[bool]:
    yield from _must_exist(queue)
    _, word = yield Script(
        "pause", keys.queue_prefix(queue), (actor, new_op(), paused, encode_audit_detail({"by": actor, "why": why}))
    )
    return bool(word == b"changed")


def check_settings(settings: dict[str, int | None]) -> None:
    """Refuses what cannot be set for a queue.

    Raises:
        InvalidInputError: an unknown setting, or a value that is negative or too large.
    """
    for name, value in settings.items():
        if name not in SETTINGS:
            raise InvalidInputError(f"{name!r} is no setting of a queue: use {', '.join(SETTINGS)}")
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if value is not None and not (is_whole and 0 <= value <= MAX_SETTING):
            raise InvalidInputError(f"{name} = {value!r}: must be a number from 0 to {MAX_SETTING}")


def configure_queue(queue: str, settings: dict[str, int | None], *, actor: str, why: str = "") -> Flow[None]:
    """Sets limits of a queue; None clears one.

    Args:
        settings: Any of SETTINGS; max_size counts waiting tasks, keep_ms is an age, keep_trash_ms how long an operation
            can be undone (0 = not at all), the others count ended tasks.

    Raises:
        InvalidInputError: as `check_settings` says.
    """
    check_settings(settings)
    args: list[Arg] = [actor, new_op(), encode_audit_detail({"by": actor, "why": why, "set": settings})]
    for name, value in settings.items():
        args += (name, "" if value is None else value)
    yield from registry.register_queue(queue)
    yield Script("configure", keys.queue_prefix(queue), args)


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """One write of a person, its chunks added up."""

    at_ms: int
    by: str
    action: str
    target: str
    """The queue or the node; `fleet` where an older version did not say which node."""
    count: int
    detail: dict[str, Any]
    op: str
    ids: tuple[str, ...] = ()
    """The first of the tasks, where it was about tasks."""


def audit_log(queues: Sequence[str] | None = None, *, limit: int = 100) -> Flow[list[Audited]]:
    """The latest writes of people, newest first, to queues and to nodes, in one round trip."""
    if queues is None:
        queues = list((yield from registry.queue_numbers()))
    merged: dict[str, Audited] = {}
    streams = [(q, keys.audit(q)) for q in queues] + [("", keys.FLEET_AUDIT)]
    replies = yield Batch([Command(("XREVRANGE", key, "+", "-", "COUNT", limit * 2)) for _, key in streams])
    for (queue, _), entries in zip(streams, replies, strict=True):
        for _, fields in entries:
            entry = audited_of(queue, fields)
            if entry is None:
                continue
            known = merged.get(entry.op + queue)
            if known:
                entry = msgspec.structs.replace(
                    entry, count=entry.count + known.count, ids=(entry.ids + known.ids)[:AUDITED_IDS]
                )
            merged[entry.op + queue] = entry
    return sorted(merged.values(), key=lambda a: -a.at_ms)[:limit]


def audited_of(queue: str, fields: Mapping[bytes, bytes]) -> Audited | None:
    """An entry of a stream of people's writes; None where no program of ours wrote it.

    Args:
        queue: Empty for the fleet.
    """
    f = {k.decode("utf-8", "replace"): v.decode("utf-8", "replace") for k, v in fields.items()}
    try:
        detail = wire.json_object(f["detail"])
        node = None if queue else detail.pop("node", None)
        return Audited(
            at_ms=int(f["at"]),
            by=f["by"],
            action=f["do"],
            target=str(node or queue or "fleet"),
            count=int(f["n"]),
            detail=detail,
            op=f["op"],
            ids=tuple(f["i"].split(",")) if f.get("i") else (),
        )
    except (KeyError, ValueError):
        return None


def note(queue: str, *, actor: str, action: str, detail: dict[str, Any]) -> Flow[None]:
    """Writes down something a person did that changed nothing, such as revealing secrets."""
    now_ms = yield from registry.server_time_ms()
    yield Command(
        (
            *("XADD", keys.audit(queue), "MAXLEN", "~", 10_000, "*", "at", now_ms, "by", actor, "op", new_op()),
            *("do", action, "n", 0, "detail", encode_audit_detail({"by": actor, **detail})),
        )
    )


def note_unlock(*, actor: str, why: str, for_s: int | None) -> Flow[None]:
    """Writes down that somebody lets writes through to a protected broker, and why.

    Args:
        for_s: Seconds for which; None = for one command.
    """
    now_ms = yield from registry.server_time_ms()
    detail = encode_audit_detail({"by": actor, "why": why, "for_s": for_s})
    yield Command(
        (
            *("XADD", keys.FLEET_AUDIT, "MAXLEN", "~", 10_000, "*", "at", now_ms, "by", actor, "op", new_op()),
            *("do", "unlock", "n", 0, "detail", detail),
        )
    )


def _must_exist(queue: str) -> Flow[None]:
    known = yield from registry.queue_numbers()
    if queue not in known:
        near = names.nearest(queue, known)
        hint = f": did you mean {' or '.join(near)}?" if near else ": see `tq queues list`"
        raise NotFoundError(f"there is no queue {queue!r}{hint}")


def _chunks(task_ids: Sequence[str]) -> Flow[Iterator[tuple[str, list[str]]]]:
    homes = yield from inspector.locate(task_ids)
    by_queue: dict[str, list[str]] = {}
    for task_id, queue in homes.items():
        by_queue.setdefault(queue, []).append(task_id)
    return ((q, some[i : i + CHUNK]) for q, some in by_queue.items() for i in range(0, len(some), CHUNK))


def _last_first(chunks: Iterator[tuple[str, list[str]]]) -> list[tuple[str, list[str]]]:
    # Parents are mostly named before their children, which would give up, and end in the DLQ, when those go first.
    return list(reversed(list(chunks)))


def skipped_of(raw: bytes) -> Done:
    """What a script says of a task that it left, as `<id> IS:<state>`."""
    task_id, _, word = raw.decode().partition(" ")
    kind, _, rest = word.partition(":")
    return Done(task_id, {"IS": f"is:{rest}", "U": f"unique:{rest}"}.get(kind, kind.lower()))


def new_op() -> str:
    """A name for an operation, which its calls share."""
    return secrets.token_hex(6)


def encode_audit_detail(detail: dict[str, Any]) -> bytes:
    """The detail of an entry of the audit; what is empty is left out."""
    return wire.encode_detail({k: v for k, v in detail.items() if v != ""})
