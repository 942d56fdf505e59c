"""Server-sent events: what happens, as it happens, to as many clients as are let in, and from where one left off."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import msgspec

from tq_console.gateway.problems import ProblemError, invalid
from tq_console.gateway.services import Services
from tq_console.view.records import event_record
from tq_core.errors import TqError
from tq_core.keyspace import keys
from tq_core.roles import events
from tq_core.roles.events import Cursors, Event

MEDIA_TYPE = "text/event-stream; charset=utf-8"
MAX_STREAMS = 100
"""Each has a connection to the broker of its own."""
WAIT_S = 5.0
"""After so long without an event a comment is sent, so that what stands between keeps the connection."""
RETRY_MS = 2000
_LAST_NUMBER = 2**64 - 1
_ENCODE = msgspec.json.Encoder().encode


def cursors_of(last_id: str, queues: Sequence[str]) -> Cursors:
    """Where each stream is read on from after an event that was seen; those of its millisecond come again.

    Raises:
        ProblemError: 422, it is no id of an event.
    """
    at_ms, _, number = last_id.partition("-")
    if not all(part.isascii() and part.isdigit() and len(part) < 20 for part in (at_ms, number or "0")):
        raise invalid("Last-Event-ID", f"{last_id[:50]!r} is no id of an event")
    # Streams are read one by one, so of a moment some may have been told and others not.
    before = f"{max(0, int(at_ms) - 1)}-{_LAST_NUMBER}"
    return dict.fromkeys((*map(keys.events, queues), keys.FLEET_EVENTS), before)


def must_have_room(services: Services) -> None:
    """Refuses one client more than may follow.

    Raises:
        ProblemError: 503.
    """
    if services.streams >= MAX_STREAMS:
        raise ProblemError(503, f"{MAX_STREAMS} clients follow events already", headers={"Retry-After": "5"})


async def stream(services: Services, queues: Sequence[str] | None, cursors: Cursors | None) -> AsyncIterator[bytes]:
    """The events from now on, or from the cursors on, as text of the protocol."""
    services.streams += 1
    try:
        at = (await services.link.run(events.latest(queues, limit=0)))[1] if cursors is None else cursors
        yield b"retry: %d\n\n" % RETRY_MS
        while not services.closing.is_set():
            found, at = await _next(services, queues, at)
            yield b"".join(map(_line, found)) or b": nothing new\n\n"
    except TqError as error:
        yield b"event: problem\ndata: " + _ENCODE({"error": error.message}) + b"\n\n"
    finally:
        services.streams -= 1


async def _next(services: Services, queues: Sequence[str] | None, cursors: Cursors) -> tuple[list[Event], Cursors]:
    """The next events; none after WAIT_S, or when the gateway is to stop."""
    reading = asyncio.ensure_future(services.link.run(events.follow(cursors, timeout_s=WAIT_S, queues=queues)))
    closing = asyncio.ensure_future(services.closing.wait())
    try:
        await asyncio.wait({reading, closing}, return_when=asyncio.FIRST_COMPLETED)
        return reading.result() if reading.done() else ([], cursors)
    finally:
        for each in (reading, closing):
            if not each.done():
                each.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await each


def _line(event: Event) -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (
        event.cursor.encode(),
        event.kind.encode("ascii", "replace").replace(b"\n", b" ").replace(b"\r", b" "),
        _ENCODE(event_record(event)),
    )
