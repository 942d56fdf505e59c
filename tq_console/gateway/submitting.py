"""From a checked body to tasks in a queue: the same rules as `tq submit`, all of a request's tasks or none of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Self

import msgspec

from tq_console.gateway.access import Caller
from tq_console.gateway.link import Link
from tq_console.gateway.problems import FieldProblem, ProblemError, invalid, problem_of
from tq_console.view.submission import DEFAULT_QUEUE, SubmissionRules, TaskLine
from tq_core import ids, names, tracing
from tq_core.errors import InvalidArgumentsError, InvalidInputError, TqError, UnknownTaskTypeError
from tq_core.model import NewTask, priority_label
from tq_core.roles import inspector, producer
from tq_core.roles.producer import MAX_BATCH, Enqueued
from tq_core.roles.registry import PublishedType

FORCE = '"force": true under /v1/tasks'
MAX_KEY_CHARS = 255


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One task of a request."""

    line: TaskLine
    arguments_in: str = "args"
    """The field that the arguments came in, for naming what is wrong: "" = each is a field of its own."""
    is_forced: bool = False
    type_in: str = "type"


class Sent(msgspec.Struct, frozen=True):
    """What the head of a request says of its tasks."""

    idempotency_key: str | None = None
    traceparent: str | None = None
    """W3C trace context of the client, as is tracestate; one that is none is left out, as W3C asks."""
    tracestate: str | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Self:
        """What these headers say."""
        key, traceparent, tracestate = map(headers.get, ("idempotency-key", "traceparent", "tracestate"))
        if traceparent is None or not tracing.is_context(traceparent):
            return cls(key)
        return cls(key, traceparent, tracestate if tracing.is_context(traceparent, tracestate) else None)


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one task."""

    task_id: str
    queue: str
    is_new: bool
    duplicate_of: str = ""


def arguments_of(value: Any) -> dict[str, Any]:
    """What a handler is called with: an object as it is, anything else as the argument `data`."""
    return value if isinstance(value, dict) else {"data": value}


class Submitter:
    """Enqueues what callers ask for."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def one(self, asked: Asked, caller: Caller, sent: Sent) -> Accepted:
        """Enqueues one task.

        Raises:
            ProblemError: something in it is refused; names the field.
            TqError: the queue or the broker said no.
        """
        (accepted,) = await self._all([asked], caller, sent, is_batch=False)
        if accepted.duplicate_of == "unique":
            raise ProblemError(
                409,
                f"the unique key {asked.line.unique!r} is held by the task {accepted.task_id}",
                code="duplicate_task",
                fields=[FieldProblem("unique", f"held by {accepted.task_id}")],
            )
        return accepted

    async def many(self, asked: Sequence[Asked], caller: Caller, sent: Sent) -> list[Accepted]:
        """Enqueues tasks; all are checked before the first is sent, and up to MAX_BATCH of a queue are taken together.

        Raises:
            ProblemError: something in one of them is refused; names the field.
            TqError: the queue or the broker said no.
        """
        return await self._all(asked, caller, sent, is_batch=True)

    async def _all(self, asked: Sequence[Asked], caller: Caller, sent: Sent, *, is_batch: bool) -> list[Accepted]:
        self._link.must_be_writable()
        names_of = _names(caller, sent.idempotency_key, len(asked))
        rules = _Rules(await self._link.types(), caller)
        checked: list[tuple[str, NewTask]] = []
        for i, each in enumerate(asked):
            line = each.line if names_of is None else _named(each.line, names_of[i])
            where = f"tasks[{i}]." if is_batch else ""
            try:
                checked.append(rules.checked(each, line))
            except InvalidInputError as error:
                newer = await self._link.newer_types() if isinstance(error, _ABOUT_TYPES) else None
                if newer is None:
                    raise _placed(error, each, where) from None
                rules = _Rules(newer, caller)
                checked.append(_checked_again(rules, each, line, where))
        if sent.traceparent is not None:
            checked = [(queue, tracing.carrying(task, sent.traceparent, sent.tracestate)) for queue, task in checked]
        found = await self._enqueued(checked)
        if names_of is not None:
            await self._must_be_same(checked, found)
        return found

    async def _enqueued(self, checked: Sequence[tuple[str, NewTask]]) -> list[Accepted]:
        link, found = self._link, [Accepted(task_id="", queue="", is_new=False)] * len(checked)
        by_queue: dict[str, list[int]] = {}
        for i, (queue, _) in enumerate(checked):
            by_queue.setdefault(queue, []).append(i)
        for queue, places in by_queue.items():
            for first in range(0, len(places), MAX_BATCH):
                some = places[first : first + MAX_BATCH]
                try:
                    number = await link.number_of(queue)
                    outcomes = await link.run(producer.enqueue(queue, [checked[i][1] for i in some], number=number))
                except TqError as error:
                    raise _halfway(error, found) from error
                link.learn_number(queue, outcomes[0].task_id)
                for i, outcome in zip(some, outcomes, strict=True):
                    found[i] = _accepted(queue, outcome)
        return found

    async def _must_be_same(self, checked: Sequence[tuple[str, NewTask]], found: Sequence[Accepted]) -> None:
        """Refuses a key that was used for something else before."""
        again = [i for i, each in enumerate(found) if each.duplicate_of == "id"]
        views = await self._link.run(inspector.show([found[i].task_id for i in again])) if again else []
        for i, view in zip(again, views, strict=True):
            task = checked[i][1]
            args = msgspec.json.decode(task.payload)
            if view is not None and (view.type != task.task_type or (view.args is not None and view.args != args)):
                raise ProblemError(
                    422,
                    f"the key was used for another request: {found[i].task_id}",
                    code="idempotency_key_reused",
                    fields=[FieldProblem("Idempotency-Key", "was used for another request")],
                )


_ABOUT_TYPES = (UnknownTaskTypeError, InvalidArgumentsError)
"""Refusals that may be about what a type was before a deployment."""


class _Rules:
    """The rules for all tasks of one request."""

    def __init__(self, types: Mapping[str, PublishedType], caller: Caller) -> None:
        self._firm, self._forced = (
            SubmissionRules(types, submitted_by=caller.actor, is_forced=is_forced, force=FORCE)
            for is_forced in (False, True)
        )

    def checked(self, asked: Asked, line: TaskLine) -> tuple[str, NewTask]:
        """The queue and the task that is asked for.

        Raises:
            InvalidInputError: something in it is not allowed.
        """
        rules = self._forced if asked.is_forced else self._firm
        if line.depends_on:
            found = rules.published(line.type) if line.type else None
            home = line.queue or (found.queue if found else DEFAULT_QUEUE)
            line = msgspec.structs.replace(line, depends_on=[_full_id(each, home) for each in line.depends_on])
        queue, task = rules.checked(line)
        if line.priority is not None and line.priority != shown_priority(task.priority):
            options = msgspec.structs.replace(task.options, asked_priority=line.priority)
            task = msgspec.structs.replace(task, options=options)
        return queue, task


def shown_priority(priority: int) -> int | str:
    """How a priority is shown to whoever did not say otherwise: by its name where it has one."""
    label = priority_label(priority)
    return priority if label.isdigit() else label


def _checked_again(rules: _Rules, asked: Asked, line: TaskLine, where: str) -> tuple[str, NewTask]:
    try:
        return rules.checked(asked, line)
    except InvalidInputError as error:
        raise _placed(error, asked, where) from None


def _full_id(name: str, queue: str) -> str:
    """The id of a task that may be named without its queue, which is then the same."""
    return f"{name}@{queue}" if not ids.is_id(name) and names.CHOSEN_ID.match(name) else name


def _halfway(error: TqError, found: Sequence[Accepted]) -> TqError | ProblemError:
    """The error; where other queues, or this one, have taken some tasks already, with which they did not take."""
    taken = sum(each.task_id != "" for each in found)
    if not taken:
        return error
    told = problem_of(error)
    return ProblemError(
        told.status,
        f"{told.detail}; {taken} of the tasks were enqueued before: with an Idempotency-Key all can be sent again",
        code=told.code,
        fields=[FieldProblem(f"tasks[{i}]", "was not enqueued") for i, each in enumerate(found) if not each.task_id],
        headers=told.headers,
    )


def _accepted(queue: str, outcome: Enqueued) -> Accepted:
    return Accepted(task_id=outcome.task_id, queue=queue, is_new=outcome.is_new, duplicate_of=outcome.duplicate_of)


def _placed(error: InvalidInputError, asked: Asked, where: str) -> ProblemError:
    """The error, with its fields named as they stand in the request."""
    found = problem_of(error)
    if isinstance(error, InvalidArgumentsError):
        inside = f"{where}{asked.arguments_in}." if asked.arguments_in else where
        fields = [FieldProblem(f"{inside}{each.field}", each.problem) for each in found.fields]
    elif isinstance(error, UnknownTaskTypeError):
        fields = [FieldProblem(f"{where}{asked.type_in}", error.message)]
    else:
        fields = [FieldProblem(where + _guessed(error.message, asked), error.message)]
    return ProblemError(
        found.status, f"{where[:-1]}: {found.detail}" if where else found.detail, code=found.code, fields=fields
    )


_WORDS = (
    ("priority", "priority"),
    ("task type", "type"),
    ("max_attempts", "max_attempts"),
    ("memory_limit_mb", "memory_limit_mb"),
    ("soft timeout", "soft_timeout"),
    ("soft_timeout", "soft_timeout"),
    ("timeout", "timeout"),
    ("queue", "queue"),
    ("due time", "at"),
    ("delay", "delay"),
    ("debounce_max", "debounce_max"),
    ("debounce", "debounce"),
    ("unique_for", "unique_for"),
    ("unique_until", "unique_until"),
    ("unique key", "unique"),
    ("limit key", "limit_key"),
    ("on_parent_failure", "on_parent_failure"),
    ("depend", "depends_on"),
    ("expires", "expires"),
    ("is no task id", "depends_on"),
    ("id", "id"),
)
"""Words of the queue layer's refusals, and the field that each is about; the first that is there counts."""


def _guessed(message: str, asked: Asked) -> str:
    if message.startswith("the arguments"):
        return asked.arguments_in or "data"
    found = next((field for word, field in _WORDS if word in message), "body")
    return asked.type_in if found == "type" else found


def _names(caller: Caller, key: str | None, count: int) -> list[str] | None:
    """The ids that a key stands for: nothing needs to be kept of it beside the tasks themselves."""
    if key is None:
        return None
    if not 0 < len(key) <= MAX_KEY_CHARS:
        raise invalid("Idempotency-Key", f"must have 1 to {MAX_KEY_CHARS} characters")
    digest = hashlib.blake2b(f"{caller.name}\0{key}".encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    return [f"key-{digest}"] if count == 1 else [f"key-{digest}.{i}" for i in range(count)]


def _named(line: TaskLine, name: str) -> TaskLine:
    if line.id is not None:
        raise invalid("Idempotency-Key", "the task has an id of its own, which does the same: give one of the two")
    return msgspec.structs.replace(line, id=name)
