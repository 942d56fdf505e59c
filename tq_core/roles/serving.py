"""Whether any node takes the tasks of a queue, as the nodes said with their last heartbeats."""

from __future__ import annotations

import enum

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


def serving_of(queue: str, fleet: Fleet) -> Serving:
    """Who takes the tasks of a queue; nodes whose heartbeat is late still count."""
    states = {
        node.info.state
        for node in fleet.nodes
        if node.health != "lost" and isinstance(node.info, NodeInfo) and queue in node.info.queues
    }
    if not states:
        return Serving.NOBODY
    if states <= {"paused", "draining"}:
        return Serving.PAUSED if "paused" in states else Serving.LEAVING
    return Serving.TAKEN
