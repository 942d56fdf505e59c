"""What happens, as it happens: the streams that every script call adds one entry to."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tq_core.keyspace import keys
from tq_core.roles import registry
from tq_core.transport.steps import Batch, Block, Command, Flow

READ_MAX = 500

LIFECYCLE = {
    "enqueued": "SUBMITTED",
    "claimed": "ASSIGNED",
    "completed": "COMPLETED",
    "retrying": "ERROR",
    "released": "REQUEUED",
    "crashed": "REQUEUED",
    "lost": "REQUEUED",
    "requeued": "REQUEUED",
    "failed": "DLQ",
}
"""The words of the lifecycle log for an event's kind; other kinds are their own word."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One entry: one kind of thing that happened to one or more tasks, or to the fleet."""

    cursor: str
    """The entry's id in its stream: what to read on from."""
    at_ms: int
    queue: str
    """Empty for the fleet."""
    kind: str
    """enqueued unblocked claimed completed retrying failed cancelled expired replaced released crashed lost
    requeued discarded dropped restored reprioritised moved job paused
    resumed configured skipped scheduling breaker; joined, left."""
    ids: tuple[str, ...] = ()
    worker_id: str = ""
    reason: str = ""
    by: str = ""
    attempt: int = 0

    @property
    def word(self) -> str:
        """The lifecycle log's word for it."""
        return LIFECYCLE.get(self.kind, self.kind.upper())


Cursors = dict[str, str]
"""Stream key -> id of the last entry seen."""


def latest(queues: Sequence[str] | None = None, *, limit: int = 20) -> Flow[tuple[list[Event], Cursors]]:
    """The last events, oldest first, and where to read on."""
    streams = yield from _streams(queues)
    found: list[Event] = []
    cursors: Cursors = {}
    for key, queue in streams.items():
        entries = yield Command(("XREVRANGE", key, "+", "-", "COUNT", max(limit, 1)))
        cursors[key] = entries[0][0].decode() if entries else "0-0"
        found += [event_of(queue, entry) for entry in entries[:limit]]
    found.sort(key=order)
    return found[-limit:] if limit else [], cursors


def since(cursors: Cursors, queues: Sequence[str], *, limit: int = 20) -> Flow[tuple[list[Event], Cursors]]:
    """The last events after the cursors, of queues and of the fleet, oldest first, without waiting; in one round trip.

    Args:
        cursors: Streams that are not among them are read from their end.
        limit: Of each stream; of more, those before are passed over.
    """
    streams = {**{keys.events(q): q for q in queues}, keys.FLEET_EVENTS: ""}
    replies = yield Batch(
        [
            Command(("XREVRANGE", key, "+", f"({cursors[key]}" if key in cursors else "-", "COUNT", limit))
            for key in streams
        ]
    )
    found: list[Event] = []
    reached = {key: cursors[key] for key in streams if key in cursors}
    for (key, queue), entries in zip(streams.items(), replies, strict=True):
        if entries:
            reached[key] = entries[0][0].decode()
            found += [event_of(queue, entry) for entry in entries]
    found.sort(key=order)
    return found, reached


def follow(
    cursors: Cursors, *, timeout_s: float = 1.0, queues: Sequence[str] | None = None
) -> Flow[tuple[list[Event], Cursors]]:
    """Waits for events after the cursors; returns them, oldest first, and the cursors to go on from.

    Args:
        queues: Those to follow, all when None: then queues that are new since the last call join.
    """
    streams = yield from _streams(queues)
    cursors = {key: cursors.get(key, "0-0") for key in streams}
    reply = yield Block(
        ("XREAD", "COUNT", READ_MAX, "BLOCK", max(1, int(timeout_s * 1000)), "STREAMS", *cursors, *cursors.values()),
        timeout_s,
    )
    found: list[Event] = []
    for raw_key, entries in reply or ():
        key = raw_key.decode()
        found += [event_of(streams[key], entry) for entry in entries]
        cursors[key] = entries[-1][0].decode()
    found.sort(key=order)
    return found, cursors


def _streams(queues: Sequence[str] | None) -> Flow[dict[str, str]]:
    if queues is None:
        queues = list((yield from registry.queue_numbers()))
        return {**{keys.events(q): q for q in queues}, keys.FLEET_EVENTS: ""}
    return {keys.events(q): q for q in queues}


def order(event: Event) -> tuple[int, int]:
    """Of which event came first, as far as their streams tell."""
    # Within a millisecond the second number of the entry's id counts; as text 10 would come before 9.
    return event.at_ms, int(event.cursor.partition("-")[2])


def event_of(queue: str, entry: tuple[bytes, dict[bytes, bytes]]) -> Event:
    """An entry of a stream of events; of the fleet's where the queue is empty."""
    cursor, fields = entry
    f = {k.decode("utf-8", "replace"): v.decode("utf-8", "replace") for k, v in fields.items()}
    return Event(
        cursor=cursor.decode(),
        at_ms=int(cursor.partition(b"-")[0]),
        queue=queue,
        kind=f.get("e", "?"),
        ids=tuple(f["i"].split(",")) if f.get("i") else (),
        worker_id=f.get("w", ""),
        reason=f.get("r", ""),
        by=f.get("by", ""),
        attempt=int(f["a"]) if f.get("a", "").isdigit() else 0,
    )
