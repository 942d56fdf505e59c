"""A steady trickle of sample tasks of every kind, so that every screen of the demo has life."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator
from typing import Any

from tq_console.cli.demo_tasks import QUEUE, SECOND_QUEUE
from tq_core.errors import TqError
from tq_core.model import NewTask, TaskOptions, TaskState
from tq_core.roles import inspector, producer
from tq_core.transport.connection import Endpoint
from tq_core.transport.runner import SyncRunner

PAUSE_S = 0.4
WAITING_MAX = 300
"""Nothing is added while so many tasks wait: somebody paused a queue or stopped the workers, and wants to look."""
FAILED_MAX = 60
"""No more that fail for good are added while the DLQ holds so many."""

KINDS: tuple[tuple[int, str, dict[str, Any], dict[str, Any]], ...] = (
    (20, "simple", {"data": "hello"}, {}),
    (12, "echo", {"to": "ana@example.org", "password": "hunter2"}, {}),
    (10, "process", {"data": {"kind": "invoice", "number": 4711}, "seconds": 0.4}, {}),
    (8, "sleep", {"seconds": 2}, {}),
    (3, "sleep", {"seconds": 12}, {}),
    (6, "progress", {"steps": 20, "seconds": 6}, {}),
    (6, "matrix_multiply", {"size": 60}, {}),
    (6, "calculate", {"data": [1, 2, [3, {"more": 4}]]}, {}),
    (6, "math", {"operation": "power", "a": 2, "b": 10}, {}),
    (5, "flaky", {"fails": 2}, {}),
    (3, "fail", {"message": "the mail server refused the message"}, {"max_attempts": 2}),
    (2, "math", {"operation": "modulo", "a": 1, "b": 2}, {}),
    (4, "simple", {"data": "later"}, {"delay_s": 20}),
    (3, "simple", {"data": "first"}, {"priority": "critical"}),
    (3, "simple", {"data": "last"}, {"priority": "low"}),
)
"""How often of all, type, arguments, options."""
_ENDS_IN_DLQ = ("fail", "math")


class Trickle:
    """Enqueues sample tasks in a thread of its own until it is stopped."""

    def __init__(self, endpoint: Endpoint, *, actor: str) -> None:
        self._endpoint, self._actor = endpoint, actor
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo-trickle", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it; may be called twice."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def _run(self) -> None:
        runner = SyncRunner(self._endpoint, retry_for_s=0.0)
        tasks = choices(random.Random(), self._actor)
        try:
            with contextlib.suppress(TqError):
                for queue, task in one_of_each(self._actor):
                    runner.run(producer.enqueue_one(queue, task))
            while not self._stopping.wait(PAUSE_S):
                try:
                    self._add_one(runner, tasks)
                except TqError:
                    # The operator may stop, wipe or restart the broker; the trickle goes on when it is back.
                    continue
        finally:
            runner.close()

    @staticmethod
    def _add_one(runner: SyncRunner, tasks: Iterator[tuple[str, NewTask]]) -> None:
        numbers = runner.run(inspector.stats(minutes=1))
        if sum(queue.waiting for queue in numbers) >= WAITING_MAX:
            return
        failed = sum(queue.depths[TaskState.FAILED] for queue in numbers)
        queue, task = next(tasks)
        if failed >= FAILED_MAX and task.task_type in _ENDS_IN_DLQ:
            return
        runner.run(producer.enqueue_one(queue, task))


def one_of_each(actor: str) -> Iterator[tuple[str, NewTask]]:
    """A task of every kind, so that there is something to see at once."""
    for _, task_type, args, options in KINDS:
        yield _made(task_type, args, options, actor)


def choices(rng: random.Random, actor: str) -> Iterator[tuple[str, NewTask]]:
    """Queues and tasks by their weights, without end."""
    weights = [weight for weight, *_ in KINDS]
    while True:
        ((_, task_type, args, options),) = rng.choices(KINDS, weights)
        yield _made(task_type, args, options, actor)


def _made(task_type: str, args: dict[str, Any], options: dict[str, Any], actor: str) -> tuple[str, NewTask]:
    queue = SECOND_QUEUE if task_type in ("process", "matrix_multiply", "calculate") else QUEUE
    return queue, producer.new_task(task_type, args, options=TaskOptions(submitted_by=actor), **options)
