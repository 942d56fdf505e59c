"""The whole at a glance: what health, stats and metrics are made of, in one round trip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tq_core.model import TaskState
from tq_core.roles import inspector, registry
from tq_core.roles.inspector import QueueStats
from tq_core.roles.limits import Rate
from tq_core.roles.registry import Fleet
from tq_core.transport.steps import Flow
from tq_core.transport.together import together


@dataclass(frozen=True)
class Numbers:
    """All queues and all workers, of one moment."""

    queues: Sequence[QueueStats]
    fleet: Fleet

    def depth(self, *states: TaskState) -> int:
        """Tasks that are in one of these states, over all queues."""
        return sum(queue.depths[state] for queue in self.queues for state in states)

    @property
    def pending(self) -> int:
        """Tasks that have not begun, as clients of the root count them."""
        return self.depth(TaskState.PENDING, TaskState.SCHEDULED, TaskState.BLOCKED)

    def counted(self, counter: str) -> int:
        """A counter since the queues began."""
        return sum(queue.counters.get(counter, 0) for queue in self.queues)

    @property
    def live_workers(self) -> int:
        return sum(member.health != "lost" for member in self.fleet.workers)

    @property
    def max_size(self) -> int | None:
        """How many waiting tasks the queues take, where each of them says so."""
        said = [queue.limits.get("max_size") for queue in self.queues]
        known = [most for most in said if most is not None]
        return sum(known) if known and len(known) == len(said) else None

    @property
    def rate_limit(self) -> float | None:
        """How many tasks may start each second, where each queue says so."""
        said = [Rate.stored(queue.rules.get("rate", "")) for queue in self.queues]
        known = [rate.starts * 1000 / max(1, rate.period_ms) for rate in said if rate is not None]
        return sum(known) if known and len(known) == len(said) else None


def read() -> Flow[Numbers]:
    """Asks for all of it."""
    queues, fleet = yield from together([inspector.stats(minutes=1), registry.fleet()])
    return Numbers(queues, fleet)
