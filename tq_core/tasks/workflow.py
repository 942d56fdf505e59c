"""Chains and groups: tasks that are enqueued together, some of which wait for others.

All ids are made before the first is sent, and parents are sent before their children, one call for each run of tasks of
one queue. So a call that is sent again makes no second task, and nobody waits for what never came.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from tq_core import ids
from tq_core.errors import InvalidInputError, TqError
from tq_core.model import PARENT_POLICIES, NewTask
from tq_core.roles import producer, registry
from tq_core.tasks.enqueue_options import Submission
from tq_core.transport.steps import Flow

if TYPE_CHECKING:
    from tq_core.tasks.task_queue import TaskQueue

R = TypeVar("R")

Batches = Callable[[Sequence[NewTask]], Iterator[list[NewTask]]]


class TaskSignature(Generic[R]):
    """A task with its arguments and options, checked and not enqueued yet: a part of a chain or a group."""

    __slots__ = ("payload", "submission", "task_queue")

    def __init__(self, task_queue: TaskQueue, submission: Submission, payload: bytes) -> None:
        self.task_queue, self.submission, self.payload = task_queue, submission, payload

    def __repr__(self) -> str:
        return f"<TaskSignature {self.submission.template.task_type} for {self.submission.queue}>"


class Link(msgspec.Struct, frozen=True):
    """One task of a chain or a group, under the id that it will have."""

    queue: str
    task_id: str
    task: NewTask


def chain(task_queue: TaskQueue, parts: Sequence[TaskSignature[Any]], policy: str | None) -> Flow[list[Link]]:
    """The tasks of a chain: each waits for the one before it.

    Raises:
        InvalidInputError: a part cannot be in it.
    """
    _check(task_queue, parts, policy)
    plain = yield from _links(parts)
    return plain[:1] + [_after(link, [before.task_id], policy) for before, link in itertools.pairwise(plain)]


def group(
    task_queue: TaskQueue, parts: Sequence[TaskSignature[Any]], callback: TaskSignature[Any] | None, policy: str | None
) -> Flow[list[Link]]:
    """The tasks of a group and, as the last, the one that waits for all of them.

    Raises:
        InvalidInputError: a part cannot be in it, or they are too many.
    """
    _check(task_queue, parts, policy)
    if callback is None:
        if policy is not None:
            raise InvalidInputError("on_parent_failure is for a group's callback: give one")
        return (yield from _links(parts))
    _check(task_queue, [callback], policy)
    if len(parts) > producer.MAX_PARENTS:
        raise InvalidInputError(
            f"a group of {len(parts)} tasks with a callback: at most {producer.MAX_PARENTS}; give parts of it "
            "callbacks of their own, and those a common one"
        )
    *plain, last = yield from _links([*parts, callback])
    # Tasks of one queue go in one call; who waits for nobody may be sent in any order.
    return [*plain, _after(last, [link.task_id for link in plain], policy)]


def send(links: Sequence[Link], batches: Batches) -> Flow[dict[str, producer.Enqueued]]:
    """Enqueues tasks in an order in which parents come first; what became of each, by its id.

    Raises:
        TqError: what `producer.enqueue` raises; its notes say which tasks had been enqueued before.
    """
    done: dict[str, producer.Enqueued] = {}
    for queue, run in itertools.groupby(_by_queue(links), key=lambda link: link.queue):
        some = list(run)
        sent_ids = iter([link.task_id for link in some])
        for batch in batches([link.task for link in some]):
            try:
                outcomes = yield from producer.enqueue(queue, batch)
            except TqError as error:
                if done:
                    error.add_note(f"{len(done)} of the {len(links)} tasks had been enqueued before")
                raise
            done |= {next(sent_ids): outcome for outcome in outcomes}
    return done


def _by_queue(links: Sequence[Link]) -> list[Link]:
    """Brings tasks of one queue together as far as they wait for nobody."""
    free = [link for link in links if not link.task.options.depends_on]
    rest = [link for link in links if link.task.options.depends_on]
    return sorted(free, key=lambda link: link.queue) + rest


def _links(parts: Sequence[TaskSignature[Any]]) -> Flow[list[Link]]:
    numbers: dict[str, int] = {}
    for queue in dict.fromkeys(part.submission.queue for part in parts):
        numbers[queue] = yield from registry.register_queue(queue)
    links = []
    for part in parts:
        queue, task = part.submission.queue, part.submission.task(part.payload)
        if task.chosen_name:
            links.append(Link(queue, ids.chosen_id(task.chosen_name, queue), task))
        else:
            (task_id,) = ids.new_ids(numbers[queue], 1)
            links.append(Link(queue, task_id, msgspec.structs.replace(task, made_id=task_id)))
    seen: set[str] = set()
    for link in links:
        if link.task_id in seen:
            raise InvalidInputError(f"the id {link.task_id} is given twice: each task needs its own")
        seen.add(link.task_id)
    return links


def _after(link: Link, parents: Sequence[str], policy: str | None) -> Link:
    own = link.task.options
    all_parents = tuple(dict.fromkeys([*own.depends_on, *parents]))
    if len(all_parents) > producer.MAX_PARENTS:
        raise InvalidInputError(f"a task that depends on {len(all_parents)} others: at most {producer.MAX_PARENTS}")
    options = msgspec.structs.replace(
        own, depends_on=all_parents, on_parent_failure=policy if policy is not None else own.on_parent_failure
    )
    return msgspec.structs.replace(link, task=msgspec.structs.replace(link.task, options=options))


def _check(task_queue: TaskQueue, parts: Sequence[TaskSignature[Any]], policy: str | None) -> None:
    if not parts:
        raise InvalidInputError("nothing to enqueue: give at least one task, as task.signature(...)")
    if policy is not None and policy not in PARENT_POLICIES:
        raise InvalidInputError(f"on_parent_failure {policy!r}: use {', '.join(PARENT_POLICIES)}")
    for part in parts:
        if not isinstance(part, TaskSignature):
            raise InvalidInputError(f"{part!r} cannot be in a chain or group: give task.signature(...)")
        if part.task_queue is not task_queue:
            raise InvalidInputError(f"{part!r} is of another TaskQueue: parts of one chain or group share theirs")
        if part.submission.wait_for_room_s is not None:
            raise InvalidInputError(f"{part!r} cannot wait for room: the parts of a queue go in together or not at all")
        if part.submission.is_unique or part.submission.template.unique_key:
            raise InvalidInputError(
                f"{part!r} is unique, so it may not be enqueued while others wait for it: use .options(unique=False)"
            )
