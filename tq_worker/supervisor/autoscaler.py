"""Follows the queues of a node and sets its number of workers by the rule of `tq_worker.supervisor.autoscale`.

There is no leader: each node takes its share of a queue's backlog, that is, divides it by the live nodes that serve it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import TYPE_CHECKING

from tq_core.errors import BrokerError
from tq_core.roles import registry
from tq_core.roles.workload import Workload, workload
from tq_core.worker_bounds import Bounds
from tq_worker.supervisor.autoscale import Load, Memory, decide

if TYPE_CHECKING:
    from tq_core.transport.runner import AsyncRunner
    from tq_worker.supervisor.node import Node

EVERY_S = 1.0
JITTER = 0.3
"""Nodes that look at the same moment would all want the same tasks."""
NODES_KNOWN_FOR_S = 10.0
SMOOTH = 0.3


class Autoscaler:
    """Scales one node while it has bounds."""

    def __init__(self, node: Node, runner: AsyncRunner) -> None:
        self._node, self._runner = node, runner
        self.bounds: Bounds | None = None
        self._memory = Memory()
        self._last = registry.Autoscale(least=0, most=0)
        self._nodes: dict[str, int] = {}
        self._nodes_at = float("-inf")
        self._taken: dict[str, int] = {}
        self._looked_at = 0.0
        self._taken_per_s = 0.0
        self._changed = asyncio.Event()

    def set_bounds(self, bounds: Bounds | None) -> None:
        """Scales between these from now on; None = no longer."""
        self.bounds = bounds
        self._memory = Memory()
        self._taken = {}
        self._changed.set()

    def describe(self) -> registry.Autoscale | None:
        """What the heartbeat says."""
        if self.bounds is None:
            return None
        return registry.Autoscale(
            least=self.bounds.least,
            most=self.bounds.most,
            at_ms=self._last.at_ms,
            processes=self._last.processes,
            why=self._last.why,
        )

    async def run(self) -> None:
        """Never returns."""
        while True:
            timeout_s = EVERY_S * (1 + random.uniform(-JITTER, JITTER)) if self.bounds is not None else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._changed.wait()
            self._changed.clear()
            if self.bounds is None or self._node.is_leaving or self._node.is_paused:
                self._taken = {}
                continue
            with contextlib.suppress(BrokerError):
                await self._look()

    async def _look(self) -> None:
        node, loads = self._node, await self._runner.run(workload(self._node.queues))
        backlog, wait_s = await self._share(loads)
        now = time.monotonic()
        self._count(now)
        bounds = self.bounds
        if bounds is None or node.is_leaving:
            return
        load = Load(
            processes=node.processes,
            slots=node.slots,
            running=sum(seat.child.running for seat in node.open_seats() if seat.child is not None),
            backlog=backlog,
            wait_s=wait_s,
            taken_per_s=self._taken_per_s,
        )
        decision, self._memory = decide(bounds, load, self._memory, now)
        if decision is None:
            return
        node.log.write("info", "autoscale", text=f"{node.processes} -> {decision.processes} workers: {decision.why}")
        self._last = registry.Autoscale(
            least=bounds.least,
            most=bounds.most,
            at_ms=int(time.time() * 1000),
            processes=decision.processes,
            why=decision.why,
        )
        node.scaling.decided(decision.processes)

    async def _share(self, loads: list[Workload]) -> tuple[float, float]:
        """This node's part of what could run now, and how long the oldest of it has waited."""
        waiting = [load for load in loads if load.claimable >= 1]
        if not waiting:
            return 0.0, 0.0
        now = time.monotonic()
        if now - self._nodes_at >= NODES_KNOWN_FOR_S:
            self._nodes, self._nodes_at = await self._runner.run(registry.nodes_by_queue()), now
        backlog = sum(load.claimable / max(1, self._nodes.get(load.queue, 1)) for load in waiting)
        # A task that is alone is for one of the nodes, whichever sees it.
        return max(1.0, backlog), max(load.wait_ms for load in waiting) / 1000

    def _count(self, now: float) -> None:
        """Follows how many tasks are claimed."""
        taken = {child.worker_id: child.taken for child in self._node.working()}
        if self._taken:
            new = sum(count - self._taken.get(worker_id, 0) for worker_id, count in taken.items())
            rate = new / max(0.1, now - self._looked_at)
            self._taken_per_s += (rate - self._taken_per_s) * SMOOTH
        else:
            self._taken_per_s = 0.0
        self._taken, self._looked_at = taken, now
