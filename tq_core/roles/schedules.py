"""Schedules: which task is enqueued when, again and again. They lie with their queue, and no worker is their leader.

Every node that serves the queue looks about once a second what is due. Who finds something works out, from the rule in
the schedule, which fires to make tasks of and when the next one is, and sends one script that does both or nothing: it
compares the fire that was read with the one that is stored, so of all who try at once one enqueues. A task's id names
its fire, `cron.NAME.MS@QUEUE`, so even a fire that is done again makes no second task while the first is kept.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from tq_core import ids, names
from tq_core.errors import (
    DuplicateTaskError,
    InvalidInputError,
    NotFoundError,
    QueueFullError,
    RefusedError,
    TqError,
)
from tq_core.keyspace import keys, sealing, wire
from tq_core.model import DEFAULT_PRIORITY, TaskOptions
from tq_core.roles import producer, registry
from tq_core.roles.spans import span
from tq_core.timetable import Timetable, check, last_fires_ms, next_fire_ms, timetable
from tq_core.transport.steps import Batch, Command, Flow, Script

Missed = Literal["skip", "once", "all"]
MISSED: tuple[Missed, ...] = ("skip", "once", "all")

MISSED_AFTER_MS = 60_000
"""A fire that is later than this was missed: no worker was there, or none was let."""
CATCH_UP_MAX = 100
"""At most so many missed fires of a schedule are made up for, the latest ones."""
DUE_MAX = 200
SCHEDULES_MAX = 1_000
"""Schedules a queue."""
MAX_JITTER_S = 86_400
MAX_ARGS_BYTES = 64 * 1024
DECLARED_MS = 2 * 3_600_000
"""What code has declared within so long is declared still: workers say it again every hour."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}\Z")


class Schedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is enqueued, and when; made by `new_schedule`, which refuses bad values."""

    name: str
    queue: str
    task_type: str
    when: Timetable
    args: dict[str, Any] = {}
    missed: Missed = "once"
    """What becomes of fires that are over a minute late: none is made up for, one task for all of them, or one each."""
    jitter_ms: int = 0
    """Each task waits so long at most after its fire, the same for whoever enqueues it."""
    unique_key: str = ""
    """What its tasks hold while they live, so that it does not overlap itself; empty where it may."""
    priority: int = DEFAULT_PRIORITY
    max_attempts: int = 4
    timeout_s: float | None = None
    expires_in_s: float | None = None
    """No attempt of a task starts so long after it was enqueued, or later."""
    limit_key: str | None = None
    """Whose limits its tasks count to."""

    def delay_ms(self, fire_ms: int) -> int:
        """How long the task of a fire waits: drawn from the fire itself, so that all workers draw the same."""
        if not self.jitter_ms:
            return 0
        seed = hashlib.blake2b(f"{self.name}@{self.queue}.{fire_ms}".encode(), digest_size=8).digest()
        return int.from_bytes(seed) % (self.jitter_ms + 1)

    def task_id(self, fire_ms: int) -> str:
        """The id of the task of a fire."""
        return ids.chosen_id(f"cron.{self.name}.{fire_ms}", self.queue)


class ScheduleView(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as readers see it."""

    name: str
    queue: str
    schedule: Schedule | None
    """None where it cannot be read: a newer tq wrote it."""
    next_at_ms: int | None = None
    """None while it is paused."""
    fired_at_ms: int | None = None
    """Its last fire."""
    fires: int = 0
    """Tasks it has made by firing."""
    seen_at_ms: int | None = None
    """When code last declared it; None for a person's."""
    paused: dict[str, Any] | None = None
    """Who paused it, and why."""
    now_ms: int = 0
    """The server's time when it was read."""
    spec: bytes = b""
    """As it is stored."""

    @property
    def state(self) -> str:
        """One word: active, paused, late, unreadable or undeclared.

        Late: nobody serves its queue, or that has no room. Undeclared: code declared it once and does so no longer; it
        fires on.
        """
        if self.paused is not None:
            return "paused"
        if self.schedule is None:
            return "unreadable"
        if self.next_at_ms is not None and self.now_ms - self.next_at_ms > MISSED_AFTER_MS:
            return "late"
        if self.seen_at_ms is not None and self.now_ms - self.seen_at_ms > DECLARED_MS:
            return "undeclared"
        return "active"


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule that should have fired."""

    queue: str
    name: str
    fire_ms: int
    spec: bytes
    now_ms: int


class Fired(msgspec.Struct, frozen=True):
    """What a pass over due schedules did."""

    task_ids: tuple[str, ...] = ()
    held_up: tuple[tuple[str, str], ...] = ()
    """(NAME@QUEUE, why) of those that are due and could not fire; the next pass tries again."""


def new_schedule(
    name: str,
    task_type: str,
    args: Mapping[str, Any] | None = None,
    *,
    queue: str = "default",
    cron: str | None = None,
    every_s: float | None = None,
    tz: str = "UTC",
    missed: str = "once",
    jitter_s: float = 0,
    overlap: bool = True,
    priority: str | int = DEFAULT_PRIORITY,
    max_attempts: int = 4,
    timeout_s: float | None = None,
    expires_in_s: float | None = None,
    limit_key: str | None = None,
) -> Schedule:
    """A checked schedule.

    Args:
        name: 1 to 80 letters, digits, '.', '_' or '-'; one of its kind in its queue.
        cron: Five fields, or an alias such as @daily; either this or every_s.
        every_s: Whole seconds, counted from 1970.
        tz: IANA name of the zone that the cron expression speaks of.
        missed: skip, once or all; see `Schedule.missed`.
        jitter_s: Spreads the tasks over so many seconds after each fire.
        overlap: Whether a task may be enqueued while an earlier one of the schedule has not ended.
        expires_in_s: No attempt of a task starts so long after its fire was done, or later.

    Raises:
        InvalidInputError: a value is not allowed; says which and why.
    """
    check_name(name)
    if missed not in MISSED:
        raise InvalidInputError(f"missed={missed!r}: use {', '.join(MISSED)}")
    if isinstance(jitter_s, bool) or not 0 <= jitter_s <= MAX_JITTER_S:
        raise InvalidInputError(f"a jitter of {jitter_s} s: must be from 0 to {MAX_JITTER_S}")
    # Checks all that a task of it would be refused for, now and not at its first fire.
    task = producer.new_task(
        task_type,
        dict(args or {}),
        priority=priority,
        max_attempts=max_attempts,
        delay_s=jitter_s,
        options=TaskOptions(timeout_s=timeout_s, expires_in_s=expires_in_s, limit_key=limit_key),
        max_payload_bytes=MAX_ARGS_BYTES,
    )
    return Schedule(
        name=name,
        queue=names.check_queue(queue),
        task_type=task_type,
        when=timetable(cron=cron, every_s=every_s, tz=tz),
        args=msgspec.json.decode(task.payload),
        missed=missed,
        jitter_ms=round(jitter_s * 1000),
        unique_key="" if overlap else f"cron.{name}",
        priority=task.priority,
        max_attempts=max_attempts,
        timeout_s=timeout_s,
        expires_in_s=expires_in_s,
        limit_key=limit_key,
    )


def check_name(name: str) -> str:
    """Returns a schedule's name.

    Raises:
        InvalidInputError: it is not one.
    """
    if not _NAME.match(name):
        raise InvalidInputError(
            f"{name!r} cannot be a schedule's name: use 1 to 80 letters, digits, '.', '_' or '-', the first a letter, "
            "digit or '_'"
        )
    return name


# --- what workers do ---


def declare(schedules: Iterable[Schedule], *, is_start: bool) -> Flow[None]:
    """Makes the schedules of a program known; one that is as it was keeps its next fire, and a paused one its pause.

    Args:
        is_start: Replaces what is there. A program that runs already only puts back what is gone: it may be older
            than another that has started since.

    Raises:
        RefusedError: the queue has too many schedules.
    """
    by_queue: dict[str, list[Schedule]] = {}
    for schedule in schedules:
        by_queue.setdefault(schedule.queue, []).append(schedule)
    mode = "declare" if is_start else "keep"
    for queue, some in by_queue.items():
        yield from registry.register_queue(queue)
        now_ms = yield from server_now_ms(queue)
        puts: list[Script | Command] = [
            put_step(schedule, mode=mode, now_ms=now_ms, actor="", detail=b"{}") for schedule in some
        ]
        for reply in (yield Batch(puts)):
            _refuse_many(queue, reply)


def due(queues: Sequence[str]) -> Flow[list[Due]]:
    """The schedules that should have fired by now; one read a queue."""
    replies = yield Batch([Script("due_schedules", keys.queue_prefix(q), (DUE_MAX,)) for q in queues])
    return [
        Due(queue=queue, name=name.decode("utf-8", "replace"), fire_ms=int(fire_ms), spec=spec, now_ms=int(now_ms))
        for queue, (_, now_ms, *found) in zip(queues, replies, strict=True)
        for name, fire_ms, spec in found
        if fire_ms.isdigit()
    ]


def fire(found: Sequence[Due]) -> Flow[Fired]:
    """Makes the tasks of what is due; what another worker has done meanwhile is left alone.

    Raises:
        BrokerRefusedError: the broker is out of memory: what has not fired stays due.
    """
    steps: list[Script | Command] = []
    asked: list[Due] = []
    held_up: list[tuple[str, str]] = []
    for each in found:
        try:
            steps.append(_fire(each))
            asked.append(each)
        except TqError as error:
            held_up.append((f"{each.name}@{each.queue}", error.message))
    task_ids: list[str] = []
    for each, (word, *rest) in zip(asked, (yield Batch(steps)) if steps else [], strict=True):
        if word == b"OK":
            task_ids += [raw.decode() for raw in rest[0]]
        elif word == b"FULL":
            held_up.append(
                (f"{each.name}@{each.queue}", f"{each.queue!r} holds {rest[0]} of at most {rest[1]} waiting tasks")
            )
    return Fired(tuple(task_ids), tuple(held_up))


def tick(queues: Sequence[str]) -> Flow[Fired]:
    """One pass: fires all that is due in these queues."""
    found = yield from due(queues)
    return (yield from fire(found)) if found else Fired()


def _fire(each: Due) -> Script:
    schedule = _decoded(each.spec)
    if schedule is None or schedule.name != each.name or schedule.queue != each.queue:
        raise InvalidInputError("it cannot be read: a newer tq wrote it, so one must fire it")
    fires = fires_to_run(schedule, each.fire_ms, each.now_ms)
    tasks: list[str | int] = []
    for fire_ms in fires:
        tasks += [schedule.task_id(fire_ms), fire_ms + schedule.delay_ms(fire_ms)]
    next_ms = next_fire_ms(schedule.when, max(each.now_ms, each.fire_ms))
    head = (each.name, each.spec, each.fire_ms, next_ms, fires[-1] if fires else "")
    return Script("fire", keys.queue_prefix(each.queue), (*head, *_task_args(schedule), *tasks))


def fires_to_run(schedule: Schedule, due_ms: int, now_ms: int) -> list[int]:
    """The fires that become tasks, oldest first, by what the schedule says of missed ones.

    Args:
        due_ms: The first fire that nobody has done.
        now_ms: The server's time.
    """
    fires = last_fires_ms(schedule.when, due_ms, now_ms, limit=CATCH_UP_MAX)
    on_time = [fire_ms for fire_ms in fires if now_ms - fire_ms <= MISSED_AFTER_MS]
    if schedule.missed == "all":
        return fires
    # A fire that is on time makes up for those before it.
    return on_time if on_time or schedule.missed == "skip" else fires[-1:]


# --- what people do ---


def schedules(queues: Sequence[str] | None = None) -> Flow[list[ScheduleView]]:
    """All schedules of the queues (of all when None), by queue and name."""
    if queues is None:
        queues = list((yield from registry.queue_numbers()))
    replies = yield Batch([Script("schedules", keys.queue_prefix(q), ("",)) for q in queues])
    found = [_view(q, reply[1], raw) for q, reply in zip(queues, replies, strict=True) for raw in reply[2:]]
    return sorted(found, key=lambda view: (view.queue, view.name))


def find(reference: str) -> Flow[ScheduleView]:
    """The schedule of that name, NAME or NAME@QUEUE.

    Raises:
        NotFoundError: there is none.
        InvalidInputError: several queues have one.
    """
    name, _, queue = reference.partition("@")
    known = yield from schedules()
    found = [view for view in known if view.name == name and queue in ("", view.queue)]
    if len(found) > 1:
        listed = " or ".join(f"{name}@{view.queue}" for view in found)
        raise InvalidInputError(f"several queues have a schedule {name!r}: say {listed}")
    if not found:
        near = names.nearest(name, {view.name for view in known})
        hint = f": did you mean {' or '.join(near)}?" if near else ": see `tq cron list`"
        raise NotFoundError(f"there is no schedule {reference!r}{hint}")
    return found[0]


def add(schedule: Schedule, *, actor: str, why: str = "") -> Flow[int]:
    """Adds a schedule and returns its first fire (ms).

    Raises:
        RefusedError: the queue has one of that name, or too many.
    """
    yield from registry.register_queue(schedule.queue)
    now_ms = yield from server_now_ms(schedule.queue)
    detail = detail_of(actor, why, schedule.name)
    reply = yield put_step(schedule, mode="add", now_ms=now_ms, actor=actor, detail=detail)
    _refuse_many(schedule.queue, reply)
    if reply[0] == b"EXISTS":
        raise RefusedError(
            f"{schedule.queue!r} has a schedule {schedule.name!r} already: remove that one first, or take another name"
        )
    return next_fire_ms(schedule.when, now_ms)


def remove(view: ScheduleView, *, actor: str, why: str = "", is_forced: bool = False) -> Flow[None]:
    """Forgets a schedule; the tasks that it made stay.

    Raises:
        NotFoundError: it is gone already.
        RefusedError: code that runs declares it, so it would come back; not with is_forced.
    """
    args = (actor, _op(), view.name, "" if is_forced else DECLARED_MS, detail_of(actor, why, view.name))
    word, *rest = yield Script("remove_schedule", keys.queue_prefix(view.queue), args)
    if word == b"GONE":
        raise gone(view)
    if word == b"DECLARED":
        raise RefusedError(
            f"the schedule {view.name!r} was declared by code {span(int(rest[0]))} ago and would come "
            "back: pause it, or take it out of the code and wait two hours, or use --force"
        )


def pause(view: ScheduleView, *, actor: str, why: str = "") -> Flow[bool]:
    """Keeps a schedule from firing. False when it was paused already."""
    return (yield from _pause(view, "", actor, why))


def resume(view: ScheduleView, *, actor: str, why: str = "") -> Flow[bool]:
    """Lets a schedule fire from its next fire on; those meanwhile were not wanted. False when it was not paused.

    Raises:
        InvalidInputError: this version cannot read it.
    """
    next_ms = next_fire_ms(readable(view).when, (yield from server_now_ms(view.queue)))
    return (yield from _pause(view, next_ms, actor, why))


def run_now(view: ScheduleView, *, actor: str, why: str = "") -> Flow[str]:
    """Enqueues a task of a schedule at once, paused or not, and returns its id; its fires stay as they are.

    Raises:
        InvalidInputError: this version cannot read it.
        DuplicateTaskError: a task of it is live, and it must not overlap itself.
        QueueFullError: its queue may not hold more.
        NotFoundError: it was changed or removed meanwhile.
    """
    schedule = readable(view)
    now_ms = yield from server_now_ms(view.queue)
    # Fires are at whole seconds: their ids are left to them.
    task_id = schedule.task_id(now_ms if now_ms % 1000 else now_ms + 1)
    args = (actor, _op(), view.name, view.spec, detail_of(actor, why, view.name))
    task = (*_task_args(schedule), task_id, "")
    word, *rest = yield Script("run_schedule", keys.queue_prefix(view.queue), (*args, *task))
    if word == b"CHANGED":
        raise gone(view)
    if word == b"HELD":
        raise DuplicateTaskError(
            f"the schedule {view.name!r} must not overlap itself and its task {rest[0].decode()} has not ended: "
            "wait for it or cancel it",
            holder_id=rest[0].decode(),
        )
    if word == b"FULL":
        raise QueueFullError(
            f"{view.queue!r} holds {rest[0]} of at most {rest[1]} waiting tasks: raise its limit or add workers",
            queue=view.queue,
            depth=int(rest[0]),
            max_size=int(rest[1]),
        )
    return task_id


def encode(schedule: Schedule) -> bytes:
    """A schedule as it is stored; equal ones are equal bytes."""
    return msgspec.json.encode(schedule)


def _pause(view: ScheduleView, next_ms: int | str, actor: str, why: str) -> Flow[bool]:
    args = (actor, _op(), view.name, next_ms, detail_of(actor, why, view.name))
    word, *rest = yield Script("pause_schedule", keys.queue_prefix(view.queue), args)
    if word == b"GONE":
        raise gone(view)
    return bool(rest[0] == b"changed")


def put_step(schedule: Schedule, *, mode: str, now_ms: int, actor: str, detail: bytes, seen: bytes = b"") -> Script:
    check(schedule.when)
    next_ms = next_fire_ms(schedule.when, now_ms)
    args = (actor, _op(), mode, schedule.name, encode(schedule), next_ms, detail, SCHEDULES_MAX, seen)
    return Script("put_schedule", keys.queue_prefix(schedule.queue), args)


def _refuse_many(queue: str, reply: list[Any]) -> None:
    if reply[0] == b"MANY":
        raise RefusedError(f"{queue!r} has {reply[1]} schedules already: remove some, or use another queue")


def server_now_ms(queue: str) -> Flow[int]:
    """The time that the queue's scripts go by."""
    _, now_ms, *_ = yield Script("schedules", keys.queue_prefix(queue), ("-",))
    return int(now_ms)


def _task_args(schedule: Schedule) -> tuple[int, str, bytes]:
    unique = schedule.unique_key
    options = TaskOptions(
        timeout_s=schedule.timeout_s,
        expires_in_s=schedule.expires_in_s,
        limit_key=schedule.limit_key,
        submitted_by=f"cron {schedule.name}",
    )
    tail = wire.body_tail(
        task_type=schedule.task_type,
        max_attempts=schedule.max_attempts,
        unique_key=unique or None,
        options=options,
        payload=sealing.current().seal(
            msgspec.json.encode(schedule.args), sealing.purpose_of(schedule.task_type, "args")
        ),
    )
    return schedule.priority, names.encode_unique_key(unique) if unique else "", tail


def _decoded(spec: bytes) -> Schedule | None:
    try:
        return msgspec.json.decode(spec, type=Schedule)
    except wire.UNREADABLE:
        return None


def readable(view: ScheduleView) -> Schedule:
    """What a schedule says.

    Raises:
        InvalidInputError: this version cannot read it.
    """
    if view.schedule is None:
        raise InvalidInputError(f"the schedule {view.name!r} cannot be read: a newer tq wrote it; upgrade this program")
    return view.schedule


def gone(view: ScheduleView) -> NotFoundError:
    return NotFoundError(f"the schedule {view.name!r} was changed or removed meanwhile: see `tq cron list`")


def _view(queue: str, now_ms: bytes, raw: list[bytes]) -> ScheduleView:
    name, spec, next_ms, paused, seen, fired, fires = raw
    return ScheduleView(
        name=name.decode("utf-8", "replace"),
        queue=queue,
        schedule=_decoded(spec),
        next_at_ms=_number(next_ms),
        fired_at_ms=_number(fired),
        fires=_number(fires) or 0,
        seen_at_ms=_number(seen),
        paused=wire.json_object(paused) if paused else None,
        now_ms=int(now_ms),
        spec=spec,
    )


def _number(text: bytes) -> int | None:
    return int(text) if text.isdigit() else None


def _op() -> str:
    return secrets.token_hex(6)


def detail_of(actor: str, why: str, name: str) -> bytes:
    return wire.encode_detail({"by": actor, **({"why": why} if why else {}), "schedule": name})
