"""A server of one path that answers remote calls on a broker, by a role that a test chooses."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.queue_driver import endpoint_of
from tq_console.gateway.remote_calls import answer
from tq_core.roles.acl import Role
from tq_core.roles.remote_access import CommandRefusedError, OtherVersionError
from tq_core.transport.remote import wire
from tq_core.transport.runner import AsyncRunner


class Relay:
    """What it is told to do, and what it was asked."""

    def __init__(self, url: str) -> None:
        self.role = Role.OPERATOR
        self.requests = 0
        self.keys: list[str | None] = []
        self.kept: list[socket.socket] = []
        """Connections, which end with the server."""
        self.instead: tuple[int, dict[str, str], bytes] | None = None
        """Answered to everything: status, headers and body; None = what the broker says."""
        self._runner = AsyncRunner(endpoint_of(url))
        self._loop = asyncio.new_event_loop()
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                relay.kept.append(self.connection)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                relay.keys.append(self.headers.get("X-API-Key"))
                status, headers, answered = relay.handle(self.path, body)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(answered))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answered)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                del format, args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._threads = [
            threading.Thread(target=self._loop.run_forever),
            threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def handle(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.requests += 1
        assert path == wire.PATH
        if self.instead is not None:
            return self.instead
        task = asyncio.run_coroutine_threadsafe(answer(self._runner, body, self.role), self._loop)
        try:
            return 200, {"Content-Type": wire.MEDIA_TYPE}, task.result(30)
        except CommandRefusedError as error:
            return (403 if error.is_forbidden else 400), {}, b'{"detail": "%s"}' % str(error).encode()
        except OtherVersionError:
            return 409, {}, b'{"detail": "of another version"}'
        except wire.WireError:
            return 400, {}, b"{}"

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self._server.shutdown()
        self._server.server_close()
        for kept in self.kept:
            with contextlib.suppress(OSError):
                kept.shutdown(socket.SHUT_RDWR)
        asyncio.run_coroutine_threadsafe(self._runner.aclose(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        for thread in self._threads:
            thread.join(10)
        self._loop.close()
