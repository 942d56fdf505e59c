"""Which workers go when there are too many, and how long their tasks may take."""

from __future__ import annotations

import asyncio
import types
from typing import Any

import pytest

from tq_worker.supervisor.scaling import Scaling
from tq_worker.supervisor.seat import NO_DEADLINE_S


class Node:
    """Has seats whose workers run so many tasks each."""

    def __init__(self, *running: int) -> None:
        self.left: dict[int, float] = {}
        self.seats = [
            types.SimpleNamespace(child=types.SimpleNamespace(running=n), leave=self._leave(n)) for n in running
        ]
        self.settings = types.SimpleNamespace(drain_timeout_s=25.0)
        self.processes = len(running)

    def _leave(self, n: int) -> Any:
        async def leave(*, deadline_s: float, why: str) -> bool:
            assert why
            self.left[n] = deadline_s
            return True

        return leave

    def open_seats(self) -> list[Any]:
        return list(self.seats)

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        return asyncio.ensure_future(work)

    def fill_seats(self) -> None:
        assert len(self.seats) >= self.processes

    beat_soon = fill_seats


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "autoscaled"])
async def test_those_go_that_run_least_and_what_a_node_decides_itself_interrupts_nobody(is_told: bool) -> None:
    node = Node(3, 0, 5, 1)
    scaling = Scaling(node)  # type: ignore[arg-type]
    if is_told:
        assert await scaling.scale(2) == (0, 0, 2)
    else:
        scaling.decided(2)
        await asyncio.sleep(0)
    assert node.processes == 2
    assert node.left == dict.fromkeys((0, 1), 25.0 if is_told else NO_DEADLINE_S)
