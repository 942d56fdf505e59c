"""What happened and what people did, as one log that is read from its end in both directions.

Each queue, and the fleet, has a stream of events and one of people's writes. All of them are read in one round trip,
and only what is new or what is asked for further back.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tq_core.keyspace import keys
from tq_core.roles.events import Event, event_of
from tq_core.roles.operator import Audited, audited_of
from tq_core.transport.steps import Batch, Command, Flow

IDS_KEPT = 20
"""One entry may name hundreds of tasks, and thousands of entries are kept at hand."""


class Stream(msgspec.Struct, frozen=True):
    """One of the streams."""

    queue: str
    """Empty for the fleet."""
    is_audit: bool

    @property
    def key(self) -> str:
        """Where it lies."""
        if self.is_audit:
            return keys.audit(self.queue) if self.queue else keys.FLEET_AUDIT
        return keys.events(self.queue) if self.queue else keys.FLEET_EVENTS


class Entry(msgspec.Struct, frozen=True):
    """One entry of a stream."""

    stream: Stream
    cursor: str
    what: Event | Audited | None
    """None where it cannot be read; with the first IDS_KEPT of its ids only."""
    tasks: int = 0
    """How many tasks it is about."""

    @property
    def at(self) -> tuple[int, int]:
        """When it was written (ms), and its number within that millisecond."""
        ms, _, number = self.cursor.partition("-")
        return int(ms), int(number or 0)


class Want(msgspec.Struct, frozen=True):
    """Which entries of a stream are asked for: the newest between two cursors, neither of them included."""

    stream: Stream
    limit: int
    after: str = ""
    """Empty: from the beginning on."""
    before: str = ""
    """Empty: up to the end."""


class Part(msgspec.Struct, frozen=True):
    """What was found of a want, the newest first."""

    want: Want
    entries: tuple[Entry, ...]

    @property
    def is_all(self) -> bool:
        """Whether nothing that was asked for is left out."""
        return len(self.entries) < self.want.limit


def streams(queues: Sequence[str]) -> list[Stream]:
    """Those of these queues and of the fleet."""
    return [Stream(queue, is_audit) for queue in (*queues, "") for is_audit in (False, True)]


def read(wants: Sequence[Want]) -> Flow[list[Part]]:
    """Reads what is wanted, in one round trip."""
    if not wants:
        return []
    replies = yield Batch(
        [
            Command(
                (
                    *("XREVRANGE", want.stream.key, f"({want.before}" if want.before else "+"),
                    *(f"({want.after}" if want.after else "-", "COUNT", want.limit),
                )
            )
            for want in wants
        ]
    )
    return [
        Part(want, tuple(_entry(want.stream, raw) for raw in found)) for want, found in zip(wants, replies, strict=True)
    ]


def _entry(stream: Stream, raw: tuple[bytes, dict[bytes, bytes]]) -> Entry:
    cursor, fields = raw
    if stream.is_audit:
        act = audited_of(stream.queue, fields)
        return Entry(stream, cursor.decode(), act, act.count if act else 0)
    event = event_of(stream.queue, raw)
    count = len(event.ids)
    if count > IDS_KEPT:
        event = msgspec.structs.replace(event, ids=event.ids[:IDS_KEPT])
    return Entry(stream, cursor.decode(), event, count)
