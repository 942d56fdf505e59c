"""What may be said of a schedule in code, and the schedule that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import msgspec

from tq_core.errors import InvalidInputError
from tq_core.roles.schedules import Missed, Schedule, new_schedule
from tq_core.tasks.enqueue_options import unique_key_of
from tq_core.tasks.limit_key_template import limit_key_of
from tq_core.tasks.task import TaskDefinition


class ScheduleOptions(TypedDict, total=False):
    """Keywords of `TaskQueue.schedule`: when, and what its tasks do not take from their type."""

    cron: str
    """Minute, hour, day of month, month, day of week; or @hourly, @daily, @weekly, @monthly, @yearly."""
    every_s: float
    """Whole seconds, counted from 1970; instead of cron."""
    tz: str
    """IANA name of the zone that the cron expression speaks of; UTC."""
    missed: Missed
    """What becomes of fires that are over a minute late: skip them, make up for them once, or run all (100 at most)."""
    jitter_s: float
    """Spreads the tasks over so many seconds after each fire."""
    overlap: bool
    """Whether a task may be enqueued while an earlier one has not ended; True."""
    queue: str
    priority: str | int
    max_attempts: int
    timeout_s: float
    expires_in_s: float | None
    limit_key: str
    """Whose limits its tasks count to; the type's, made of `args`, by default."""


def declared_schedule(
    name: str,
    task_type: str,
    args: Mapping[str, Any],
    options: ScheduleOptions,
    *,
    definition: TaskDefinition | None,
) -> Schedule:
    """A schedule as code declares it, checked.

    Args:
        name: The schedule's.
        task_type: What it enqueues.
        args: Arguments of each task.
        options: As they were given.
        definition: The type, where it is known: its arguments are checked, and it says what the options leave out.

    Raises:
        InvalidInputError: a value is not allowed.
        InvalidArgumentsError: the arguments do not fit the type.
    """
    unknown = options.keys() - ScheduleOptions.__annotations__.keys()
    if unknown:
        listed = ", ".join(sorted(unknown))
        raise InvalidInputError(
            f"{listed}: a schedule has no such option; there are {', '.join(ScheduleOptions.__annotations__)}"
        )
    given: dict[str, Any] = dict(options)
    if definition is None:
        return new_schedule(name, task_type, args, **given)
    payload = definition.arguments.encode(dict(args))
    own_key = limit_key_of(definition.limit_key, dict(args)) if definition.limit_key else None
    schedule = new_schedule(
        name,
        task_type,
        msgspec.json.decode(payload),
        **{
            "queue": definition.queue,
            "priority": definition.priority,
            "max_attempts": definition.retry.max_attempts,
            "expires_in_s": definition.expires_in_s,
            "limit_key": own_key,
            **given,
        },
    )
    if definition.is_unique and not schedule.unique_key:
        # As of any task of the type: the same arguments are live only once.
        return msgspec.structs.replace(schedule, unique_key=unique_key_of(task_type, payload))
    return schedule
