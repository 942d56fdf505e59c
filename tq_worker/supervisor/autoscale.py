"""How many workers a node should have: a rule without clock, broker or processes.

Up fast: when more tasks wait than slots are free, and the oldest has waited for a while; at most twice as many at a
time. Down slowly: one by one, and only when one worker less would have had slots to spare for a while. A worker that
is wanted back soon after it was let go makes the next such wait twice as long, so that the number does not swing.
"""

from __future__ import annotations

import math

import msgspec

from tq_core.worker_bounds import Bounds

LONG_WAIT_S = 2.0
"""What waits for less is about to be taken anyway."""
UP_COOLDOWN_S = 5.0
"""New workers must begin before it is known whether they are enough."""
CALM_S = 30.0
LONGEST_CALM_S = 600.0
SPARE = 0.2
"""Share of the slots that must still be free with one worker less."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What a node sees."""

    processes: int
    """Workers that it wants now."""
    slots: int
    """Of each."""
    running: int
    backlog: float
    """This node's share of the tasks that a free slot could run."""
    wait_s: float
    """How long ago the oldest of them was enqueued."""
    taken_per_s: float
    """Tasks that its workers have claimed of late."""


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What the rule must know of before, by the monotonic clock."""

    changed_at: float = -math.inf
    lowered_at: float = -math.inf
    calm_since: float | None = None
    calm_s: float = CALM_S
    """How long it must be calm before a worker is let go."""


class Decision(msgspec.Struct, frozen=True):
    """How many workers there shall be, and why, for people."""

    processes: int
    why: str


def decide(bounds: Bounds, load: Load, memory: Memory, now: float) -> tuple[Decision | None, Memory]:
    """What to change now; None = nothing."""
    have = load.processes
    if not bounds.least <= have <= bounds.most:
        wanted = min(max(have, bounds.least), bounds.most)
        return Decision(wanted, f"the bounds are {bounds}"), Memory(changed_at=now)
    free = max(0, have * load.slots - load.running)
    if _is_behind(load, free):
        memory = msgspec.structs.replace(memory, calm_since=None)
        if have == bounds.most or now - memory.changed_at < UP_COOLDOWN_S:
            return None, memory
        wanted = min(_wanted(load), max(1, 2 * have), bounds.most)
        if wanted <= have:
            return None, memory
        return Decision(wanted, _why_more(load, free)), _raised(memory, now)
    return _perhaps_less(bounds, load, memory, now)


def _is_behind(load: Load, free: int) -> bool:
    if load.backlog < 1:
        return False
    if not load.processes:
        return True
    return load.backlog > free and load.wait_s >= LONG_WAIT_S and _drained_in_s(load) > LONG_WAIT_S


def _drained_in_s(load: Load) -> float:
    return load.backlog / load.taken_per_s if load.taken_per_s > 0 else math.inf


def _wanted(load: Load) -> int:
    by_slots = math.ceil((load.running + load.backlog) / load.slots)
    if not load.processes or not load.taken_per_s:
        return by_slots
    return min(by_slots, math.ceil(load.processes * _drained_in_s(load) / LONG_WAIT_S))


def _why_more(load: Load, free: int) -> str:
    count = math.floor(load.backlog)
    tasks = "1 task waits" if count == 1 else f"{count} tasks wait"
    return f"{tasks}, the oldest for {load.wait_s:.1f} s, and {free} of {load.processes * load.slots} slots are free"


def _raised(memory: Memory, now: float) -> Memory:
    since_lowered = now - memory.lowered_at
    calm_s = memory.calm_s
    if since_lowered < 2 * calm_s:
        calm_s = min(2 * calm_s, LONGEST_CALM_S)
    elif since_lowered >= LONGEST_CALM_S:
        calm_s = CALM_S
    return Memory(changed_at=now, lowered_at=memory.lowered_at, calm_s=calm_s)


def _perhaps_less(bounds: Bounds, load: Load, memory: Memory, now: float) -> tuple[Decision | None, Memory]:
    have = load.processes
    rest = (have - 1) * load.slots
    fits = load.running + load.backlog <= rest * (1 - SPARE)
    if have <= bounds.least or not fits:
        return None, msgspec.structs.replace(memory, calm_since=None)
    since = now if memory.calm_since is None else memory.calm_since
    memory = msgspec.structs.replace(memory, calm_since=since)
    if now - since < memory.calm_s or now - memory.changed_at < memory.calm_s:
        return None, memory
    why = f"{have - 1} of {have} workers would have done for {now - since:.0f} s; {load.running} running"
    return Decision(have - 1, why), Memory(changed_at=now, lowered_at=now, calm_s=memory.calm_s)
