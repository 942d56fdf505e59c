"""A task type that belongs to a TaskQueue: call it to run it here, enqueue it to have it run by a worker."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, Unpack, overload

from tq_core.tasks.context import TaskContext, current_context
from tq_core.tasks.enqueue_options import EnqueueOptions, Submission, TypeDefaults, submission
from tq_core.tasks.handle import TaskHandle
from tq_core.tasks.task import TaskDefinition
from tq_core.tasks.workflow import TaskSignature

if TYPE_CHECKING:
    from tq_core.tasks.task_queue import TaskQueue

P = ParamSpec("P")
C = TypeVar("C")
R = TypeVar("R")


@dataclass(frozen=True, eq=False, kw_only=True)
class Task(TaskDefinition, Generic[P, C, R]):
    """What `@tq.task` makes of a function.

    P are the function's parameters without the context, C is what calling it returns, R its result.
    """

    task_queue: TaskQueue = field(repr=False)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> C:
        """Runs the handler here and now, as Python does: nothing is enqueued, checked or converted.

        A handler that takes the context and is not given one gets that of the task it is called in, else an idle one.
        """
        wanted = self.context_parameter
        if wanted is None or wanted in kwargs or any(isinstance(value, TaskContext) for value in args[:1]):
            return self.handler(*args, **kwargs)  # type: ignore[no-any-return]
        context = current_context() or TaskContext(task_id="", task_type=self.name, queue=self.queue)
        named = self.arguments.named(args, kwargs)
        return self.handler(**{wanted: context}, **named)  # type: ignore[no-any-return]

    def options(self, **options: Unpack[EnqueueOptions]) -> BoundTask[P, R]:
        """This task with options: `.options(priority="high").enqueue(...)`.

        Raises:
            InvalidInputError: a value is not allowed.
        """
        return BoundTask(self, options)

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R]:
        """Has a worker run the task; the keywords are its arguments and nothing else.

        Raises:
            InvalidArgumentsError: they do not fit the handler's type hints.
            QueueFullError: the queue may not hold more.
            DuplicateTaskError: a live task holds its unique key.
        """
        return await self._plain.enqueue(*args, **kwargs)

    def enqueue_sync(self, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R]:
        """As `enqueue`, from ordinary code."""
        return self._plain.enqueue_sync(*args, **kwargs)

    async def enqueue_many(self, arguments: Sequence[dict[str, Any]]) -> list[TaskHandle[R]]:
        """Enqueues a task for each set of arguments, in batches of one round trip; all are checked before the first."""
        return await self._plain.enqueue_many(arguments)

    def enqueue_many_sync(self, arguments: Sequence[dict[str, Any]]) -> list[TaskHandle[R]]:
        """As `enqueue_many`, from ordinary code."""
        return self._plain.enqueue_many_sync(arguments)

    def signature(self, *args: P.args, **kwargs: P.kwargs) -> TaskSignature[R]:
        """This task with its arguments, to be enqueued as a part of `TaskQueue.chain` or `TaskQueue.group`.

        Raises:
            InvalidArgumentsError: they do not fit the handler's type hints.
        """
        return self._plain.signature(*args, **kwargs)

    @functools.cached_property
    def _plain(self) -> BoundTask[P, R]:
        return BoundTask(self, {})

    def defaults(self) -> TypeDefaults:
        """What the type says about its tasks."""
        return TypeDefaults(
            queue=self.queue,
            priority=self.priority,
            max_attempts=self.retry.max_attempts,
            is_unique=self.is_unique,
            expires_in_s=self.expires_in_s,
            limit_key=self.limit_key,
        )


class BoundTask(Generic[P, R]):
    """A task with options, ready to be enqueued any number of times."""

    __slots__ = ("_options", "_submission", "_task")

    def __init__(self, task: Task[P, Any, R], options: EnqueueOptions) -> None:
        self._task, self._options = task, options
        self._submission: Submission = submission(task.name, options, task.defaults())

    def options(self, **options: Unpack[EnqueueOptions]) -> BoundTask[P, R]:
        """The same with more options, which beat the earlier ones."""
        merged: EnqueueOptions = {**self._options, **options}
        return BoundTask(self._task, merged)

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R]:
        """See `Task.enqueue`."""
        payload = self._payload(self._task.arguments.named(args, kwargs))
        return await self._task.task_queue.submit(self._submission, payload)

    def enqueue_sync(self, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R]:
        """See `Task.enqueue`."""
        payload = self._payload(self._task.arguments.named(args, kwargs))
        return self._task.task_queue.submit_sync(self._submission, payload)

    async def enqueue_many(self, arguments: Sequence[dict[str, Any]]) -> list[TaskHandle[R]]:
        """See `Task.enqueue_many`."""
        return await self._task.task_queue.submit_many(self._submission, [self._payload(args) for args in arguments])

    def enqueue_many_sync(self, arguments: Sequence[dict[str, Any]]) -> list[TaskHandle[R]]:
        """See `Task.enqueue_many`."""
        return self._task.task_queue.submit_many_sync(self._submission, [self._payload(args) for args in arguments])

    def signature(self, *args: P.args, **kwargs: P.kwargs) -> TaskSignature[R]:
        """See `Task.signature`."""
        payload = self._payload(self._task.arguments.named(args, kwargs))
        return TaskSignature(self._task.task_queue, self._submission, payload)

    def _payload(self, args: dict[str, Any]) -> bytes:
        return self._task.arguments.encode(args, max_bytes=self._task.task_queue.max_payload_bytes)


class TaskDecorator(Protocol):
    """What `tq.task(...)` returns; a handler's first parameter may be the context, which callers do not give."""

    @overload
    def __call__(
        self, handler: Callable[Concatenate[TaskContext, P], Coroutine[Any, Any, R]], /
    ) -> Task[P, Coroutine[Any, Any, R], R]: ...
    @overload
    def __call__(self, handler: Callable[Concatenate[TaskContext, P], R], /) -> Task[P, R, R]: ...
    @overload
    def __call__(self, handler: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, Coroutine[Any, Any, R], R]: ...
    @overload
    def __call__(self, handler: Callable[P, R], /) -> Task[P, R, R]: ...
