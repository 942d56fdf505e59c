"""Changing what a schedule says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tq_core.errors import InvalidInputError
from tq_core.roles import schedules
from tq_core.roles.schedules import Schedule, ScheduleView, new_schedule
from tq_core.timetable import next_fire_ms
from tq_core.transport.steps import Flow


def revised(
    before: Schedule,
    *,
    task_type: str | None = None,
    args: Mapping[str, Any] | None = None,
    cron: str | None = None,
    every_s: float | None = None,
    tz: str | None = None,
    missed: str | None = None,
    jitter_s: float | None = None,
    overlap: bool | None = None,
    priority: str | int | None = None,
    max_attempts: int | None = None,
    timeout_s: float | None = None,
    expires_in_s: float | None = None,
) -> Schedule:
    """The same schedule with changes, checked; None leaves a thing as it is, and a new interval ends a cron expression.

    Raises:
        InvalidInputError: a value is not allowed; says which and why.
    """
    if cron is None and every_s is None:
        cron, every_s = before.when.cron or None, before.when.every_ms / 1000 or None
    zone = tz if tz is not None else before.when.tz if cron is not None else "UTC"
    new = new_schedule(
        before.name,
        task_type if task_type is not None else before.task_type,
        before.args if args is None else args,
        queue=before.queue,
        cron=cron,
        every_s=every_s,
        tz=zone,
        missed=missed or before.missed,
        jitter_s=before.jitter_ms / 1000 if jitter_s is None else jitter_s,
        overlap=not before.unique_key if overlap is None else overlap,
        priority=before.priority if priority is None else priority,
        max_attempts=before.max_attempts if max_attempts is None else max_attempts,
        timeout_s=before.timeout_s if timeout_s is None else timeout_s,
        expires_in_s=before.expires_in_s if expires_in_s is None else expires_in_s,
        limit_key=before.limit_key,
    )
    # One that another program made may hold a key of its own.
    is_kept = before.unique_key and new.unique_key
    return msgspec.structs.replace(new, unique_key=before.unique_key) if is_kept else new


def edit(view: ScheduleView, schedule: Schedule, *, actor: str, why: str = "") -> Flow[int | None]:
    """Makes a schedule another, where it still is what was seen; returns its next fire (ms), None while it is paused.

    What it says is code's word again when a worker of that code starts.

    Raises:
        InvalidInputError: the new one has another name or queue.
        NotFoundError: it was changed or removed meanwhile.
    """
    if (schedule.name, schedule.queue) != (view.name, view.queue):
        raise InvalidInputError("name and queue of a schedule stay: add another one, and remove this one")
    now_ms = yield from schedules.server_now_ms(view.queue)
    detail = schedules.detail_of(actor, why, schedule.name)
    reply = yield schedules.put_step(schedule, mode="edit", now_ms=now_ms, actor=actor, detail=detail, seen=view.spec)
    if reply[0] == b"CHANGED":
        raise schedules.gone(view)
    return None if view.paused is not None else next_fire_ms(schedule.when, now_ms)
