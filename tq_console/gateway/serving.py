"""Serves the gateway: the socket, slow clients, signals, and how it stops."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from tq_console.gateway.access import is_local
from tq_console.gateway.app import new_app
from tq_console.gateway.services import Services
from tq_console.gateway.settings import GatewaySettings
from tq_core.errors import InvalidInputError

_log = logging.getLogger("tq.gateway")
BACKLOG = 1024
KEEP_ALIVE_S = 65
"""Above the minute after which proxies let go, so that none sends into a connection that is being closed."""
MAX_CONNECTIONS = 4_000


def _patient(head_timeout_s: float, send_timeout_s: float) -> type[asyncio.Protocol]:
    """The server's protocol, for so long: who does not send a head whole, or read his answer, loses the connection.

    uvicorn bounds only the time between two requests, so one byte would hold a connection for ever.
    """
    base = cast("type[Any]", AutoHTTPProtocol)

    class PatientProtocol(base):  # type: ignore[misc, valid-type]
        _head_timer: asyncio.TimerHandle | None = None
        _send_timer: asyncio.TimerHandle | None = None
        _cycle_seen: Any = None

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self._wait_for_head()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not self._cycle_seen:
                self._cycle_seen = self.cycle
                self._stop_waiting()
            elif self._head_timer is None and (self.cycle is None or self.cycle.response_complete):
                self._wait_for_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            self._stop_watching()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            # Closing would first send what is not read.
            self._send_timer = self.loop.call_later(send_timeout_s, self.transport.abort)

        def resume_writing(self) -> None:
            self._stop_watching()
            super().resume_writing()

        def _stop_watching(self) -> None:
            if self._send_timer is not None:
                self._send_timer.cancel()
                self._send_timer = None

        def _wait_for_head(self) -> None:
            self._head_timer = self.loop.call_later(head_timeout_s, self.transport.close)

        def _stop_waiting(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

    return PatientProtocol


class _Server(uvicorn.Server):
    """Ends streams and waits as soon as it is told to stop."""

    def __init__(self, config: uvicorn.Config, services: Services) -> None:
        super().__init__(config)
        self._services, self._loop = services, asyncio.get_running_loop()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Stops; uvicorn's own would have the signal end the process once all is done, before the broker is let go."""
        del frame
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True
        # From a signal handler, so the loop has to be woken.
        self._loop.call_soon_threadsafe(self._services.closing.set)


def listen(settings: GatewaySettings) -> list[socket.socket]:
    """Takes the address, before anything else is done.

    Raises:
        InvalidInputError: it is taken, not ours, or no address; says what to do.
    """
    try:
        found = socket.getaddrinfo(
            settings.host or None, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise InvalidInputError(f"{settings.host!r} is no address to listen on: {error.strerror or error}") from None
    taken: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in found:
            one = socket.socket(family, kind, protocol)
            taken.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(address)
            one.setblocking(False)
    except OSError as error:
        for one in taken:
            one.close()
        raise InvalidInputError(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror or error}; "
            "choose another with --port or PORT"
        ) from None
    return taken


def warnings_of(settings: GatewaySettings) -> list[str]:
    """What whoever starts it should know."""
    told = []
    is_outside = not is_local(settings.host)
    has_key = bool(settings.api_key or settings.key_file)
    if is_outside and settings.is_open and not has_key:
        told.append("TQ_GATEWAY_OPEN=1: everybody who reaches this port may submit tasks and steer workers")
    elif is_outside and not has_key:
        told.append("no key is set: other machines may look, and only this one may write; see `tq gateway new-key`")
    if settings.api_key and len(settings.api_key) < 16:
        told.append("API_KEY is short enough to be guessed: `tq gateway new-key` makes one that is not")
    return told


async def serve(services: Services, sockets: list[socket.socket]) -> None:
    """Serves until it is told to stop, then lets what is under way end.

    Raises:
        InvalidInputError: the key file cannot be used.
        OSError: it cannot be read.
    """
    settings = services.settings
    config = uvicorn.Config(
        new_app(services),
        http=_patient(settings.head_timeout_s, settings.send_timeout_s),
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        log_level=logging.WARNING,
        proxy_headers=False,  # whoever is asked by an address must not be told it by its header
        server_header=False,
        backlog=BACKLOG,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=round(settings.drain_s),
    )
    await _Server(config, services).serve(sockets)
