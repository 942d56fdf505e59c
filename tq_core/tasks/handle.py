"""Handles on a task, a chain or a group: wait for results, look, stop."""

from __future__ import annotations

import getpass
import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from tq_core.errors import PayloadRefusedError, TaskCancelledError, TaskExpiredError, TaskFailedError, WaitTimeoutError
from tq_core.model import TaskState, TaskView
from tq_core.roles import ends, inspector, operator
from tq_core.transport.steps import Flow

if TYPE_CHECKING:
    from tq_core.tasks.task_queue import TaskQueue

R = TypeVar("R")

ASKED_AT_ONCE = 200
"""Of a group of tasks; those behind are asked for when these have ended."""


class TaskHandle(Generic[R]):
    """One task by its id; holds no connection of its own."""

    __slots__ = ("_task_queue", "id", "is_new")

    def __init__(self, task_queue: TaskQueue, task_id: str, *, is_new: bool = True) -> None:
        self._task_queue = task_queue
        self.id = task_id
        self.is_new = is_new
        """False when enqueuing found this task there already, under the same id or unique key; one that debounces
        does now what was asked for last."""

    def __repr__(self) -> str:
        return f"<TaskHandle {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TaskHandle) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    async def result(self, *, timeout_s: float | None = None) -> R:
        """Waits until the task has ended and returns its result.

        Args:
            timeout_s: None = as long as it takes.

        Raises:
            TaskFailedError: it is in the DLQ.
            TaskCancelledError: it was cancelled or killed.
            TaskExpiredError: its time was over before a worker took it; a TaskCancelledError too.
            WaitTimeoutError: it had not ended in time; it goes on.
            NotFoundError: it is not there (any more).
            PayloadRefusedError: its result is sealed, and this process has no key for it.
        """
        return self.result_of(await self._task_queue.end_of(self.id, timeout_s=timeout_s))

    def result_sync(self, *, timeout_s: float | None = None) -> R:
        """As `result`, from ordinary code."""
        return self.result_of(self._task_queue.run_sync(ends.wait(self.id, timeout_s=timeout_s)))

    async def status(self) -> TaskView:
        """All that is known of the task now.

        Raises:
            NotFoundError: it is not there (any more).
        """
        return await self._task_queue.run(inspector.show_one(self.id))

    def status_sync(self) -> TaskView:
        """As `status`, from ordinary code."""
        return self._task_queue.run_sync(inspector.show_one(self.id))

    async def cancel(self, *, why: str = "", kill: bool = False, actor: str | None = None) -> bool:
        """Ends the task if it has not run, and asks it to stop if it runs.

        Args:
            kill: End it even if it does not listen.
            actor: Who asks, for the audit; this user and host when None.

        Returns:
            Whether anything was to be stopped: False when the task had ended before.

        Raises:
            NotFoundError: it is not there (any more).
        """
        done = await self._task_queue.run(operator.cancel([self.id], actor=actor or this_actor(), why=why, kill=kill))
        return self._stopped(done)

    def cancel_sync(self, *, why: str = "", kill: bool = False, actor: str | None = None) -> bool:
        """As `cancel`, from ordinary code."""
        done = self._task_queue.run_sync(operator.cancel([self.id], actor=actor or this_actor(), why=why, kill=kill))
        return self._stopped(done)

    def _stopped(self, done: list[operator.Done]) -> bool:
        if done[0].word == "gone":
            raise ends.not_found(self.id)
        return done[0].is_done

    def result_of(self, task: TaskView) -> R:
        """The result in a view of this task, which has ended; raises as `result` does."""
        if task.state is TaskState.COMPLETED:
            if refusal := task.result_note or task.result_refusal:
                raise PayloadRefusedError(f"the result of {task.id} ({task.type}): {refusal}")
            definition = self._task_queue.tasks.get(task.type)
            return cast("R", definition.decode_result(task.result) if definition else task.result)
        error = task.error or {}
        reason = str(error.get("reason", ""))
        if task.state is TaskState.CANCELLED and reason == "expired":
            raise TaskExpiredError(
                f"the task {task.id} ({task.type}) expired: {error.get('message', 'its time was over')}", reason=reason
            )
        if task.state is TaskState.CANCELLED:
            by, why = error.get("by"), error.get("why")
            told = (f" by {by}" if by else "") + (f": {why}" if why else "")
            raise TaskCancelledError(
                f"the task {task.id} ({task.type}) was {reason or 'cancelled'}{told}", reason=reason
            )
        what = ": ".join(str(error[part]) for part in ("type", "message") if error.get(part))
        raise TaskFailedError(
            f"the task {task.id} ({task.type}) failed, reason {reason}, after attempt {task.attempt} of "
            f"{task.max_attempts}: {what or 'no detail'}",
            reason=reason,
            error=dict(error),
        )


class ChainHandle(TaskHandle[R]):
    """The last task of a chain, which ends when the chain has; `tasks` are all of them, in order."""

    __slots__ = ("tasks",)

    def __init__(self, task_queue: TaskQueue, tasks: tuple[TaskHandle[Any], ...]) -> None:
        super().__init__(task_queue, tasks[-1].id, is_new=tasks[-1].is_new)
        self.tasks = tasks


class GroupHandle(Generic[R]):
    """Tasks that were enqueued together, and the one that runs after them, if there is one."""

    __slots__ = ("_task_queue", "callback", "tasks")

    def __init__(
        self, task_queue: TaskQueue, tasks: tuple[TaskHandle[Any], ...], callback: TaskHandle[R] | None
    ) -> None:
        self._task_queue, self.tasks, self.callback = task_queue, tasks, callback

    def __repr__(self) -> str:
        return f"<GroupHandle of {len(self.tasks)} tasks>"

    async def results(self, *, timeout_s: float | None = None) -> list[Any]:
        """Waits until all tasks have ended and returns their results in order; the callback is not among them.

        Raises:
            TaskFailedError, TaskCancelledError: what the first of them, in order, that did not complete would raise.
            WaitTimeoutError: some had not ended in time; they go on.
            NotFoundError: one is not there (any more).
        """
        return self._results_of(await self._task_queue.run(wait_all(self._ids, timeout_s=timeout_s)))

    def results_sync(self, *, timeout_s: float | None = None) -> list[Any]:
        """As `results`, from ordinary code."""
        return self._results_of(self._task_queue.run_sync(wait_all(self._ids, timeout_s=timeout_s)))

    @property
    def _ids(self) -> list[str]:
        return [task.id for task in self.tasks]

    def _results_of(self, views: list[TaskView]) -> list[Any]:
        return [task.result_of(view) for task, view in zip(self.tasks, views, strict=True)]


def wait_all(task_ids: Sequence[str], *, timeout_s: float | None = None) -> Flow[list[TaskView]]:
    """Waits until all tasks have ended; returns how, in order.

    Raises:
        WaitTimeoutError: some had not ended in time.
        NotFoundError: one is not there (any more).
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    ended: dict[str, TaskView] = {}
    while asked := [task_id for task_id in task_ids if task_id not in ended][:ASKED_AT_ONCE]:
        for task_id, task in zip(asked, (yield from inspector.show(asked, payload_max=0)), strict=True):
            if task is None:
                raise (yield from inspector.missing(task_id))
            if task.state.is_terminal:
                ended[task_id] = task
        live = [task_id for task_id in asked if task_id not in ended]
        if live:
            try:
                left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
                yield from ends.wait(live[-1], timeout_s=left_s)
            except WaitTimeoutError as error:
                count = len(task_ids)
                raise WaitTimeoutError(
                    f"{count - len(ended)} of {count} tasks had not ended after {timeout_s} s: they go on without you"
                ) from error
    return [ended[task_id] for task_id in task_ids]


def this_actor() -> str:
    """Who this program acts as where it does not say: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no account has this number, as in many containers
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
