"""Reads for people: numbers of queues, pages of tasks, one task whole. Nothing here writes."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tq_core import ids
from tq_core.errors import NotFoundError
from tq_core.keyspace import keys, wire
from tq_core.model import WAITING_STATES, TaskState, TaskView
from tq_core.roles import registry
from tq_core.transport.steps import Batch, Flow, Script

PREVIEW_BYTES = 256
SHOW_BYTES = 65_536
PAGE_MAX = 500
GROUPS_MAX = 10_000


class Paused(msgspec.Struct, frozen=True):
    """Who paused a queue, when and why."""

    by: str
    why: str
    at_ms: int


class Minute(msgspec.Struct, frozen=True):
    """The counters of one minute."""

    start_ms: int
    counts: dict[str, int]


class QueueStats(msgspec.Struct, frozen=True, kw_only=True):
    """A queue in numbers, all of one instant."""

    queue: str
    now_ms: int
    depths: dict[TaskState, int]
    counters: dict[str, int]
    """Totals since the queue began: enqueued, completed, failures, retrying, failed, cancelled, crashed, lost, ..."""
    limits: dict[str, int]
    """What is set: max_size, keep_ms, keep_completed, keep_cancelled, keep_failed."""
    paused: Paused | None
    oldest_created_at_ms: int | None
    """When the oldest pending task was enqueued."""
    next_due_at_ms: int | None
    rules: dict[str, str] = {}
    """Limits of the queue and of each of its keys, as they lie in Redis (tq_core.roles.limits), and breaker:TYPE where
    one is open or half."""
    minutes: tuple[Minute, ...]
    """The minutes asked for that have counts, the present one last."""
    minutes_asked: int = 5
    """How many were asked for: what is not among them was idle, what is before them is not known."""

    @property
    def waiting(self) -> int:
        """Tasks that are neither running nor ended: what max_size limits."""
        return sum(self.depths[s] for s in WAITING_STATES)

    @property
    def oldest_age_ms(self) -> int | None:
        return None if self.oldest_created_at_ms is None else max(0, self.now_ms - self.oldest_created_at_ms)

    def rate_per_s(self, counter: str, *, window_s: int = 300) -> float:
        """How often something was counted per second, over the past window (at most the minutes asked for)."""
        # Minutes count whole, so the window begins with the first of them.
        this_minute_ms = self.now_ms // 60_000 * 60_000
        begin_ms = max(
            (self.now_ms - window_s * 1000) // 60_000 * 60_000, this_minute_ms - (self.minutes_asked - 1) * 60_000
        )
        counted = sum(m.counts.get(counter, 0) for m in self.minutes if m.start_ms >= begin_ms)
        return counted * 1000 / max(1000, self.now_ms - begin_ms)

    def latency_ms(self, kind: str, share: float) -> int | None:
        """Upper bound of a share of `run` or `wait` times over the minutes; None where nothing was measured.

        Args:
            share: For example 0.95.
        """
        hits: dict[int, int] = {}
        buckets = _bucket_fields(kind)
        for minute in self.minutes:
            for field, n in minute.counts.items():
                bucket = buckets.get(field)
                if bucket is not None:
                    hits[bucket] = hits.get(bucket, 0) + n
        total, seen = sum(hits.values()), 0
        for bucket in sorted(hits):
            seen += hits[bucket]
            if seen >= share * total:
                return int(2**bucket)
        return None


@functools.cache
def _bucket_fields(kind: str) -> dict[str, int]:
    """The counters of `run` or `wait` times: a screen asks for those of hundreds of queues each second."""
    return {f"{kind}{bucket}": bucket for bucket in range(64)}


class Page(msgspec.Struct, frozen=True):
    """A window of tasks."""

    total: int
    """Tasks there are, of which the window shows some."""
    tasks: tuple[TaskView, ...]


def stats(
    queues: Sequence[str] | None = None,
    *,
    minutes: int = 5,
    known: Iterable[QueueStats] = (),
    has_counters: bool = True,
) -> Flow[list[QueueStats]]:
    """Numbers of queues, all when None, in one round trip after the queues are known.

    Args:
        known: As some were a moment ago: of the minutes that they have whole, none is read again.
        has_counters: Read all counters since the queue began, not only `enqueued`.
    """
    if queues is None:
        queues = list((yield from registry.queue_numbers()))
    if not queues:
        return []
    # A minute that is over never changes; of those that are known, the last one was not.
    before = {q.queue: q for q in known if q.minutes_asked >= minutes}
    since = {name: q.now_ms // 60_000 for name, q in before.items()}
    replies = yield Batch(
        [Script("stats", keys.queue_prefix(q), (minutes, since.get(q, 0), int(has_counters))) for q in queues]
    )
    return [_stats(q, reply, minutes, before.get(q)) for q, reply in zip(queues, replies, strict=True)]


def with_minutes(stats: QueueStats, minutes: int) -> QueueStats:
    """The same with the past minutes cut to fewer."""
    if stats.minutes_asked <= minutes:
        return stats
    first_ms = (stats.now_ms // 60_000 - minutes + 1) * 60_000
    kept = tuple(minute for minute in stats.minutes if minute.start_ms >= first_ms)
    return msgspec.structs.replace(stats, minutes=kept, minutes_asked=minutes)


def page(
    queue: str,
    state: TaskState,
    *,
    offset: int = 0,
    limit: int = 50,
    newest_first: bool = False,
    payload_max: int = PREVIEW_BYTES,
) -> Flow[Page]:
    """A window of one state of one queue: first served, first due or oldest first, or the other way round."""
    order = "desc" if newest_first else "asc"
    _, total, views = yield Script(
        "page", keys.queue_prefix(queue), (state, offset, min(limit, PAGE_MAX), order, payload_max)
    )
    return Page(int(total), tuple(wire.task_view(queue, wire.View(*v)) for v in views))


def list_tasks(
    queues: Sequence[str] | None = None,
    states: Sequence[TaskState] = tuple(TaskState),
    *,
    limit: int = 50,
    offset: int = 0,
    payload_max: int = PREVIEW_BYTES,
) -> Flow[Page]:
    """Tasks of several queues and states, in one round trip.

    Running ones come first, then those that wait, in turn, then those that ended, newest first.

    The cost grows with queues x states x (offset + limit), never with the tasks there are.
    """
    if queues is None:
        queues = list((yield from registry.queue_numbers()))
    wanted = [(q, s) for s in LIST_ORDER if s in states for q in queues]
    if not wanted:
        return Page(0, ())
    window = min(offset + limit, PAGE_MAX)
    replies = yield Batch(
        [
            Script("page", keys.queue_prefix(q), (s, 0, window, "desc" if s.is_terminal else "asc", payload_max))
            for q, s in wanted
        ]
    )
    total, tasks = 0, []
    for (queue, _), (_, count, views) in zip(wanted, replies, strict=True):
        total += int(count)
        tasks += [wire.task_view(queue, wire.View(*v)) for v in views]
    tasks.sort(key=list_place)
    return Page(total, tuple(tasks[offset : offset + limit]))


LIST_ORDER = (
    TaskState.RUNNING,
    TaskState.PENDING,
    TaskState.RETRYING,
    TaskState.SCHEDULED,
    TaskState.BLOCKED,
    TaskState.FAILED,
    TaskState.CANCELLED,
    TaskState.COMPLETED,
)


def list_place(task: TaskView) -> tuple[int, int, int]:
    """Where a task belongs in a list of several states, as a key to sort by."""
    group = LIST_ORDER.index(task.state)
    if task.state.is_terminal:
        return len(LIST_ORDER), -(task.finished_at_ms or 0), 0
    if task.state is TaskState.PENDING:
        return group, task.priority, task.created_at_ms
    return group, task.due_at_ms or task.started_at_ms or 0, 0


def locate(task_ids: Sequence[str]) -> Flow[dict[str, str]]:
    """The queue of each id, from the id alone; ids of unknown queues are left out.

    Raises:
        InvalidInputError: something is no task id.
    """
    homes = {task_id: ids.home_of(task_id) for task_id in task_ids}
    names_by_number: dict[int, str] = {}
    if any(isinstance(home, int) for home in homes.values()):
        numbers = yield from registry.queue_numbers()
        names_by_number = {number: name for name, number in numbers.items()}
    out = {}
    for task_id, home in homes.items():
        queue = home if isinstance(home, str) else names_by_number.get(home)
        if queue is not None:
            out[task_id] = queue
    return out


def show(
    task_ids: Sequence[str], *, payload_max: int = SHOW_BYTES, queue: str | None = None
) -> Flow[list[TaskView | None]]:
    """All that is known of the named tasks; None for one that is not there (any more).

    Args:
        queue: Theirs, where it is known: spares a round trip.

    Raises:
        InvalidInputError: something is no task id.
    """
    homes = dict.fromkeys(task_ids, queue) if queue is not None else (yield from locate(task_ids))
    by_queue: dict[str, list[str]] = {}
    for task_id, home in homes.items():
        by_queue.setdefault(home, []).append(task_id)
    views: dict[str, TaskView] = {}
    if by_queue:
        replies = yield Batch(
            [Script("show", keys.queue_prefix(q), (payload_max, *wanted)) for q, wanted in by_queue.items()]
        )
        for home, (_, found) in zip(by_queue, replies, strict=True):
            for raw in found:
                if isinstance(raw, list):
                    view = wire.task_view(home, wire.View(*raw))
                    views[view.id] = view
    return [views.get(task_id) for task_id in task_ids]


def show_one(task_id: str, *, payload_max: int = SHOW_BYTES) -> Flow[TaskView]:
    """All that is known of one task.

    Raises:
        NotFoundError: it is not there (any more).
        InvalidInputError: this is no task id.
    """
    (view,) = yield from show([task_id], payload_max=payload_max)
    if view is None:
        raise (yield from missing(task_id))
    return view


def missing(task_id: str) -> Flow[NotFoundError]:
    """Why a task is not there, as the error to raise; names its new id where it was moved within two days."""
    new_id = (yield from moved_to([task_id])).get(task_id)
    if new_id:
        return NotFoundError(f"the task {task_id} was moved to another queue: it is {new_id} there")
    return NotFoundError(f"no task has the id {task_id!r}: it never existed, was deleted, or its retention is over")


def moved_to(task_ids: Sequence[str]) -> Flow[dict[str, str]]:
    """The new ids of tasks that were moved to another queue within two days."""
    by_queue: dict[str, list[str]] = {}
    for task_id, queue in (yield from locate(task_ids)).items():
        by_queue.setdefault(queue, []).append(task_id)
    if not by_queue:
        return {}
    replies = yield Batch([Script("show", keys.queue_prefix(q), (0, *some)) for q, some in by_queue.items()])
    return {
        task_id: raw.decode("utf-8", "replace")
        for some, (_, found) in zip(by_queue.values(), replies, strict=True)
        for task_id, raw in zip(some, found, strict=True)
        if raw and isinstance(raw, bytes)
    }


class Groups(msgspec.Struct, frozen=True):
    """What failed alike, the most frequent first."""

    groups: tuple[wire.Group, ...]
    total: int
    """Groups there are, of which some may not have been read."""


def groups(queues: Sequence[str] | None = None, *, limit: int = GROUPS_MAX) -> Flow[Groups]:
    """The failed tasks of queues (all when None) by what they failed with; no task is read.

    Args:
        limit: Groups of each queue; of more, any.
    """
    if queues is None:
        queues = list((yield from registry.queue_numbers()))
    if not queues:
        return Groups((), 0)
    replies = yield Batch([Script("groups", keys.queue_prefix(q), (limit,)) for q in queues])
    found = [
        wire.group(queue, flat[i : i + 4])
        for queue, (_, _, flat) in zip(queues, replies, strict=True)
        for i in range(0, len(flat), 4)
    ]
    found.sort(key=lambda g: (-g.count, -g.last_at_ms))
    return Groups(tuple(found), sum(int(n) for _, n, _ in replies))


_STATES = (
    *(TaskState.BLOCKED, TaskState.SCHEDULED, TaskState.PENDING, TaskState.RUNNING),
    *(TaskState.RETRYING, TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED),
)
"""In the order in which stats.lua counts them."""


def _stats(queue: str, reply: list[Any], minutes_asked: int, known: QueueStats | None) -> QueueStats:
    _, now_raw, depths, counters, meta, oldest, due, minutes, rules = reply
    now_ms = int(now_raw)
    meta_fields = _pairs(meta)
    paused = None
    if "paused" in meta_fields:
        said = wire.json_object(meta_fields["paused"])
        paused = Paused(str(said.get("by", "")), str(said.get("why", "")), _whole(meta_fields.get("paused_at_ms")) or 0)
    totals = _numbers(_pairs(counters))
    found = [Minute(int(minute) * 60_000, _counts(fields)) for minute, fields in minutes]
    if known is not None:
        this, last = now_ms // 60_000, known.now_ms // 60_000
        if now_ms < known.now_ms or totals.get("enqueued", 0) < known.counters.get("enqueued", 0):
            # Another server, or the queue was emptied: only what was told just now is so.
            minutes_asked = max(1, min(minutes_asked, this - last + 1))
        else:
            first_ms = (this - minutes_asked + 1) * 60_000
            found[:0] = [minute for minute in known.minutes if first_ms <= minute.start_ms < last * 60_000]
    return QueueStats(
        queue=queue,
        now_ms=now_ms,
        depths=dict(zip(_STATES, map(int, depths), strict=True)),
        counters=totals,
        limits=_numbers({k: v for k, v in meta_fields.items() if k.startswith("keep_") or k == "max_size"}),
        paused=paused,
        rules=_pairs(rules),
        oldest_created_at_ms=_whole(oldest),
        next_due_at_ms=_whole(due),
        minutes=tuple(found),
        minutes_asked=minutes_asked,
    )


def _counts(raw: bytes) -> dict[str, int]:
    """The counters of a minute, from "field value field value ..."."""
    words = raw.decode("utf-8", "replace").split(" ")
    try:
        return dict(zip(words[::2], map(int, words[1::2]), strict=True))
    except ValueError:
        pass
    # A stranger's field with a blank in it costs itself only: a number counts for the word before it.
    counts, name = {}, ""
    for word in words:
        number = _whole(word)
        if number is None:
            name = word
        elif name:
            counts[name], name = number, ""
    return counts


def _numbers(found: dict[str, Any]) -> dict[str, int]:
    """The whole numbers among the values; what no program of ours wrote must not hide the rest."""
    return {k: number for k, v in found.items() if (number := _whole(v)) is not None}


def _whole(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        pass
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        return None


def _pairs(flat: list[Any]) -> dict[str, Any]:
    text = [x.decode("utf-8", "replace") if isinstance(x, bytes) else x for x in flat]
    return {str(text[i]): text[i + 1] for i in range(0, len(text), 2)}
