"""What queues did minute by minute, for as long as the counters of a minute are kept: two days.

A minute that is over never changes, so whoever looks again and again reads each once, and then only the present one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from tq_core.errors import InvalidInputError
from tq_core.keyspace import keys
from tq_core.roles import registry
from tq_core.transport.steps import Batch, Flow, Script

MINUTE_MS = 60_000
KEPT_MINUTES = 2_880
MINUTES_AT_ONCE = 250
"""So many minutes, of all queues together, take Redis less than ten milliseconds where each has counts."""

Counts = Mapping[str, int]
"""Counter -> how often in some time; `run7` and `wait7` are how many took less than 2^7 ms, and at least 2^6."""


class Stretch(msgspec.Struct, frozen=True):
    """Minutes of a queue, one after the other."""

    queue: str
    first: int
    """Counted from 1970, as all minutes here."""
    minutes: int
    step: int = 1
    """Minutes that are added up; a step begins at a multiple of it."""


class Read(msgspec.Struct, frozen=True):
    """What was counted in a stretch."""

    stretch: Stretch
    now_ms: int
    """The server's time: the minute that it is in may still grow."""
    steps: Mapping[int, Counts]
    """First minute of a step -> its counts; a step without any is not in it."""


def read(stretches: Sequence[Stretch]) -> Flow[list[Read]]:
    """Counts of stretches, in one round trip."""
    if not stretches:
        return []
    replies = yield Batch(
        [Script("history", keys.queue_prefix(s.queue), (s.first, s.minutes, s.step)) for s in stretches]
    )
    return [
        Read(stretch, int(now_ms), {int(start): _counts(flat) for start, flat in steps})
        for stretch, (_, now_ms, *steps) in zip(stretches, replies, strict=True)
    ]


def past(queues: Sequence[str] | None = None, *, minutes: int, step: int) -> Flow[list[Read]]:
    """The last minutes of queues (of all when None), the present one included; read in bounded pieces.

    Args:
        minutes: At most KEPT_MINUTES; the steps that they begin and end in are whole.

    Raises:
        InvalidInputError: so many are not kept.
    """
    if not 1 <= minutes <= KEPT_MINUTES - step:
        raise InvalidInputError(
            f"{minutes} minutes of history: counters of minutes are kept for two days, so 1 to {KEPT_MINUTES - step}"
        )
    if queues is None:
        queues = list((yield from registry.queue_numbers()))
    if not queues:
        return []
    # By the clock that the counters go by.
    (none,) = yield from read([Stretch(queues[0], 0, 0)])
    now = none.now_ms // MINUTE_MS
    first = (now - minutes + 1) // step * step
    piece = max(step, MINUTES_AT_ONCE // step * step)
    pieces = [
        Stretch(queue, start, min(piece, now + 1 - start), step)
        for queue in queues
        for start in range(first, now + 1, piece)
    ]
    merged: dict[str, tuple[int, dict[int, Counts]]] = {queue: (now * MINUTE_MS, {}) for queue in queues}
    for some in _in_turns(pieces):
        for part in (yield from read(some)):
            merged[part.stretch.queue] = (part.now_ms, merged[part.stretch.queue][1] | dict(part.steps))
    return [
        Read(Stretch(queue, first, now + 1 - first, step), now_ms, steps) for queue, (now_ms, steps) in merged.items()
    ]


def _in_turns(pieces: Sequence[Stretch]) -> Iterator[list[Stretch]]:
    """The pieces, as many at once as are soon read."""
    some: list[Stretch] = []
    for piece in pieces:
        if some and sum(s.minutes for s in some) + piece.minutes > MINUTES_AT_ONCE:
            yield some
            some = []
        some.append(piece)
    if some:
        yield some


def latency_ms(counts: Counts, kind: str, share: float) -> int | None:
    """A time that a share of the `run` or `wait` times is below; None where nothing was measured.

    Args:
        share: For example 0.95.
    """
    hits = latency_hits(counts, kind)
    total, seen = sum(hits.values()), 0
    for bucket in sorted(hits):
        seen += hits[bucket]
        if seen >= share * total:
            return int(2**bucket)
    return None


def latency_hits(counts: Counts, kind: str) -> dict[int, int]:
    """How many times were less than 2^n ms and at least 2^(n - 1), by n."""
    size = len(kind)
    return {int(field[size:]): n for field, n in counts.items() if field.startswith(kind) and field[size:].isdigit()}


def _counts(flat: Sequence[bytes]) -> dict[str, int]:
    # What no program of ours wrote is no number, and must not hide the rest.
    return {
        flat[i].decode("utf-8", "replace"): int(flat[i + 1]) for i in range(0, len(flat), 2) if flat[i + 1].isdigit()
    }
