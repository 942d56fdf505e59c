"""fakeredis as a server of its own on a Unix socket: what the embedded broker runs where there is no Redis.

    python -m tq_core.broker.fake_server SOCKET

Nothing is kept: what it holds is gone when it stops.
"""

from __future__ import annotations

import itertools
import os
import select
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from fakeredis import TcpFakeServer
from redis.exceptions import ResponseError

from tq_core.broker.binaries import FAKE_VERSION


class UnixFakeServer(TcpFakeServer):
    """fakeredis' server on a Unix socket, which no other user can reach, unlike a port."""

    address_family = socket.AF_UNIX
    request_queue_size = 128

    def __init__(self, path: Path) -> None:
        self._numbers = itertools.count(1)
        super().__init__(str(path), server_version=FAKE_VERSION)  # type: ignore[arg-type]  # AF_UNIX takes a path
        self.daemon_threads = True
        handler: Any = self.RequestHandlerClass
        self.RequestHandlerClass = _staying_open(handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection and give it an address of its own: clients of a Unix socket have none."""
        connection, _ = super().get_request()
        return connection, ("unix", next(self._numbers))


class _PatientWriter:
    """Writes whole replies: fakeredis makes its sockets non-blocking and hangs up when one is full."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            select.select([], [self._connection], [])
            rest = rest[self._connection.send(rest) :]

    def flush(self) -> None:
        """Do nothing: nothing is held back."""


def _staying_open(handler: Any) -> Any:
    """Has a connection outlive an error reply, as with Redis: fakeredis hangs up after each, NOSCRIPT included."""

    class Handler(handler):  # type: ignore[misc]
        def setup(self) -> None:
            super().setup()
            self.writer.writer = _PatientWriter(self.connection)
            read_response = self.current_client.read_response

            def read(*args: Any, **kwargs: Any) -> Any:
                try:
                    return read_response(*args, **kwargs)
                except ResponseError as error:
                    return error  # written to the client as any other reply

            self.current_client.read_response = read

    return Handler


def main() -> None:
    """Serve until SIGTERM."""
    path = Path(sys.argv[1])

    def stop(_signal_number: int, _frame: FrameType | None) -> None:
        # Threads of clients may be blocked in a command, and there is nothing to save.
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    os.umask(0o077)
    with UnixFakeServer(path) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
