"""What failed alike, over all queues: one entry a group, and when its tasks failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tq_core.keyspace.wire import Group

VERSIONS_KEPT = 5


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failed tasks that failed alike, of all queues that have some."""

    group: str
    counts: Mapping[str, int]
    """How many each queue has, the most first."""
    type: str
    """The task type, reason and error are those of the latest failure."""
    reason: str
    error: Mapping[str, Any]
    first_at_ms: int
    last_at_ms: int
    versions: tuple[str, ...]
    """Of the code, the latest last."""
    example_id: str

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def merged(groups: Iterable[Group]) -> list[FailureGroup]:
    """Groups of queues as groups of all of them: the most frequent first, of equal ones the latest."""
    by_name: dict[str, list[Group]] = {}
    for group in groups:
        by_name.setdefault(group.group, []).append(group)
    found = [_one(parts) for parts in by_name.values()]
    return sorted(found, key=lambda g: (-g.total, -g.last_at_ms, g.group))


def _one(parts: Sequence[Group]) -> FailureGroup:
    latest = max(parts, key=lambda g: g.last_at_ms)
    oldest_first = sorted(parts, key=lambda g: g.last_at_ms)
    versions = tuple(dict.fromkeys(v for g in oldest_first for v in g.versions))
    return FailureGroup(
        group=latest.group,
        counts={g.queue: g.count for g in sorted(parts, key=lambda g: (-g.count, g.queue))},
        type=latest.type,
        reason=latest.reason,
        error=latest.error,
        first_at_ms=min((g.first_at_ms for g in parts if g.first_at_ms), default=0),
        last_at_ms=latest.last_at_ms,
        versions=versions[-VERSIONS_KEPT:],
        example_id=latest.example_id,
    )


def failed_per_step(failed_at_ms: Iterable[int], now_ms: int, *, step_ms: int, steps: int) -> list[float]:
    """How many failed in each of the past steps of time, the present one last."""
    counted = [0.0] * steps
    for at_ms in failed_at_ms:
        back = (now_ms - at_ms) // step_ms
        if 0 <= back < steps:
            counted[steps - 1 - back] += 1
    return counted
