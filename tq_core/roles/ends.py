"""Waiting for tasks to end without asking all the time: the script that ends a task tells those who wait for it.

A client registers with the task's queue and blocks on a list of its own. What it is told is only that it should look,
so a message that is lost (a restart, a queue that was emptied) costs time and nothing else: everybody also looks now
and then. A client that may not write, or a server that takes no more memory, is asked at growing intervals instead.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

from tq_core.errors import BrokerRefusedError, NotFoundError, WaitTimeoutError
from tq_core.keyspace import keys
from tq_core.model import TaskView
from tq_core.roles import inspector
from tq_core.transport.steps import Block, Flow, Pause, Script

LOOK_AGAIN_S = 5.0
FIRST_PAUSE_S = 0.010
LONGEST_PAUSE_S = 0.250
PAUSE_GROWTH = 1.5
SHORTEST_BLOCK_S = 0.01
"""0 would mean for ever."""


def new_client() -> str:
    """A name under which to be told."""
    return secrets.token_hex(8)


def home(task_id: str) -> Flow[str]:
    """The queue of a task.

    Raises:
        NotFoundError: no queue has given this id.
        InvalidInputError: this is no task id.
    """
    found = yield from inspector.locate([task_id])
    if task_id not in found:
        raise not_found(task_id)
    return found[task_id]


def watch(queue: str, client: str, task_ids: Sequence[str]) -> Flow[list[str]]:
    """Has the client told when tasks of one queue end; returns those that it need not wait for: ended or gone.

    Raises:
        BrokerRefusedError: the server takes no more memory, or this user may not write.
    """
    words = yield Script("watch_end", keys.queue_prefix(queue), (client, *task_ids))
    return [task_id for task_id, word in zip(task_ids, words, strict=True) if word != b"WAITS"]


def next_ended(queue: str, client: str, *, timeout_s: float) -> Flow[str | None]:
    """Waits until the client is told of a task; None when the time was up."""
    timeout_s = max(SHORTEST_BLOCK_S, timeout_s)
    found = yield Block(("BLPOP", keys.answers(queue, client), round(timeout_s, 3)), timeout_s)
    return found[1].decode() if found else None


def wait(task_id: str, *, timeout_s: float | None = None) -> Flow[TaskView]:
    """Waits until a task has ended; returns how it ended.

    Raises:
        WaitTimeoutError: it had not ended in time.
        NotFoundError: it is not there (any more).
    """
    queue, client = (yield from home(task_id)), new_client()
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    may_watch, pause_s = True, FIRST_PAUSE_S
    while True:
        is_waiting = not may_watch
        if may_watch:
            try:
                is_waiting = not (yield from watch(queue, client, [task_id]))
            except BrokerRefusedError:
                may_watch = False
                continue
        if not (may_watch and is_waiting):
            (task,) = yield from inspector.show([task_id], queue=queue)
            if task is None:
                raise (yield from inspector.missing(task_id))
            if task.state.is_terminal:
                return task
        left_s = LOOK_AGAIN_S if deadline is None else deadline - time.monotonic()
        if left_s <= 0:
            (task,) = yield from inspector.show([task_id], queue=queue)
            if task is not None and task.state.is_terminal:
                return task
            raise still_waiting(task_id, task, timeout_s)
        if may_watch:
            yield from next_ended(queue, client, timeout_s=min(left_s, LOOK_AGAIN_S))
        else:
            yield Pause(min(pause_s, left_s))
            pause_s = min(pause_s * PAUSE_GROWTH, LONGEST_PAUSE_S)


def still_waiting(task_id: str, task: TaskView | None, timeout_s: float | None) -> WaitTimeoutError | NotFoundError:
    """What is raised when the time for waiting is up."""
    if task is None:
        return not_found(task_id)
    return WaitTimeoutError(f"the task {task_id} was still {task.state} after {timeout_s} s: it goes on without you")


def not_found(task_id: str) -> NotFoundError:
    return NotFoundError(f"no task has the id {task_id!r}: it never existed, was deleted, or its retention is over")
