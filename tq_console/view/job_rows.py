"""Jobs on many tasks in words: what each does, how far it is, how it ended."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from tq_core.roles.jobs import Part


def status_of(parts: Sequence[Part]) -> str:
    """The status of a job over all of its queues: open as long as one is."""
    statuses = {part.status for part in parts}
    return next((status for status in ("open", "failed", "cancelled") if status in statuses), "done")


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job, its queues together; texts from outside are not made safe here."""

    id: str
    status: str
    does: str
    """What it does to which tasks; "?" where a newer version wrote it."""
    by: str
    why: str
    looked: int
    done: int
    left: int
    """Tasks that it left as they were."""
    begun_at_ms: int
    changed_at_ms: int
    is_held: bool
    """Whether somebody is at it now."""


def job_rows(parts: Sequence[Part]) -> list[JobRow]:
    """The jobs of these parts, in their order."""
    return [_row(list(some)) for _, some in itertools.groupby(parts, key=lambda part: part.job_id)]


def _row(parts: list[Part]) -> JobRow:
    job = parts[0].job
    does = "?"
    if job is not None:
        to = f" to {job.to}" if job.to else f" to {job.priority}" if job.priority is not None else ""
        fits = f" that fit {job.words}" if job.words else ""
        does = f"{job.action}{to}: {', '.join(job.states)} of {', '.join(part.queue for part in parts)}{fits}"
    return JobRow(
        id=parts[0].job_id,
        status=status_of(parts),
        does=does,
        by=job.by if job else "",
        why=job.why if job else "",
        looked=sum(part.looked for part in parts),
        done=sum(part.done for part in parts),
        left=sum(part.skipped for part in parts),
        begun_at_ms=min(part.begun_at_ms for part in parts),
        changed_at_ms=max(part.changed_at_ms for part in parts),
        is_held=any(part.is_held for part in parts),
    )
