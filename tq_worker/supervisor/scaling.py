"""How many workers a node has: as it was told, or as it decides within bounds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from tq_core.roles.registry import Autoscale
from tq_core.worker_bounds import Bounds
from tq_worker.supervisor.seat import NO_DEADLINE_S, Seat

if TYPE_CHECKING:
    from tq_core.transport.runner import AsyncRunner
    from tq_worker.supervisor.autoscaler import Autoscaler
    from tq_worker.supervisor.node import Node

SCALE_TIMEOUT_S = 9.0


class Scaled(NamedTuple):
    """What became of the number of workers."""

    new: int
    late: int
    """New ones that have not begun to work in time."""
    leaving: int


class Scaling:
    """Sets the number of one node's workers; those that are too many finish their tasks first."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._autoscaler: Autoscaler | None = None

    def decided(self, processes: int) -> None:
        """Sets the number that the node has decided on itself: that must not interrupt a task."""
        self._begin(processes, NO_DEADLINE_S, "the node scaled itself down")

    def _begin(self, processes: int, deadline_s: float, why: str) -> tuple[list[Seat], list[asyncio.Task[bool]]]:
        """Returns the seats of new workers, and what is done as surplus ones stop claiming."""
        node = self._node
        node.processes = processes
        before = node.open_seats()
        node.fill_seats()
        new = [seat for seat in node.open_seats() if seat not in before]
        # Those that have least to finish go, and of these the youngest.
        kept = sorted(before, key=lambda seat: -seat.child.running if seat.child is not None else 0)[:processes]
        leaving = [node.spawn(seat.leave(deadline_s=deadline_s, why=why)) for seat in before if seat not in kept]
        node.beat_soon()
        return new, leaving

    async def scale(self, processes: int) -> Scaled:
        """Sets the number; returns once that has taken effect, or when the time for it is up."""
        new, surplus = self._begin(processes, self._node.settings.drain_timeout_s, "the node was scaled down")
        changes: list[asyncio.Task[Any]] = [asyncio.create_task(seat.settled()) for seat in new]
        changes += surplus
        if changes:
            await asyncio.wait(changes, timeout=SCALE_TIMEOUT_S)
            for change in changes[: len(new)]:
                change.cancel()
        self._node.beat_soon()
        late = sum(not seat.working.is_set() for seat in new)
        return Scaled(len(new), late, len(surplus))

    def autoscale(self, bounds: Bounds, runner: AsyncRunner) -> None:
        """Decides itself from now on, within bounds."""
        if self._autoscaler is None:
            from tq_worker.supervisor.autoscaler import Autoscaler

            self._autoscaler = Autoscaler(self._node, runner)
            self._node.spawn(self._autoscaler.run())
        self._autoscaler.set_bounds(bounds)
        self._node.beat_soon()

    def stop_autoscaling(self) -> bool:
        """Keeps the number of workers as it is; whether that is news."""
        was_on = self.described() is not None
        if self._autoscaler is not None:
            self._autoscaler.set_bounds(None)
        self._node.beat_soon()
        return was_on

    def described(self) -> Autoscale | None:
        """The bounds and what was decided last; None while the node decides nothing."""
        return self._autoscaler.describe() if self._autoscaler is not None else None
