"""A task type as its code defines it: what a worker needs to run tasks of it, and a producer to check them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

import msgspec

from tq_core import names
from tq_core.errors import InvalidInputError, InvalidResultError
from tq_core.keyspace import sealing
from tq_core.model import DEFAULT_PRIORITY, RetryPolicy, parse_priority
from tq_core.roles import producer, registry
from tq_core.roles.limits import Breaker
from tq_core.tasks.arguments import Arguments, return_hint
from tq_core.tasks.limit_key_template import check_template

MAX_DOC_CHARS = 4_000

_encode = msgspec.json.Encoder().encode


class TaskSettings(TypedDict, total=False):
    """Keywords of `@tq.task(...)`."""

    name: str
    """The type's name; without it the function's own, without its module."""
    queue: str
    """Where its tasks go; `default`."""
    retry: RetryPolicy | None
    """How often and when a failing task is tried again."""
    timeout_s: float | None
    """Hard limit of one attempt; exceeding it is a failed attempt."""
    soft_timeout_s: float | None
    """When SoftTimeoutError is raised inside the handler, so that it can finish tidily."""
    isolate: bool
    """Run each task in a process of its own."""
    memory_limit_mb: int | None
    """With isolate: an attempt whose process uses more memory than so many MiB fails, and its process is ended."""
    expires_in_s: float | None
    """No attempt of a task starts so long after it was enqueued, or later."""
    priority: str | int
    limit_key: str
    """Whose limits its tasks count to: a text, with arguments in braces, such as {tenant}."""
    breaker: Breaker
    """Holds its tasks back while too many fail; workers set it at their start where it differs."""
    unique: bool
    """Let the same arguments be live only once."""
    cron: str
    """Enqueue it again and again, without arguments; `TaskQueue.schedule` can say more."""
    every_s: float
    """The same, every so many seconds."""
    tz: str
    """The time zone of the cron expression; UTC."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TaskDefinition:
    """A handler and everything that is said about it."""

    name: str
    handler: Callable[..., Any]
    arguments: Arguments
    queue: str = "default"
    retry: RetryPolicy = RetryPolicy()  # noqa: RUF009 - frozen
    timeout_s: float | None = None
    """Hard limit of one attempt; a task's own option beats it."""
    soft_timeout_s: float | None = None
    """When SoftTimeoutError is raised inside the handler; a task's own option beats it."""
    priority: int = DEFAULT_PRIORITY
    limit_key: str = ""
    """As `limit_key_template` fills it in; a task's own option beats it."""
    breaker: Breaker | None = None
    is_unique: bool = False
    """Whether the same arguments may be live only once."""
    expires_in_s: float | None = None
    """How long after it was enqueued no attempt of a task starts any more; a task's own option beats it."""
    is_isolated: bool = False
    """Whether each task runs in a process of its own."""
    memory_limit_mb: int | None = None
    """How many MiB of memory that process may use; a task's own option beats it; None = as many as there are."""
    is_async: bool = False
    doc: str = ""
    max_result_bytes: int = producer.MAX_PAYLOAD_BYTES
    result_hint: Any = field(default=Any, repr=False)

    @property
    def context_parameter(self) -> str | None:
        """The parameter that wants the TaskContext."""
        return self.arguments.context_parameter

    @property
    def schema(self) -> dict[str, Any]:
        """JSON schema of the arguments: an object."""
        return self.arguments.schema

    def bind(self, payload: bytes) -> dict[str, Any]:
        """A payload as the handler's keywords, without the context.

        Raises:
            InvalidArgumentsError: it does not fit the schema.
            PayloadRefusedError: it is sealed, and not so that this process takes it.
        """
        return self.arguments.bind(sealing.current().open(payload, sealing.purpose_of(self.name, "args")))

    def encode_result(self, value: Any) -> bytes:
        """What the handler returned, as JSON, sealed as this process seals.

        Raises:
            InvalidResultError: it cannot be stored.
        """
        if inspect.iscoroutine(value):
            value.close()
            raise InvalidResultError(
                f"{self.name} ran and returned a coroutine that nobody awaits: is a decorator between the handler and "
                "`task`? Make it `async def`"
            )
        try:
            result = _encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise InvalidResultError(
                f"{self.name} ran, but its result ({type(value).__name__}) cannot be written as JSON: {error}"
            ) from error
        if len(result) > self.max_result_bytes:
            raise InvalidResultError(
                f"{self.name} ran, but its result takes {len(result)} bytes and the limit is {self.max_result_bytes}: "
                "store it elsewhere and return its name"
            )
        return sealing.current().seal(result, sealing.purpose_of(self.name, "result"))

    def decode_result(self, value: Any) -> Any:
        """A stored result as the type the handler says it returns; as plain JSON where it does not fit that."""
        if self.result_hint is Any:
            return value
        try:
            return msgspec.convert(value, self.result_hint)
        except (msgspec.ValidationError, ValueError, TypeError):
            return value

    def published(self) -> registry.PublishedType:
        """What workers make known of it."""
        return registry.PublishedType(
            name=self.name,
            queue=self.queue,
            schema=self.schema,
            doc=self.doc,
            max_attempts=self.retry.max_attempts,
            timeout_s=self.timeout_s,
            is_isolated=self.is_isolated,
            memory_limit_mb=self.memory_limit_mb,
            expires_in_s=self.expires_in_s,
            limit_key=self.limit_key,
            breaker=self.breaker.encode() if self.breaker else "",
        )


def describe(handler: Any, settings: TaskSettings, *, local_names: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a handler's definition, all checked.

    Args:
        local_names: What was visible where the handler was defined.

    Raises:
        InvalidInputError: a value is not allowed; names the task and what is wrong.
    """
    if not callable(handler) or inspect.isclass(handler):
        raise InvalidInputError(f"{handler!r} cannot be a task's handler: decorate a function")
    unknown = settings.keys() - TaskSettings.__annotations__.keys()
    if unknown:
        listed = ", ".join(sorted(unknown))
        raise InvalidInputError(
            f"{listed}: task() has no such setting; it has {', '.join(TaskSettings.__annotations__)}"
        )
    task_type = names.check_task_type(settings.get("name") or _own_name(handler))
    function = inspect.unwrap(handler)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidInputError(f"the task {task_type!r} is a generator: a handler returns one result")
    expires_in_s = settings.get("expires_in_s")
    if expires_in_s is not None and not 1 <= expires_in_s * 1000 <= producer.MAX_DELAY_MS:
        raise InvalidInputError(
            f"the task {task_type!r}, expires_in_s {expires_in_s}: must be from a millisecond to ten years"
        )
    hard_s, soft_s = settings.get("timeout_s"), settings.get("soft_timeout_s")
    for word, limit_s in (("timeout_s", hard_s), ("soft_timeout_s", soft_s)):
        if limit_s is not None and not 0 < limit_s <= producer.MAX_TIMEOUT_S:
            raise InvalidInputError(f"the task {task_type!r}, {word} {limit_s}: must be above 0 and at most one year")
    if hard_s is not None and soft_s is not None and soft_s >= hard_s:
        raise InvalidInputError(
            f"the task {task_type!r}: its soft_timeout_s {soft_s} must be below its timeout_s {hard_s}"
        )
    arguments = Arguments(handler, task_type=task_type, local_names=local_names)
    breaker = settings.get("breaker")
    if breaker is not None and not isinstance(breaker, Breaker):
        raise InvalidInputError(f"the task {task_type!r}, breaker {breaker!r}: give a Breaker(...)")
    return {
        "name": task_type,
        "handler": handler,
        "arguments": arguments,
        "limit_key": check_template(settings.get("limit_key", ""), arguments.schema, task_type=task_type)
        if "limit_key" in settings
        else "",
        "breaker": breaker,
        "queue": names.check_queue(settings.get("queue", "default")),
        "retry": settings.get("retry") or RetryPolicy(),
        "timeout_s": hard_s,
        "soft_timeout_s": soft_s,
        "priority": parse_priority(settings.get("priority", DEFAULT_PRIORITY)),
        "is_unique": settings.get("unique", False),
        "expires_in_s": expires_in_s,
        "is_isolated": settings.get("isolate", False),
        "memory_limit_mb": _memory_limit(task_type, settings),
        "is_async": _is_async(handler),
        "doc": "" if isinstance(function, functools.partial) else (inspect.getdoc(function) or "")[:MAX_DOC_CHARS],
        "result_hint": return_hint(handler, local_names),
    }


def _memory_limit(task_type: str, settings: TaskSettings) -> int | None:
    limit_mb = settings.get("memory_limit_mb")
    if limit_mb is None:
        return None
    try:
        producer.check_memory_limit(limit_mb)
    except InvalidInputError as error:
        raise InvalidInputError(f"the task {task_type!r}, {error.message}") from error
    if not settings.get("isolate", False):
        raise InvalidInputError(
            f"the task {task_type!r}: memory_limit_mb needs isolate=True, since only a process of its own has memory "
            "that can be told apart; for whole workers there is `tq-worker --max-memory`"
        )
    return limit_mb


def _own_name(handler: object) -> str:
    name = getattr(handler, "__name__", "")
    if not name or name == "<lambda>":
        raise InvalidInputError(f"{handler!r} has no name of its own: give one, task(name=...)")
    return str(name)


def _is_async(handler: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004
