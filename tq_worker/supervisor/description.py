"""What a node says of itself with each heartbeat."""

from __future__ import annotations

import os
import platform
import socket
from typing import TYPE_CHECKING

from tq_core.keyspace import keys
from tq_core.roles.registry import NodeInfo
from tq_worker import frames
from tq_worker.version import tq_version

if TYPE_CHECKING:
    from tq_worker.supervisor.node import Node

MAX_TROUBLE_CHARS = 500


def describe(node: Node, ready: frames.Ready | None) -> NodeInfo:
    """The node as it is now; what its code has, as a worker told it."""
    given = node.settings
    return NodeInfo(
        node_id=node.node_id,
        host=socket.gethostname(),
        pid=os.getpid(),
        state=node.state,
        processes=node.processes,
        slots=node.slots,
        worker_ids=tuple(seat.child.worker_id for seat in node.seats if seat.child and seat.child.is_working),
        queues=ready.queues if ready else (),
        types=tuple(published.name for published in ready.types) if ready else (),
        started_at_ms=node.started_at_ms,
        tq_version=tq_version(),
        code_version=ready.code_version if ready else "",
        python=platform.python_version(),
        restarts=node.restarts,
        trouble=next(filter(None, (seat.trouble for seat in node.seats)), "")[:MAX_TROUBLE_CHARS],
        schema=keys.SCHEMA_VERSION,
        tags=given.tags,
        weights=given.weights,
        order=given.order,
        max_tasks=given.max_tasks,
        is_burst=given.is_burst,
        autoscale=node.scaling.described(),
    )
