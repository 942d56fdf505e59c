"""A small HTTP server: GET and HEAD, one answer for each connection, and nothing that a caller could hold on to.

Each connection is closed with its answer. Who is slow is cut off, and when too many are open the oldest goes, so that
idle callers cannot keep a probe out.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from typing import NamedTuple

import h11

from tq_worker.lifecycle_log import LifecycleLog
from tq_worker.settings import HttpAddress
from tq_worker.supervisor.exposure import ListenError

MAX_HEAD_BYTES = 16 * 1024
MAX_CONNECTIONS = 50
ANSWERED_WITHIN_S = 10.0
"""From the connection to the last byte of the answer."""
READ_BYTES = 4096
BACKLOG = 64
TEXT = "text/plain; charset=utf-8"


class Answer(NamedTuple):
    """What a caller gets."""

    status: int
    body: bytes
    content_type: str = TEXT


def listen(address: HttpAddress) -> socket.socket:
    """Takes the port, without answering yet.

    Raises:
        ListenError: it is in use, or the address is not one of this machine.
    """
    try:
        if not address.host and socket.has_dualstack_ipv6():
            return socket.create_server(
                ("", address.port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG
            )
        found = socket.getaddrinfo(
            address.host or "0.0.0.0", address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, place = found[0]
        return socket.create_server(place[:2], family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        # asyncio and socket put the address into the text of an error; strerror has the reason alone.
        code = error.errno if isinstance(error, OSError) else None
        why = (
            os.strerror(code)
            if code is not None and code in errno.errorcode
            else getattr(error, "strerror", None) or str(error)
        )
        raise ListenError(f"--http cannot listen on {address}: {why}; give another HOST:PORT") from error


class HttpServer:
    """Answers on a socket until it is closed."""

    def __init__(self, listener: socket.socket, answer: Callable[[str], Answer], log: LifecycleLog) -> None:
        self._listener, self._answer, self._log = listener, answer, log
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.StreamWriter, None] = {}

    @property
    def url(self) -> str:
        """Where it is found; the port is the one that the system gave where 0 was asked for."""
        host, port = self._listener.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    async def start(self) -> None:
        """Answers from now on."""
        self._server = await asyncio.start_server(self._serve, sock=self._listener)

    def close(self) -> None:
        """Answers nobody any more, those neither who are waiting."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= MAX_CONNECTIONS:
            next(iter(self._open)).transport.abort()
        self._open[writer] = None
        try:
            async with asyncio.timeout(ANSWERED_WITHIN_S):
                await self._converse(reader, writer)
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError):
            pass  # a caller that left, or was too slow
        finally:
            del self._open[writer]
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        try:
            while (event := http.next_event()) is h11.NEED_DATA:
                http.receive_data(await reader.read(READ_BYTES))
            if not isinstance(event, h11.Request):
                return
            answer, method = self._answer_to(event), event.method
        except h11.RemoteProtocolError as error:
            if http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
                return
            answer, method = Answer(error.error_status_hint, b"this is no request\n"), b"GET"
        headers = [
            ("content-type", answer.content_type),
            ("content-length", str(len(answer.body))),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("connection", "close"),
            *([("allow", "GET, HEAD")] if answer.status == 405 else []),
        ]
        sent = http.send(h11.Response(status_code=answer.status, headers=headers)) or b""
        if method != b"HEAD":
            sent += http.send(h11.Data(data=answer.body)) or b""
        writer.write(sent + (http.send(h11.EndOfMessage()) or b""))
        await writer.drain()

    def _answer_to(self, request: h11.Request) -> Answer:
        if request.method not in (b"GET", b"HEAD"):
            return Answer(405, b"only GET and HEAD\n")
        try:
            return self._answer(request.target.partition(b"?")[0].decode("ascii", "replace"))
        except Exception as error:  # noqa: BLE001 - one request: it must not end the node
            self._log.write("error", "fault", text=f"http: {type(error).__name__}: {error}")
            return Answer(500, b"a fault of the node: see its log\n")
