"""The way into tq for programs: define tasks, enqueue them, wait for them.

    tq = TaskQueue()

    @tq.task(queue="mail", timeout_s=30)
    async def send_mail(to: str) -> str: ...

    handle = await send_mail.enqueue(to="a@example.org")

Nothing connects until something is sent. Each event loop has a connection of its own, which is closed when the loop
ends; ordinary code of all threads shares another.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

from tq_core import ids, names, settings
from tq_core.errors import BrokerUnreachableError, DuplicateTaskError, InvalidInputError, TqError, UnknownTaskTypeError
from tq_core.model import NewTask, RetryPolicy, TaskView
from tq_core.roles import backpressure, producer, registry
from tq_core.roles.schedules import Schedule
from tq_core.tasks import schema, workflow
from tq_core.tasks.arguments import invalid_arguments
from tq_core.tasks.end_watch import EndWatch
from tq_core.tasks.enqueue_options import EnqueueOptions, Submission, TypeDefaults, submission
from tq_core.tasks.handle import ChainHandle, GroupHandle, TaskHandle
from tq_core.tasks.registered_task import Task, TaskDecorator
from tq_core.tasks.schedule_options import ScheduleOptions, declared_schedule
from tq_core.tasks.task import TaskDefinition, TaskSettings, describe
from tq_core.tasks.workflow import TaskSignature
from tq_core.transport import backend
from tq_core.transport.runner import AsyncRunner, SyncRunner
from tq_core.transport.steps import Flow

T = TypeVar("T")
R = TypeVar("R")

MAX_BATCH_BYTES = 8 * 1024 * 1024
TYPES_FRESH_S = 10.0
"""How long a producer relies on the published types it has read."""
TYPES_ASKED_AGAIN_S = 1.0
"""How soon it asks again for a type that it has not found."""

_log = logging.getLogger("tq")
_notices_given: set[str] = set()


@dataclass(frozen=True)
class _Opened:
    """The broker while it is in use, in the process that opened it."""

    pid: int
    broker: backend.OpenBroker
    on_loops: AsyncRunner
    in_threads: SyncRunner


class TaskQueue:
    """Tasks of one program on one broker."""

    def __init__(
        self,
        url: str | None = None,
        *,
        context: str | None = None,
        retry: RetryPolicy | None = None,
        max_payload_bytes: int | None = None,
        qualified_names: bool = False,
    ) -> None:
        """Makes a queue without connecting it.

        Args:
            url: The broker; None = TQ_URL, else the chosen context, else the embedded broker.
            context: A context of the configuration file, for when there is no URL.
            retry: The policy of types that have none; None = MAX_RETRIES and its kin, else RetryPolicy().
            max_payload_bytes: Limit of arguments and of results; None = TQ_MAX_PAYLOAD_BYTES, else 1 MiB.
            qualified_names: Name types after module and function, `mail.send`, instead of the function alone.
        """
        self.tasks: dict[str, TaskDefinition] = {}
        """The types defined here, by name."""
        self.schedules: dict[str, Schedule] = {}
        """The schedules declared here, by name; workers make them known when they start."""
        self._url, self._context = url, context
        self._retry = retry
        self.max_payload_bytes = _max_payload_bytes() if max_payload_bytes is None else max_payload_bytes
        self._has_qualified_names = qualified_names
        self._address: settings.BrokerAddress | None = None
        self._opened: _Opened | None = None
        self._opening = threading.Lock()
        self._inherited: list[_Opened] = []
        self._end_watches: dict[asyncio.AbstractEventLoop, EndWatch] = {}
        self._numbers: dict[str, int] = {}
        self._published: dict[str, registry.PublishedType] = {}
        self._published_at: float | None = None

    def __repr__(self) -> str:
        return f"<TaskQueue of {len(self.tasks)} task types>"

    # --- defining tasks ---

    @overload
    def task(self, handler: None = None, /, **settings: Unpack[TaskSettings]) -> TaskDecorator: ...
    @overload
    def task(self, handler: Callable[..., Any], /) -> Task[..., Any, Any]: ...
    def task(self, handler: Callable[..., Any] | None = None, /, **settings: Unpack[TaskSettings]) -> Any:
        """Makes a function a task type; its type hints are the schema of its arguments.

            @tq.task(queue="mail", retry=RetryPolicy(max_attempts=5), timeout_s=30)
            async def send_mail(to: str, subject: str) -> str: ...

        The type's name is the function's own, without its module, unless one is given. A parameter annotated
        `TaskContext` gets the context; put it first. With `cron` or `every_s` it is also a schedule of that name.

        Raises:
            InvalidInputError: the function cannot be a task, or the name is taken; says what to change.
        """
        # Hints that are text may name what is local to the function in which the handler is defined.
        local_names = dict(sys._getframe(1).f_locals)  # noqa: SLF001 - there is no other way

        def define(function: Callable[..., Any]) -> Task[..., Any, Any]:
            chosen: TaskSettings = {"retry": self._default_retry(), **settings}
            if self._has_qualified_names:
                chosen = {"name": _qualified_name(function), **chosen}
            fields = describe(function, chosen, local_names=local_names)
            fields["max_result_bytes"] = self.max_payload_bytes
            task: Task[..., Any, Any] = Task(task_queue=self, **fields)
            if task.name in self.tasks:
                taken = self.tasks[task.name].handler
                raise InvalidInputError(
                    f"the task type {task.name!r} is defined twice, by {_place(taken)} and {_place(function)}: "
                    "give one of them another name, task(name=...)"
                )
            self._declare_own(task, chosen)
            self.tasks[task.name] = task
            return task

        return define if handler is None else define(handler)

    def schedule(
        self,
        name: str,
        task: Task[..., Any, Any] | str,
        args: Mapping[str, Any] | None = None,
        /,
        **options: Unpack[ScheduleOptions],
    ) -> Schedule:
        """Declares that a task is enqueued again and again, by whichever workers serve its queue: each fire once.

            tq.schedule("rome-report", send_report, {"city": "Rome"}, cron="0 8 * * 1-5", tz="Europe/Rome")

        Nothing is sent here: workers that load this code make the schedule known when they start. One that is declared
        no longer fires on until somebody removes it with `tq cron remove`.

        Args:
            name: 1 to 80 letters, digits, '.', '_' or '-'.
            task: A task of this queue, or the name of a type.
            args: The arguments of each task.
            options: When, and how; see `ScheduleOptions`.

        Raises:
            InvalidInputError: a value is not allowed, or the name is taken.
            InvalidArgumentsError: the arguments do not fit.
        """
        task_type = task if isinstance(task, str) else task.name
        schedule = declared_schedule(name, task_type, args or {}, options, definition=self.tasks.get(task_type))
        return self._keep_schedule(schedule)

    def _declare_own(self, task: Task[..., Any, Any], chosen: TaskSettings) -> None:
        """Declares the schedule that a task type says it has."""
        when: ScheduleOptions = {}
        if (cron := chosen.get("cron")) is not None:
            when["cron"] = cron
        if (every_s := chosen.get("every_s")) is not None:
            when["every_s"] = every_s
        if "tz" in chosen:
            when["tz"] = chosen["tz"]
        if when:
            self._keep_schedule(declared_schedule(task.name, task.name, {}, when, definition=task))

    def _keep_schedule(self, schedule: Schedule) -> Schedule:
        if schedule.name in self.schedules:
            raise InvalidInputError(f"the schedule {schedule.name!r} is declared twice: give one of them another name")
        self.schedules[schedule.name] = schedule
        return schedule

    def _default_retry(self) -> RetryPolicy:
        if self._retry is None:
            found = settings.retry_defaults()
            self._retry = RetryPolicy(
                max_attempts=found.max_attempts,
                initial_delay_s=found.initial_delay_ms / 1000,
                multiplier=found.multiplier,
                max_delay_s=found.max_delay_ms / 1000,
            )
        return self._retry

    # --- enqueuing ---

    async def enqueue(
        self, task_type: str, args: Mapping[str, Any] | None = None, /, **options: Unpack[EnqueueOptions]
    ) -> TaskHandle[Any]:
        """Has a worker run a task, by the name of its type: the code need not be here.

        A type that is not defined here is looked up among those that workers have published, which say its queue and
        check the arguments. With `queue=` a type that no worker has published yet is accepted unchecked.

        Raises:
            UnknownTaskTypeError: it is neither defined here nor published, and no queue was given.
            InvalidArgumentsError: the arguments do not fit.
            QueueFullError: the queue may not hold more.
            DuplicateTaskError: a live task holds its unique key.
        """
        (payload,), submitted = await self.run(self._prepare(task_type, [args or {}], options))
        return await self.submit(submitted, payload)

    def enqueue_sync(
        self, task_type: str, args: Mapping[str, Any] | None = None, /, **options: Unpack[EnqueueOptions]
    ) -> TaskHandle[Any]:
        """As `enqueue`, from ordinary code."""
        (payload,), submitted = self.run_sync(self._prepare(task_type, [args or {}], options))
        return self.submit_sync(submitted, payload)

    async def enqueue_many(
        self, task_type: str, arguments: Sequence[Mapping[str, Any]], /, **options: Unpack[EnqueueOptions]
    ) -> list[TaskHandle[Any]]:
        """Enqueues a task for each set of arguments, in batches of one round trip; all are checked before the first.

        A duplicate is no error here: its handle is that of the task that was there.
        """
        payloads, submitted = await self.run(self._prepare(task_type, arguments, options))
        return await self.submit_many(submitted, payloads)

    def enqueue_many_sync(
        self, task_type: str, arguments: Sequence[Mapping[str, Any]], /, **options: Unpack[EnqueueOptions]
    ) -> list[TaskHandle[Any]]:
        """As `enqueue_many`, from ordinary code."""
        payloads, submitted = self.run_sync(self._prepare(task_type, arguments, options))
        return self.submit_many_sync(submitted, payloads)

    async def submit(self, submitted: Submission, payload: bytes) -> TaskHandle[Any]:
        """Enqueues checked arguments under checked options."""
        return self._handle_of(submitted, await self.run(self._send(submitted, [payload])))

    def submit_sync(self, submitted: Submission, payload: bytes) -> TaskHandle[Any]:
        """As `submit`, from ordinary code."""
        return self._handle_of(submitted, self.run_sync(self._send(submitted, [payload])))

    async def submit_many(self, submitted: Submission, payloads: Sequence[bytes]) -> list[TaskHandle[Any]]:
        """As `submit`, many at once."""
        return self._handles(await self.run(self._send_all(submitted, payloads)))

    def submit_many_sync(self, submitted: Submission, payloads: Sequence[bytes]) -> list[TaskHandle[Any]]:
        """As `submit_many`, from ordinary code."""
        return self._handles(self.run_sync(self._send_all(submitted, payloads)))

    async def chain(self, *parts: TaskSignature[Any], on_parent_failure: str | None = None) -> ChainHandle[Any]:
        """Enqueues tasks each of which waits for the one before it; they may be of several queues.

            handle = await tq.chain(fetch.signature(url), parse.signature(), store.signature())

        Those of one queue that follow one another are enqueued in one step, all or none.

        Args:
            parts: Made by `task.signature(...)`.
            on_parent_failure: What each does when the one before it does not complete: fail, skip or run.

        Returns:
            A handle on the last task, which knows the others.

        Raises:
            InvalidInputError: a part cannot be in a chain.
            QueueFullError: a queue may not hold more; notes say how many tasks had been enqueued in others.
        """
        links = await self.run(workflow.chain(self, parts, on_parent_failure))
        return ChainHandle(self, self._linked(links, await self.run(workflow.send(links, _batches_of_tasks))))

    def chain_sync(self, *parts: TaskSignature[Any], on_parent_failure: str | None = None) -> ChainHandle[Any]:
        """As `chain`, from ordinary code."""
        links = self.run_sync(workflow.chain(self, parts, on_parent_failure))
        return ChainHandle(self, self._linked(links, self.run_sync(workflow.send(links, _batches_of_tasks))))

    @overload
    async def group(
        self, parts: Sequence[TaskSignature[Any]], *, callback: None = None, on_parent_failure: str | None = None
    ) -> GroupHandle[Any]: ...
    @overload
    async def group(
        self, parts: Sequence[TaskSignature[Any]], *, callback: TaskSignature[R], on_parent_failure: str | None = None
    ) -> GroupHandle[R]: ...
    async def group(
        self,
        parts: Sequence[TaskSignature[Any]],
        *,
        callback: TaskSignature[Any] | None = None,
        on_parent_failure: str | None = None,
    ) -> GroupHandle[Any]:
        """Enqueues tasks that run side by side, and one that runs when all of them have completed.

            group = await tq.group([count.signature(page) for page in pages], callback=total.signature())

        The tasks of each queue go in calls of at most producer.MAX_BATCH, each all or none; the callback goes last.

        Args:
            parts: Made by `task.signature(...)`; with a callback at most producer.MAX_PARENTS.
            callback: Reads what they returned by `TaskContext.parent_results`.
            on_parent_failure: What the callback does when one does not complete: fail, skip or run.

        Raises:
            InvalidInputError: a part cannot be in a group, or they are too many.
            QueueFullError: a queue may not hold more; notes say how many tasks had been enqueued.
        """
        links = await self.run(workflow.group(self, parts, callback, on_parent_failure))
        return self._group(links, await self.run(workflow.send(links, _batches_of_tasks)), callback)

    @overload
    def group_sync(
        self, parts: Sequence[TaskSignature[Any]], *, callback: None = None, on_parent_failure: str | None = None
    ) -> GroupHandle[Any]: ...
    @overload
    def group_sync(
        self, parts: Sequence[TaskSignature[Any]], *, callback: TaskSignature[R], on_parent_failure: str | None = None
    ) -> GroupHandle[R]: ...
    def group_sync(
        self,
        parts: Sequence[TaskSignature[Any]],
        *,
        callback: TaskSignature[Any] | None = None,
        on_parent_failure: str | None = None,
    ) -> GroupHandle[Any]:
        """As `group`, from ordinary code."""
        links = self.run_sync(workflow.group(self, parts, callback, on_parent_failure))
        return self._group(links, self.run_sync(workflow.send(links, _batches_of_tasks)), callback)

    def _linked(
        self, links: Sequence[workflow.Link], done: Mapping[str, producer.Enqueued]
    ) -> tuple[TaskHandle[Any], ...]:
        return tuple(TaskHandle(self, link.task_id, is_new=done[link.task_id].is_new) for link in links)

    def _group(
        self,
        links: Sequence[workflow.Link],
        done: Mapping[str, producer.Enqueued],
        callback: TaskSignature[Any] | None,
    ) -> GroupHandle[Any]:
        handles = self._linked(links, done)
        return GroupHandle(self, handles, None) if callback is None else GroupHandle(self, handles[:-1], handles[-1])

    def handle(self, task_id: str) -> TaskHandle[Any]:
        """A handle on a task by its id.

        Raises:
            InvalidInputError: this is no task id.
        """
        ids.home_of(task_id)
        return TaskHandle(self, task_id)

    async def end_of(self, task_id: str, *, timeout_s: float | None = None) -> TaskView:
        """Waits until a task has ended; all waits of an event loop share one connection a queue.

        Raises:
            WaitTimeoutError: it had not ended in time; it goes on.
            NotFoundError: it is not there (any more).
        """
        loop = asyncio.get_running_loop()
        watch = self._end_watches.get(loop)
        if watch is None:
            for other in [known for known in self._end_watches if known.is_closed()]:
                del self._end_watches[other]
            watch = self._end_watches[loop] = EndWatch(self.run)
        return await watch.wait(task_id, timeout_s=timeout_s)

    def _prepare(
        self, task_type: str, arguments: Sequence[Mapping[str, Any]], options: EnqueueOptions
    ) -> Flow[tuple[list[bytes], Submission]]:
        """Checks options and arguments against whatever is known of the type."""
        definition = self.tasks.get(names.check_task_type(task_type))
        if isinstance(definition, Task):
            submitted = submission(task_type, options, definition.defaults())
            limit = self.max_payload_bytes
            return [definition.arguments.encode(args, max_bytes=limit) for args in arguments], submitted
        published = yield from self._published_type(task_type, must_exist="queue" not in options)
        defaults = TypeDefaults(max_attempts=self._default_retry().max_attempts)
        if published:
            defaults = TypeDefaults(
                queue=published.queue, max_attempts=published.max_attempts, expires_in_s=published.expires_in_s
            )
        submitted = submission(task_type, options, defaults)
        payloads = []
        for args in arguments:
            payload = producer.encode_payload(dict(args), max_bytes=self.max_payload_bytes)
            if published:
                problems = schema.check_against(published.schema, schema.decode_args(payload))
                if problems:
                    raise invalid_arguments(task_type, problems)
            payloads.append(payload)
        return payloads, submitted

    def _published_type(self, task_type: str, *, must_exist: bool) -> Flow[registry.PublishedType | None]:
        found = self._published.get(task_type)
        fresh_s = TYPES_ASKED_AGAIN_S if found is None and must_exist else TYPES_FRESH_S
        if self._published_at is None or time.monotonic() - self._published_at > fresh_s:
            self._published = yield from registry.published_types()
            self._published_at = time.monotonic()
            found = self._published.get(task_type)
        if found is None and must_exist:
            known = {**self._published, **self.tasks}
            nearest = names.nearest(task_type, known)
            hint = f"did you mean {' or '.join(map(repr, nearest))}? If not, start" if nearest else "start"
            raise UnknownTaskTypeError(
                f"no task type {task_type!r} is defined here or published by a worker: {hint} a worker that has it, "
                "or say which queue it goes to",
                nearest,
            )
        return found

    def _send(
        self,
        submitted: Submission,
        payloads: Sequence[bytes],
        on_done: Callable[[list[producer.Enqueued]], None] | None = None,
    ) -> Flow[list[producer.Enqueued]]:
        queue = submitted.queue
        tasks = [submitted.task(payload) for payload in payloads]
        number = self._numbers.get(queue)
        if number is None:
            number = self._numbers[queue] = yield from registry.register_queue(queue)
        outcomes = yield from backpressure.enqueue(
            queue, tasks, number=number, wait_for_room_s=submitted.wait_for_room_s, on_done=on_done
        )
        home = ids.home_of(outcomes[0].task_id)
        if isinstance(home, int):
            self._numbers[queue] = home
        return outcomes

    def _send_all(self, submitted: Submission, payloads: Sequence[bytes]) -> Flow[list[producer.Enqueued]]:
        if submitted.template.chosen_name is not None and len(payloads) > 1:
            raise InvalidInputError(f"{len(payloads)} tasks cannot share the id {submitted.template.chosen_name!r}")
        outcomes: list[producer.Enqueued] = []
        for batch in _batches(payloads):
            try:
                yield from self._send(submitted, batch, outcomes.extend)
            except TqError as error:
                if outcomes:
                    error.add_note(f"{len(outcomes)} of the {len(payloads)} tasks had been enqueued before")
                raise
        return outcomes

    def _handle_of(self, submitted: Submission, outcomes: list[producer.Enqueued]) -> TaskHandle[Any]:
        (outcome,) = outcomes
        if outcome.duplicate_of == "unique":
            raise DuplicateTaskError(
                f"a task of {submitted.queue!r} like this one is live, {outcome.task_id}: wait for it or cancel it",
                holder_id=outcome.task_id,
            )
        return TaskHandle(self, outcome.task_id, is_new=outcome.is_new)

    def _handles(self, outcomes: list[producer.Enqueued]) -> list[TaskHandle[Any]]:
        return [TaskHandle(self, outcome.task_id, is_new=outcome.is_new) for outcome in outcomes]

    # --- the connection ---

    @property
    def address(self) -> settings.BrokerAddress:
        """The broker that this queue is on, or would be.

        Raises:
            BrokerConfigError: the address cannot be used.
        """
        if self._address is None:
            self._address = settings.resolve_broker(self._url, context=self._context)
        return self._address

    def redirect(self, address: settings.BrokerAddress) -> None:
        """Uses another broker than this queue names, from now on: for a worker that was told which one."""
        self.close()
        self._address = address
        self._numbers, self._published, self._published_at = {}, {}, None

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues of the types defined here, those that were sent to, and `default`."""
        return tuple(dict.fromkeys([*(t.queue for t in self.tasks.values()), *self._numbers, "default"]))

    async def run(self, flow: Flow[T]) -> T:
        """Drives a flow on this event loop's connection: whatever `tq_core` can do, this way.

        Raises:
            TqError: what the flow raises, or a BrokerError.
        """
        opened = self._opened
        if opened is None or opened.pid != os.getpid():
            # Starting an embedded broker takes a while, and other tasks of this loop go on meanwhile.
            opened = await asyncio.to_thread(self._open)
        try:
            return await opened.on_loops.run(flow)
        except BrokerUnreachableError:
            if opened.broker.is_embedded:
                await self.aclose()  # the next use starts it again
            raise

    def run_sync(self, flow: Flow[T]) -> T:
        """As `run`, from ordinary code of any thread."""
        opened = self._open()
        try:
            return opened.in_threads.run(flow)
        except BrokerUnreachableError:
            if opened.broker.is_embedded:
                self.close()  # the next use starts it again
            raise

    def open_broker(self) -> backend.OpenBroker:
        """The broker as this queue uses it, opened now if need be; closed with the queue."""
        return self._open().broker

    async def aclose(self) -> None:
        """Closes this loop's connection, the one of ordinary code and the broker; the next use opens them again."""
        watch = self._end_watches.pop(asyncio.get_running_loop(), None)
        if watch is not None:
            await watch.aclose()
        if self._opened is not None:
            await self._opened.on_loops.aclose()
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Closes the connection of ordinary code and the broker; event loops close their own when they end."""
        with self._opening:
            opened, self._opened = self._opened, None
            if opened is not None and opened.pid == os.getpid():
                opened.in_threads.close()
                opened.broker.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> _Opened:
        with self._opening:
            opened = self._opened
            if opened is not None and opened.pid != os.getpid():
                # A fork: the sockets and the lock are our parent's. Kept, so that no destructor closes them for it.
                self._inherited.append(opened)
                opened = None
            if opened is None:
                broker = backend.open_endpoint(self.address)
                _give_notice(broker.notice)
                opened = self._opened = _Opened(
                    pid=os.getpid(),
                    broker=broker,
                    on_loops=AsyncRunner(broker.endpoint),
                    in_threads=SyncRunner(broker.endpoint),
                )
            return opened


def _batches(payloads: Sequence[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for payload in payloads:
        if batch and (len(batch) == producer.MAX_BATCH or size + len(payload) > MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(payload)
        size += len(payload)
    if batch:
        yield batch


def _batches_of_tasks(tasks: Sequence[NewTask]) -> Iterator[list[NewTask]]:
    first = 0
    for payloads in _batches([task.payload for task in tasks]):
        yield list(tasks[first : first + len(payloads)])
        first += len(payloads)


def _max_payload_bytes() -> int:
    text = os.environ.get("TQ_MAX_PAYLOAD_BYTES", "")
    if not text:
        return producer.MAX_PAYLOAD_BYTES
    if not (text.isascii() and text.isdigit() and int(text) > 1):
        raise InvalidInputError(f"TQ_MAX_PAYLOAD_BYTES={text!r}: must be a number of bytes above 1")
    return int(text)


def _give_notice(notice: str) -> None:
    """Says once per process what a user should know of the broker, such as that nothing is kept."""
    if notice and notice not in _notices_given:
        _notices_given.add(notice)
        _log.warning("%s", notice)


def _qualified_name(function: Callable[..., Any]) -> str:
    own = getattr(function, "__qualname__", "").replace("<locals>.", "")
    return f"{function.__module__}.{own}"


def _place(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    line = f":{code.co_firstlineno}" if code else ""
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', '?')}{line}"
