"""One connection of one thread, over which it sends a script and reads the reply, with as few system calls as can be.

redis-py makes the connection, with all that belongs to it (TLS, user, database, name); then its socket is used as is.
A socket with a timeout of Python's asks the kernel before each call whether it may be made, so the kernel is given the
timeout instead; under TLS that is not possible, and Python's is kept.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any

import hiredis
import redis.exceptions as redis_errors

_pack: Callable[[tuple[Any, ...]], bytes] = hiredis.pack_command
_INCOMPLETE = object()
_READ_BYTES = 65536


class SyncLine:
    """A connection that is opened when it is needed, and again after it broke."""

    def __init__(self, open_connection: Callable[[], Any], *, answer_timeout_s: float) -> None:
        """Connects to nothing yet.

        Args:
            open_connection: Makes one connection of redis-py, not yet connected.
        """
        self._open_connection, self._answer_timeout_s = open_connection, answer_timeout_s
        self._connection: Any = None
        self._socket: socket.socket | None = None
        self._reader: Any = None

    def ask(self, command: tuple[Any, ...]) -> Any:
        """Sends a command and returns its reply; one that is an error is not raised.

        Raises:
            redis.exceptions.ConnectionError, TimeoutError: it may have been done or not.
        """
        if self._socket is None:
            self._connect()
        assert self._socket is not None
        try:
            return _exchange(self._socket, self._reader, command)
        except BaseException as error:
            self.close()  # an answer that comes later must not be taken for the next one's
            if isinstance(error, (BlockingIOError, TimeoutError)):
                raise redis_errors.TimeoutError(f"no answer within {self._answer_timeout_s:g} s") from error
            if isinstance(error, OSError):
                raise redis_errors.ConnectionError(f"connection lost: {error}") from error
            raise

    def close(self) -> None:
        """Closes the connection; the next question opens one. May be called by another thread."""
        connection, self._connection, self._socket = self._connection, None, None
        if connection is not None:
            connection.disconnect()

    def _connect(self) -> None:
        connection = self._open_connection()
        connection.connect()
        self._connection = connection
        sock: socket.socket = connection._sock  # noqa: SLF001 - redis-py lends it in no other way
        if not isinstance(sock, ssl.SSLSocket):
            sock.settimeout(None)
            seconds = int(self._answer_timeout_s)
            timeval = struct.pack("ll", seconds, int((self._answer_timeout_s - seconds) * 1_000_000))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
        self._reader = hiredis.Reader(
            protocolError=redis_errors.InvalidResponse,
            replyError=connection._parser.parse_error,  # noqa: SLF001
            notEnoughData=_INCOMPLETE,
        )
        self._socket = sock


def _exchange(sock: socket.socket, reader: Any, command: tuple[Any, ...]) -> Any:
    sock.sendall(_pack(command))
    while (reply := reader.gets()) is _INCOMPLETE:
        data = sock.recv(_READ_BYTES)
        if not data:
            raise redis_errors.ConnectionError("the server closed the connection")
        reader.feed(data)
    if reader.has_data():
        raise redis_errors.InvalidResponse("the server said more than it was asked")
    return reply
