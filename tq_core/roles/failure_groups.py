"""Tasks that failed alike: who they are, and what is done to all of them, over all queues that have some.

Which groups there are is told by `inspector.groups`. Here a group is its name, which is the same in every queue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from tq_core.keyspace import keys, wire
from tq_core.model import TaskState, TaskView
from tq_core.roles import operator, outbox, registry
from tq_core.roles.operator import CHUNK, Bulk, Done, Progress
from tq_core.transport.steps import Batch, Command, Flow, Script

PREVIEW_BYTES = 256
OFFSET_MAX = 100_000
"""So far down a group can be paged: Redis walks from its start to an offset."""


class GroupMembers(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the tasks of a group."""

    counts: dict[str, int]
    """How many each queue has."""
    tasks: tuple[TaskView, ...]
    failed_at_ms: tuple[int, ...]
    """When some of them failed, in no order."""

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def members(
    queues: Sequence[str],
    group: str,
    *,
    offset: int = 0,
    limit: int = 50,
    payload_max: int = PREVIEW_BYTES,
    times: int = 0,
    counts: Mapping[str, int] | None = None,
) -> Flow[GroupMembers]:
    """A window of a group: queue after queue, in each those first that were enqueued last; in one round trip.

    Args:
        offset: At most OFFSET_MAX.
        times: Of how many tasks of each queue to tell when they failed, the last enqueued ones.
        counts: How many each queue had a moment ago: tells in which of them the window is. Without, the offset is 0.
    """
    windows: dict[str, tuple[int, int]] = dict.fromkeys(queues, (0, limit))
    skip, room = min(max(0, offset), OFFSET_MAX), limit
    for queue, here in ((q, counts.get(q, 0)) for q in queues) if counts is not None else ():
        windows[queue] = (skip, room if skip < here else 0)
        room -= max(0, min(room, here - skip))
        skip = max(0, skip - here)
    replies = yield Batch(
        [
            Script("group", keys.queue_prefix(queue), (group, *window, payload_max, times))
            for queue, window in windows.items()
        ]
    )
    tasks: list[TaskView] = []
    failed: list[int] = []
    found: dict[str, int] = {}
    for queue, (_, total, views, at_ms) in zip(windows, replies, strict=True):
        found[queue] = int(total)
        tasks += [wire.task_view(queue, wire.View(*raw)) for raw in views]
        failed += [int(float(raw)) for raw in at_ms if raw]
    return GroupMembers(counts=found, tasks=tuple(tasks[:limit]), failed_at_ms=tuple(failed))


def requeue(
    queues: Sequence[str], group: str, *, actor: str, why: str = "", on_progress: Progress | None = None
) -> Flow[Bulk]:
    """Runs the tasks again that failed alike until now, a chunk at a time."""
    done = 0
    skipped: list[Done] = []
    for queue in queues:
        before = done

        def told(here: int, before: int = before) -> None:
            if on_progress:
                on_progress(before + here)

        bulk = yield from operator.requeue_group(queue, group, actor=actor, why=why, on_progress=told)
        done += bulk.done
        skipped += bulk.skipped
    return Bulk(done, tuple(skipped))


def discard(
    queues: Sequence[str],
    group: str,
    *,
    actor: str,
    why: str = "",
    can_undo: bool = True,
    on_progress: Progress | None = None,
) -> Flow[Bulk]:
    """Deletes the tasks that failed alike until now, a chunk at a time; what was run again meanwhile is left.

    They can be put back by one `undo`, as those of `operator.discard`.
    """
    detail, op = operator.encode_audit_detail({"by": actor, "why": why, "group": group}), operator.new_op()
    until_ms = yield from registry.server_time_ms()
    done = kept = 0
    for queue in queues:
        prefix, last = keys.queue_prefix(queue), b""
        while True:
            # The same range as in includes/groups.lua.
            after = b"(" + group.encode() + b" " + last if last else b"[" + group.encode() + b" "
            found = yield Command(
                ("ZRANGEBYLEX", prefix + "alike", after, b"(" + group.encode() + b"!", "LIMIT", 0, CHUNK)
            )
            if not found:
                break
            ids = [member.rpartition(b" ")[2] for member in found]
            last = ids[-1]
            _, count, _, saved = yield Script(
                "discard", prefix, (actor, op, "discard", detail, TaskState.FAILED, until_ms, 0, int(can_undo), *ids)
            )
            done, kept = done + int(count), kept + int(saved)
            if on_progress:
                on_progress(done)
    yield from outbox.deliver_soon(tuple(queues))
    return Bulk(done, undo_op=op if kept else "")
