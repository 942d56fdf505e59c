"""Enqueues tasks: checks each one whole before anything is sent, and never writes half of what was asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tq_core import ids, names, tracing
from tq_core.errors import (
    BrokerError,
    DuplicateTaskError,
    InvalidInputError,
    PayloadTooLargeError,
    QueueFullError,
    RefusedError,
    UnknownParentError,
)
from tq_core.keyspace import keys, sealing, wire
from tq_core.model import DEFAULT_PRIORITY, PARENT_POLICIES, UNIQUE_UNTIL, NewTask, TaskOptions, parse_priority
from tq_core.roles import outbox, registry
from tq_core.transport.steps import Arg, Flow, Script

MAX_PAYLOAD_BYTES = 1024 * 1024
MAX_BATCH = 500
MAX_PARENTS = 1000
MAX_TIMEOUT_S = 31_536_000
MAX_MEMORY_LIMIT_MB = 16 * 1024 * 1024
MAX_DELAY_MS = 10 * 365 * 86_400_000

_encode = msgspec.json.Encoder().encode


class Enqueued(msgspec.Struct, frozen=True):
    """What became of one task of a batch."""

    task_id: str
    """The task's id; for a duplicate that of the task that is there already, or that holds its unique key."""
    is_new: bool
    duplicate_of: str = ""
    """"id" when a task with its id exists, "unique" when another holds its unique key, "replaced" when a waiting one
    was given its arguments and options."""


def encode_payload(args: dict[str, Any] | bytes, *, max_bytes: int = MAX_PAYLOAD_BYTES) -> bytes:
    """The arguments as a JSON object.

    Args:
        args: The arguments, or the JSON object as its text.

    Raises:
        InvalidInputError: they are no JSON object or hold what JSON cannot.
        PayloadTooLargeError: encoded they exceed max_bytes.
    """
    if isinstance(args, bytes):
        if len(args) <= max_bytes:
            try:
                args = msgspec.json.decode(args)
            except wire.UNREADABLE as error:
                raise InvalidInputError(f"the arguments are no valid JSON: {error}") from error
        else:
            raise _too_large(len(args), max_bytes)
    if not isinstance(args, dict):
        raise InvalidInputError(
            f'the arguments must be a JSON object like {{"key": "value"}}, not {type(args).__name__}'
        )
    try:
        payload = _encode(args)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidInputError(f"the arguments cannot be written as JSON: {error}") from error
    if len(payload) > max_bytes:
        raise _too_large(len(payload), max_bytes)
    return payload


def _check_timeouts(options: TaskOptions) -> None:
    hard_s, soft_s = options.timeout_s, options.soft_timeout_s
    for word, limit_s in (("timeout", hard_s), ("soft timeout", soft_s)):
        if limit_s is not None and not 0 < limit_s <= MAX_TIMEOUT_S:
            raise InvalidInputError(f"a {word} of {limit_s} s: must be above 0 and at most one year")
    if hard_s is not None and soft_s is not None and soft_s >= hard_s:
        raise InvalidInputError(f"a soft timeout of {soft_s} s: must be below the timeout of {hard_s} s")


def check_memory_limit(limit_mb: Any) -> None:
    """Refuses what is no number of MiB that a process could have.

    Raises:
        InvalidInputError: it is none.
    """
    if type(limit_mb) is not int or not 1 <= limit_mb <= MAX_MEMORY_LIMIT_MB:
        raise InvalidInputError(
            f"memory_limit_mb {limit_mb!r}: must be a whole number of MiB from 1 to {MAX_MEMORY_LIMIT_MB}"
        )


def _too_large(size: int, limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(
        f"the arguments take {size} bytes, the limit is {limit}: store the data elsewhere and pass its name"
    )


def new_task(
    task_type: str,
    args: dict[str, Any] | bytes,
    *,
    priority: str | int = DEFAULT_PRIORITY,
    delay_s: float = 0,
    at_ms: int | None = None,
    max_attempts: int = 4,
    name: str | None = None,
    unique_key: str | None = None,
    options: TaskOptions | None = None,
    max_payload_bytes: int = MAX_PAYLOAD_BYTES,
) -> NewTask:
    """A checked task, ready to be enqueued.

    Args:
        at_ms: Not before this time of the server (ms since the epoch); beats delay_s.
        name: Chosen name; the id becomes NAME@QUEUE.

    Raises:
        InvalidInputError: a value is not allowed.
        PayloadTooLargeError: the arguments are too large.
    """
    names.check_task_type(task_type)
    if not 0 <= delay_s * 1000 <= MAX_DELAY_MS:
        raise InvalidInputError(f"a delay of {delay_s} s: must be from 0 to ten years")
    if at_ms is not None and not 0 <= at_ms < 2**52:
        raise InvalidInputError(f"a due time of {at_ms} ms: must be milliseconds since 1970")
    if isinstance(max_attempts, bool) or not 1 <= max_attempts <= 1000:
        raise InvalidInputError(f"max_attempts {max_attempts}: must be from 1 to 1000")
    if unique_key is not None:
        names.encode_unique_key(unique_key)
    if options:
        _check_timeouts(options)
        if options.memory_limit_mb is not None:
            check_memory_limit(options.memory_limit_mb)
        _check_parents(options)
        _check_times(options, delay_s=delay_s)
        _check_unique(options, is_unique=unique_key is not None)
        tracing.check_options(options)
        if options.debounce_s is not None and (delay_s or at_ms is not None or name is not None or options.depends_on):
            raise InvalidInputError(
                "debounce_s is a delay, and the waiting task keeps its id: it goes with no delay, time, id or parents"
            )
        if options.limit_key is not None:
            names.encode_limit_key(options.limit_key)
    return NewTask(
        task_type=task_type,
        payload=encode_payload(args, max_bytes=max_payload_bytes),
        priority=parse_priority(priority),
        delay_ms=round(delay_s * 1000),
        at_ms=at_ms,
        max_attempts=max_attempts,
        chosen_name=name,
        unique_key=unique_key,
        options=_plain(options) if options else TaskOptions(),
    )


def _plain(options: TaskOptions) -> TaskOptions:
    """The same said in one way: what debounces frees its key as it starts, and `finished` goes without saying."""
    until = "started" if options.debounce_s is not None or options.unique_until == "started" else None
    return options if until == options.unique_until else msgspec.structs.replace(options, unique_until=until)


def _check_times(options: TaskOptions, *, delay_s: float) -> None:
    for word in ("expires_in_s", "unique_for_s", "debounce_s", "debounce_max_s"):
        value_s = getattr(options, word)
        if value_s is None:
            continue
        if isinstance(value_s, bool) or not isinstance(value_s, int | float) or not 1 <= value_s * 1000 <= MAX_DELAY_MS:
            raise InvalidInputError(f"{word} {value_s!r}: must be seconds, from a millisecond to ten years")
    starts_s = max(delay_s, options.debounce_s or 0)
    if options.expires_in_s is not None and starts_s >= options.expires_in_s:
        raise InvalidInputError(
            f"it expires after {options.expires_in_s} s and is not due before {starts_s} s: it could never run"
        )
    if options.debounce_max_s is not None and options.debounce_max_s < (options.debounce_s or math.inf):
        raise InvalidInputError("debounce_max_s must be at least debounce_s, which it limits")


def _check_unique(options: TaskOptions, *, is_unique: bool) -> None:
    if options.unique_until is not None and options.unique_until not in UNIQUE_UNTIL:
        raise InvalidInputError(f"unique_until {options.unique_until!r}: use {', '.join(UNIQUE_UNTIL)}")
    said = [w for w in ("unique_until", "unique_for_s", "debounce_s") if getattr(options, w) is not None]
    if said and not is_unique:
        raise InvalidInputError(f"{said[0]} is for a task with a unique key: give one")
    if options.unique_for_s is not None and len(said) > 1:
        raise InvalidInputError("unique_for_s goes with neither unique_until nor debounce_s: choose how it is held")
    if options.debounce_s is not None and options.unique_until == "finished":
        raise InvalidInputError("debounce_s frees the unique key as the task starts: unique_until cannot be 'finished'")


def _check_parents(options: TaskOptions) -> None:
    policy, count = options.on_parent_failure, len(options.depends_on)
    if policy is not None and policy not in PARENT_POLICIES:
        raise InvalidInputError(f"on_parent_failure {policy!r}: use {', '.join(PARENT_POLICIES)}")
    if policy is not None and not count:
        raise InvalidInputError("on_parent_failure is for a task that depends on others: name them in depends_on")
    if count > MAX_PARENTS:
        raise InvalidInputError(f"a task that depends on {count} others: at most {MAX_PARENTS}")
    for parent in options.depends_on:
        ids.home_of(parent)


def _are_of(queue: str, number: int, tasks: Sequence[NewTask]) -> bool:
    return all(ids.home_of(parent) in (queue, number) for task in tasks for parent in task.options.depends_on)


def _foreign_parents(queue: str, number: int, tasks: Sequence[NewTask]) -> Flow[dict[str, str]]:
    """How the parents that are in other queues have ended, if they have."""
    parents = (parent for task in tasks for parent in task.options.depends_on)
    return (yield from outbox.look([p for p in dict.fromkeys(parents) if ids.home_of(p) not in (queue, number)]))


def _check_order(tasks: Sequence[NewTask], task_ids: Sequence[str]) -> None:
    """Refuses what would be a circle: tasks that name themselves or later ones as parents."""
    first: dict[str, int] = {}
    for i, task_id in enumerate(task_ids):
        first.setdefault(task_id, i)
    for i, task in enumerate(tasks):
        for parent in task.options.depends_on:
            if parent == task_ids[i]:
                raise InvalidInputError(f"the task {parent} cannot depend on itself")
            if first.get(parent, -1) > i:
                raise InvalidInputError(
                    f"{task_ids[i]} cannot depend on {parent}, which comes after it: put that one first"
                )


def enqueue(queue: str, tasks: Sequence[NewTask], *, number: int | None = None) -> Flow[list[Enqueued]]:
    """Enqueues tasks in one step: all, or none when the queue is full. Duplicates are answered, not refused.

    Sending it again after a broken connection is safe: the ids are chosen here, so what had arrived is a duplicate.
    Where a span is active, the tasks carry its trace.

    Args:
        tasks: At most MAX_BATCH.
        number: The queue's number if the caller knows it; a wrong one is noticed and looked up.

    Raises:
        QueueFullError: the queue may not hold that many; nothing was written.
        SchemaTooNewError: a newer tq wrote the queue; nothing was written.
        UnknownParentError: a task depends on one that is not there; nothing was written.
        InvalidInputError: a task depends on itself or on a later one; nothing was written.
    """
    names.check_queue(queue)
    if not tasks:
        return []
    if len(tasks) > MAX_BATCH:
        raise InvalidInputError(f"{len(tasks)} tasks in one call: at most {MAX_BATCH}")
    if tracing.is_loaded() and (span := tracing.enqueue_span(queue, tasks)) is not None:
        with span:
            outcomes = yield from _enqueue(queue, span.carried(tasks), number)
            span.enqueued([outcome.task_id for outcome in outcomes])
        return outcomes
    return (yield from _enqueue(queue, tasks, number))


def _enqueue(queue: str, tasks: Sequence[NewTask], number: int | None) -> Flow[list[Enqueued]]:
    has_parents = any(task.options.depends_on for task in tasks)
    foreign: dict[str, str] = {}
    # A number that the caller remembers may be an old one: a parent that has the new one is of this queue all the same.
    if number is None or (has_parents and not _are_of(queue, number, tasks)):
        number = yield from registry.register_queue(queue)
    for _ in range(3):
        task_ids = _ids(queue, tasks, number)
        if has_parents:
            foreign = yield from _foreign_parents(queue, number, tasks)
            _check_order(tasks, task_ids)
        args: list[Arg] = [number]
        for task_id, task in zip(task_ids, tasks, strict=True):
            args += (task_id, _meta(task, foreign), _tail(task))
        word, *rest = yield Script("enqueue", keys.queue_prefix(queue), args)
        if foreign and word in (b"OK", b"MIXED"):
            yield from outbox.deliver_soon([queue])
        if word == b"OK":
            return [Enqueued(task_id, True) for task_id in task_ids]
        if word == b"MIXED":
            return [_enqueued(task_id, answer) for task_id, answer in zip(task_ids, rest, strict=True)]
        if word == b"FULL":
            depth, max_size = int(rest[0]), int(rest[1])
            raise QueueFullError(
                f"{queue!r} holds {depth} of at most {max_size} waiting tasks and {len(tasks)} more do not fit: "
                "raise its limit or add workers",
                queue=queue,
                depth=depth,
                max_size=max_size,
            )
        if word == b"PARENT":
            task_id, parent, waiting = rest[0].decode(), rest[1].decode(), int(rest[2])
            if waiting:
                raise RefusedError(
                    f"{waiting} tasks wait for {parent} already, which is the most: put a task between, that waits for "
                    "it and that the others wait for"
                )
            raise UnknownParentError(
                f"{task_id} cannot depend on {parent}: it never existed, was deleted, or its retention is over; "
                "nothing was enqueued",
                parent_id=parent,
            )
        if word == b"SCHEMA":
            raise registry.too_new(queue, int(rest[0]))
        number = yield from registry.register_queue(queue)
    raise BrokerError(f"the number of the queue {queue!r} keeps changing: is something flushing {keys.QUEUES}?")


def enqueue_one(queue: str, task: NewTask, *, number: int | None = None) -> Flow[str]:
    """Enqueues one task and returns its id; a task that is there already under the same chosen id counts as enqueued.

    Raises:
        QueueFullError: the queue may not hold more.
        DuplicateTaskError: a live task holds its unique key.
    """
    (outcome,) = yield from enqueue(queue, [task], number=number)
    if outcome.duplicate_of == "unique":
        raise DuplicateTaskError(
            f"the unique key {task.unique_key!r} is held by the task {outcome.task_id} of {queue!r}: "
            "wait for it or cancel it",
            holder_id=outcome.task_id,
        )
    return outcome.task_id


def _ids(queue: str, tasks: Sequence[NewTask], number: int) -> list[str]:
    generated = iter(ids.new_ids(number, len(tasks)))
    return [ids.chosen_id(t.chosen_name, queue) if t.chosen_name else t.made_id or next(generated) for t in tasks]


def _meta(task: NewTask, foreign: Mapping[str, str]) -> Arg:
    options = task.options
    is_timed = task.delay_ms or task.at_ms is not None or options.expires_in_s is not None
    if not (is_timed or task.unique_key or options.depends_on):
        return task.priority
    meta: dict[str, Any] = {"p": task.priority}
    if options.expires_in_s is not None:
        meta["x"] = round(options.expires_in_s * 1000)
    if task.at_ms is not None:
        meta["at"] = task.at_ms
    elif task.delay_ms:
        meta["d"] = task.delay_ms
    if task.unique_key:
        meta["u"] = names.encode_unique_key(task.unique_key)
        meta |= _unique_meta(options)
    if task.options.depends_on:
        parents = task.options.depends_on
        meta["dep"] = [p for p in parents if p not in foreign]
        # One that has completed is done; any other is asked again once the task stands, so that no end is missed.
        if far := [p for p in parents if foreign.get(p, "completed") != "completed"]:
            meta["far"] = far
            gone = next((p for p in far if foreign[p] == "deleted"), None)
            if gone:
                meta["gone"] = gone
        meta["on"] = task.options.on_parent_failure or "fail"
    return _encode(meta)


def _unique_meta(options: TaskOptions) -> dict[str, Any]:
    """How its unique key is held, where that is not until it ends."""
    if options.unique_for_s is not None:
        return {"uf": round(options.unique_for_s * 1000)}
    if options.debounce_s is None:
        return {"us": True} if options.unique_until == "started" else {}
    meta: dict[str, Any] = {"us": True, "db": round(options.debounce_s * 1000)}
    if options.debounce_max_s is not None:
        meta["dm"] = round(options.debounce_max_s * 1000)
    return meta


def _tail(task: NewTask) -> bytes:
    seal, payload = sealing.current(), task.payload
    if not seal.is_idle:
        payload = seal.seal(payload, sealing.purpose_of(task.task_type, "args"))
    return wire.body_tail(
        task_type=task.task_type,
        max_attempts=task.max_attempts,
        unique_key=task.unique_key,
        options=task.options,
        payload=payload,
    )


def _enqueued(task_id: str, answer: bytes) -> Enqueued:
    # An id made here is new to the world: if it is there already, this call had been sent before and its answer lost.
    if answer == b"A" or (answer == b"D" and "@" not in task_id):
        return Enqueued(task_id, True)
    if answer == b"D":
        return Enqueued(task_id, False, "id")
    word, _, holder_id = answer.partition(b":")
    return Enqueued(holder_id.decode(), False, "replaced" if word == b"R" else "unique")
