"""Whether any node takes the tasks of a queue, as the nodes said with their last heartbeats."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from tq_core.roles.registry import Fleet, NodeInfo


class Serving(enum.StrEnum):
    """What the nodes of a queue do about its tasks."""

    TAKEN = "taken"
    """At least one claims them."""
    PAUSED = "paused"
    """There are nodes, and all that stay are paused."""
    LEAVING = "leaving"
    """All nodes that serve it are on their way out."""
    NOBODY = "nobody"
    """No live node serves it."""


@dataclass(frozen=True, slots=True)
class Served:
    """What the live nodes of a queue say."""

    serving: Serving
    slots: int
    """Of all its nodes, paused ones included."""


UNSERVED = Served(Serving.NOBODY, 0)


def served_queues(fleet: Fleet) -> dict[str, Served]:
    """Each queue that a live node serves; one pass over the nodes, however many queues there are."""
    states: dict[str, set[str]] = {}
    slots: dict[str, int] = {}
    for node in fleet.nodes:
        info = node.info
        if node.health != "lost" and isinstance(info, NodeInfo):
            for queue in dict.fromkeys(info.queues):
                states.setdefault(queue, set()).add(info.state)
                slots[queue] = slots.get(queue, 0) + info.processes * info.slots
    return {queue: Served(_serving(of_queue), slots[queue]) for queue, of_queue in states.items()}


def serving_of(queue: str, fleet: Fleet) -> Serving:
    """Who takes the tasks of a queue; nodes whose heartbeat is late still count."""
    return served_queues(fleet).get(queue, UNSERVED).serving


def _serving(states: set[str]) -> Serving:
    if states <= {"paused", "draining"}:
        return Serving.PAUSED if "paused" in states else Serving.LEAVING
    return Serving.TAKEN
