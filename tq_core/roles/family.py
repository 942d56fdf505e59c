"""What a task waited for and what waits for it, across queues."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tq_core.keyspace import keys
from tq_core.model import TaskView
from tq_core.roles import inspector, outbox
from tq_core.transport.steps import Batch, Command, Flow

TASKS_MAX = 500
"""Relatives of a task that are read; a tree may be as wide as a thousand parents and ten thousand children."""


class Relative(msgspec.Struct, frozen=True, kw_only=True):
    """A task in another's tree."""

    task_id: str
    task: TaskView | None
    """None = it is gone."""
    depth: int
    """Below 0 the tasks that it waits or waited for, 0 itself, above 0 those that wait for it."""
    of: str
    """The task by which it is in the tree; empty for the one that was asked for."""


class Family(msgspec.Struct, frozen=True):
    """A task's tree, nearest relatives first."""

    relatives: tuple[Relative, ...]
    is_whole: bool
    """False where there are more than were read."""


def tree(task_id: str, *, limit: int = TASKS_MAX) -> Flow[Family]:
    """The parents of a task, as it was enqueued with, and theirs; and the tasks that still wait for it, and theirs.

    A few round trips a generation. Each task is told once, however many ways lead to it.

    Raises:
        NotFoundError: there is no such task.
        InvalidInputError: this is no task id.
    """
    own = yield from inspector.show_one(task_id, payload_max=0)
    found = {task_id: Relative(task_id=task_id, task=own, depth=0, of="")}
    is_whole = True
    for step in (-1, 1):
        generation = [own]
        while generation:
            if step < 0:
                links = [(parent, task.id) for task in generation for parent in task.options.depends_on]
            else:
                links = yield from _children(generation)
            new: dict[str, str] = {}
            for relative, of in links:
                if relative not in found:
                    new.setdefault(relative, of)
            room = limit - len(found)
            is_whole = is_whole and len(new) <= room
            named = list(new)[: max(room, 0)]
            views = (yield from inspector.show(named, payload_max=0)) if named else []
            depth = (found[generation[0].id].depth if generation else 0) + step
            for name, view in zip(named, views, strict=True):
                found[name] = Relative(task_id=name, task=view, depth=depth, of=new[name])
            generation = [view for view in views if view is not None]
    return Family(tuple(sorted(found.values(), key=lambda r: r.depth)), is_whole)


def children_of(queue: str, task_id: str, *, limit: int = 50) -> Flow[list[str]]:
    """The ids of tasks that wait for one, in its own queue and in others; in one round trip where no other is told."""
    prefix = keys.queue_prefix(queue)
    edges, watchers = yield Batch([_edges(queue, task_id, limit), Command(("HGET", prefix + "watchers", task_id))])
    others = tuple(outbox.watches(watchers or b""))
    more = (yield Batch([_edges(other, task_id, limit) for other in others])) if others else []
    found = [edge for some in (edges, *more) for edge in some]
    return [edge[len(task_id) + 1 :].decode("utf-8", "replace") for edge in found][:limit]


def _edges(queue: str, task_id: str, limit: int) -> Command:
    key = keys.queue_prefix(queue) + "children"
    return Command(("ZRANGEBYLEX", key, f"[{task_id}>", f"({task_id}?", "LIMIT", 0, limit))


def named(
    task_id: str, parents: Sequence[str], children: Sequence[str], *, limit: int = 50
) -> Flow[tuple[tuple[Relative, ...], tuple[Relative, ...]]]:
    """These parents and children of a task as they are now, of either at most so many, in one or two round trips."""
    parents, children = parents[:limit], children[:limit]
    views = yield from inspector.show([*parents, *children], payload_max=0)
    found = [
        Relative(task_id=name, task=view, depth=-1 if n < len(parents) else 1, of=task_id)
        for n, (name, view) in enumerate(zip([*parents, *children], views, strict=True))
    ]
    return tuple(found[: len(parents)]), tuple(found[len(parents) :])


def _children(parents: Sequence[TaskView]) -> Flow[list[tuple[str, str]]]:
    """(child, parent) of each task that waits for one of these, wherever it is."""
    live = [task for task in parents if not task.state.is_terminal]
    if not live:
        return []
    watchers = yield Batch([Command(("HGET", keys.queue_prefix(task.queue) + "watchers", task.id)) for task in live])
    places = [
        (task, queue)
        for task, found in zip(live, watchers, strict=True)
        for queue in (task.queue, *outbox.watches(found or b""))
    ]
    edges = yield Batch(
        [
            Command(("ZRANGEBYLEX", keys.queue_prefix(queue) + "children", f"[{task.id}>", f"({task.id}?"))
            for task, queue in places
        ]
    )
    return [
        (edge[len(task.id) + 1 :].decode("utf-8", "replace"), task.id)
        for (task, _), some in zip(places, edges, strict=True)
        for edge in some
    ]
