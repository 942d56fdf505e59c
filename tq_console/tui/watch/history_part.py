"""Stretches of past minutes, as the part of a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tq_core.roles import history
from tq_core.roles.history import Read, Stretch
from tq_core.transport.steps import Flow


@dataclass(frozen=True, slots=True)
class HistoryPart:
    """Which minutes of which queues are to be read."""

    stretches: tuple[Stretch, ...]

    def flow(self, queues: Sequence[str]) -> Flow[list[Read]]:
        """Reads them, of queues that are still there."""
        there = set(queues)
        return history.read([stretch for stretch in self.stretches if stretch.queue in there])
