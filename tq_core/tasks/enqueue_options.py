"""The options of an enqueue: everything about a task that is not one of its arguments."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec

from tq_core import ids, names
from tq_core.errors import InvalidInputError
from tq_core.model import DEFAULT_PRIORITY, NewTask, RetryPolicy, TaskOptions
from tq_core.roles import producer
from tq_core.tasks.limit_key_template import limit_key_of

if TYPE_CHECKING:
    from tq_core.tasks.handle import TaskHandle


MAX_WAIT_FOR_ROOM_S = 86_400


class EnqueueOptions(TypedDict, total=False):
    """Keywords of `.options()` and of `TaskQueue.enqueue`; what is left out is the type's or the queue's."""

    priority: str | int
    """critical, high, normal, low, or 0 (first) to 255."""
    delay_s: float
    """Not before so many seconds from now."""
    at: dt.datetime
    """Not before this time; beats delay_s. Must have a time zone."""
    max_attempts: int
    timeout_s: float
    """Hard limit of one attempt."""
    soft_timeout_s: float
    """When SoftTimeoutError is raised inside the handler, so that it can finish tidily."""
    memory_limit_mb: int
    """Runs in a process of its own, which is ended and fails the attempt when it uses more MiB of memory."""
    unique: str | bool
    """A key that only one unfinished task of the queue may hold; True = the type and its arguments."""
    unique_until: str
    """When the key is free again: finished (the default), or started = as a worker takes the task."""
    unique_for_s: float
    """Holds the key for so long from now instead, whatever becomes of the task."""
    debounce_s: float
    """Waits so long; another of its key meanwhile takes its place and begins the wait anew. unique=True: one a type."""
    debounce_max_s: float
    """With debounce_s: waits so long at most after the first one."""
    expires_in_s: float | None
    """No attempt starts so long from now or later: what waits then ends as cancelled, what fails then as failed."""
    wait_for_room_s: float
    """While the queue is full, waits so long for room instead of raising QueueFullError at once."""
    id: str
    """A name of one's own; the id becomes NAME@QUEUE. Enqueuing it again changes nothing."""
    queue: str
    retry: RetryPolicy
    """Attempts and waits; max_attempts beats the former."""
    linked_to: str
    """The task that this one was made from."""
    depends_on: str | TaskHandle[Any] | Sequence[str | TaskHandle[Any]]
    """One task or several, of any queues, as handles or ids: not before all of them have completed."""
    on_parent_failure: str
    """What it does when one of those does not complete: fail (the default), skip = end as cancelled, or run."""
    limit_key: str
    """Whose limits it counts to, for example a tenant; what the limits are says `tq queues limit`."""
    submitted_by: str
    traceparent: str
    """The W3C trace context to be continued, as is tracestate; without it that of the active span."""
    tracestate: str


class TypeDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What a task type says about its tasks."""

    queue: str = "default"
    priority: int = DEFAULT_PRIORITY
    max_attempts: int = 4
    is_unique: bool = False
    expires_in_s: float | None = None
    limit_key: str = ""
    """A template of arguments, or a fixed text."""


class Submission(msgspec.Struct, frozen=True):
    """Checked options, waiting for arguments."""

    queue: str
    template: NewTask
    is_unique: bool
    """Whether the unique key is made of the arguments."""
    wait_for_room_s: float | None = None
    limit_key: str = ""
    """What the limit key is made of, where it is made of the arguments."""

    def task(self, payload: bytes) -> NewTask:
        """The task of these arguments.

        Args:
            payload: As `producer.encode_payload` makes it.
        """
        if self.limit_key:
            key = limit_key_of(self.limit_key, msgspec.json.decode(payload))
            options = msgspec.structs.replace(self.template.options, limit_key=key)
            own = msgspec.structs.replace(self, template=msgspec.structs.replace(self.template, options=options))
            return msgspec.structs.replace(own, limit_key="").task(payload)
        if not self.is_unique:
            return msgspec.structs.replace(self.template, payload=payload)
        key = unique_key_of(self.template.task_type, payload)
        return msgspec.structs.replace(self.template, payload=payload, unique_key=key)


def submission(task_type: str, options: EnqueueOptions, defaults: TypeDefaults) -> Submission:
    """Checks options once, for any number of tasks.

    Raises:
        InvalidInputError: a value is not allowed.
    """
    unknown = options.keys() - EnqueueOptions.__annotations__.keys()
    if unknown:
        listed = ", ".join(sorted(unknown))
        raise InvalidInputError(f"{listed}: no such option; there are {', '.join(EnqueueOptions.__annotations__)}")
    unique = options.get("unique", defaults.is_unique)
    retry = options.get("retry")
    wait_for_room_s = options.get("wait_for_room_s")
    if wait_for_room_s is not None and not 0 <= wait_for_room_s <= MAX_WAIT_FOR_ROOM_S:
        raise InvalidInputError(f"wait_for_room_s {wait_for_room_s}: must be from 0 to a day")
    queue = names.check_queue(options.get("queue", defaults.queue))
    template = producer.new_task(
        task_type,
        {},
        priority=options.get("priority", defaults.priority),
        delay_s=options.get("delay_s", 0),
        at_ms=_at_ms(options["at"]) if "at" in options else None,
        max_attempts=options.get("max_attempts", retry.max_attempts if retry else defaults.max_attempts),
        name=options.get("id"),
        # What debounces is known by its type: its arguments are what changes.
        unique_key=unique if isinstance(unique, str) else task_type[:100] if unique else None,
        options=TaskOptions(
            timeout_s=options.get("timeout_s"),
            soft_timeout_s=options.get("soft_timeout_s"),
            memory_limit_mb=options.get("memory_limit_mb"),
            retry=retry,
            linked_to=options.get("linked_to"),
            depends_on=_parent_ids(options.get("depends_on", ())),
            on_parent_failure=options.get("on_parent_failure"),
            expires_in_s=options.get("expires_in_s", defaults.expires_in_s),
            unique_until=options.get("unique_until"),
            unique_for_s=options.get("unique_for_s"),
            debounce_s=options.get("debounce_s"),
            debounce_max_s=options.get("debounce_max_s"),
            limit_key=options.get("limit_key"),
            submitted_by=options.get("submitted_by"),
            traceparent=options.get("traceparent"),
            tracestate=options.get("tracestate"),
        ),
    )
    if template.chosen_name is not None:
        ids.chosen_id(template.chosen_name, queue)
    is_of_arguments = unique is True and options.get("debounce_s") is None
    limit_key = defaults.limit_key if "limit_key" not in options else ""
    return Submission(queue, template, is_of_arguments, wait_for_room_s, limit_key)


def unique_key_of(task_type: str, payload: bytes) -> str:
    """The key that two tasks of one type share when their arguments are equal, in whatever order they came."""
    canonical = msgspec.json.encode(msgspec.json.decode(payload), order="deterministic")
    return f"{task_type[:100]}:{hashlib.blake2b(canonical, digest_size=16).hexdigest()}"


def _parent_ids(parents: Any) -> tuple[str, ...]:
    several = parents if isinstance(parents, list | tuple | set | frozenset) else (parents,)
    found = [parent if isinstance(parent, str) else getattr(parent, "id", None) for parent in several]
    if not all(isinstance(parent, str) for parent in found):
        raise InvalidInputError(f"depends_on={parents!r}: give handles or ids of tasks")
    return tuple(dict.fromkeys(str(parent) for parent in found))


def _at_ms(at: Any) -> int:
    if not isinstance(at, dt.datetime) or at.tzinfo is None:
        raise InvalidInputError(
            f"at={at!r}: give a datetime with a time zone, such as datetime.now(UTC) + timedelta(hours=1)"
        )
    return round(at.timestamp() * 1000)
