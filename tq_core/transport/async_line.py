"""One connection of an event loop, over which any number of callers send scripts without waiting for one another.

redis-py makes the connection, with all that belongs to it (TLS, user, database, name); then its reader and writer are
left out, because a round trip through them costs five times as much as the rest of a task.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import hiredis
import redis.exceptions as redis_errors

_pack: Callable[[tuple[Any, ...]], bytes] = hiredis.pack_command
_INCOMPLETE = object()


class _Asked(NamedTuple):
    """Some commands that were sent, and who waits for their replies."""

    replies: list[Any]
    wanted: int
    done: asyncio.Future[list[Any]]
    """Cancelled when its caller has lost interest: the replies are still read, and thrown away."""
    too_late: asyncio.TimerHandle


class AsyncLine(asyncio.Protocol):
    """A connection that is opened when it is needed, and again after it broke."""

    def __init__(self, open_connection: Callable[[], Any], *, answer_timeout_s: float) -> None:
        """Connects to nothing yet.

        Args:
            open_connection: Makes one connection of redis-py's asyncio, not yet connected.
        """
        self._open_connection, self._answer_timeout_s = open_connection, answer_timeout_s
        self._streams: Any = None
        self._transport: asyncio.Transport | None = None
        self._reader: Any = None
        self._asked: deque[_Asked] = deque()
        self._connecting = asyncio.Lock()

    async def ask(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Sends commands and returns their replies in order; those that are errors are not raised.

        Raises:
            redis.exceptions.ConnectionError, TimeoutError: some or none of them may have been done.
        """
        if self._transport is not None and self._transport.is_closing():
            self.connection_lost(None)  # which the loop will say in its next round
        if self._transport is None:
            async with self._connecting:
                if self._transport is None:
                    await self._connect()
        assert self._transport is not None
        packed = [_pack(command) for command in commands]
        loop = asyncio.get_running_loop()
        done: asyncio.Future[list[Any]] = loop.create_future()
        too_late = loop.call_later(self._answer_timeout_s, self._too_late)
        self._asked.append(_Asked([], len(packed), done, too_late))
        self._transport.write(packed[0] if len(packed) == 1 else b"".join(packed))
        return await done

    async def aclose(self) -> None:
        """Closes the connection; the next question opens one."""
        self._break(redis_errors.ConnectionError("this program closed the connection"))

    async def _connect(self) -> None:
        connection = self._open_connection()
        try:
            await connection.connect()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        # Taken away from the connection, which would close it when it is forgotten, as would the streams.
        self._streams = connection._reader, connection._writer  # noqa: SLF001 - redis-py lends it in no other way
        connection._reader = connection._writer = None  # noqa: SLF001
        transport = self._streams[1].transport
        self._reader = hiredis.Reader(
            protocolError=redis_errors.InvalidResponse,
            replyError=connection._parser.parse_error,  # noqa: SLF001
            notEnoughData=_INCOMPLETE,
        )
        transport.set_protocol(self)
        if transport.is_closing():
            raise redis_errors.ConnectionError("the server closed the connection at once")
        self._transport = transport

    # --- called by the event loop ---

    def data_received(self, data: bytes) -> None:
        """Hands out the replies in the order in which they were asked for."""
        reader, asked = self._reader, self._asked
        reader.feed(data)
        try:
            while (reply := reader.gets()) is not _INCOMPLETE:
                if not asked:
                    self._break(redis_errors.InvalidResponse(f"nobody asked for this: {str(reply)[:80]}"))
                    return
                first = asked[0]
                first.replies.append(reply)
                if len(first.replies) == first.wanted:
                    asked.popleft()
                    first.too_late.cancel()
                    if not first.done.done():
                        first.done.set_result(first.replies)
        except redis_errors.InvalidResponse as error:
            self._break(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells all who wait."""
        self._break(
            redis_errors.ConnectionError(f"connection lost: {exc}" if exc else "the server closed the connection")
        )

    def _too_late(self) -> None:
        self._break(redis_errors.TimeoutError(f"no answer within {self._answer_timeout_s:g} s"))

    def _break(self, error: Exception) -> None:
        # What comes later must not be taken for the answer to another question.
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        asked, self._asked = self._asked, deque()
        for one in asked:
            one.too_late.cancel()
            if not one.done.done():
                one.done.set_exception(error)
