"""The gateway behind the face of one client of redis-py, as `transport.cluster` is for a cluster.

Sync and asyncio differ in nothing but who waits; what a command becomes and what an answer means is in `wire` and
`answers`. Nothing is sent again here: that is the runner's to decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from tq_core.transport.remote import wire
from tq_core.transport.remote.answers import CONNECT_TIMEOUT_S, GatewayAddress, broken, replies_of

_CONNECTIONS = httpx.Limits(max_connections=100, max_keepalive_connections=10)


def _settings(address: GatewayAddress, timeout_s: float) -> dict[str, Any]:
    return {
        "base_url": address.url,
        "headers": address.headers(),
        "timeout": httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S),
        "limits": _CONNECTIONS,
        "follow_redirects": False,
    }


def _single(replies: list[Any]) -> Any:
    (reply,) = replies
    if isinstance(reply, Exception):
        raise reply
    return reply


class GatewayClient:
    """A gateway; may be shared by threads."""

    def __init__(self, address: GatewayAddress, timeout_s: float) -> None:
        self._address = address
        self._http = httpx.Client(**_settings(address, timeout_s))

    def execute_command(self, *args: Any) -> Any:
        return _single(self.send([args]))

    def info(self, section: str) -> Any:
        return self.execute_command("INFO", section)

    def pipeline(self, *, transaction: bool = False) -> GatewayPipeline:
        """Collects commands and sends them in one request; never as a transaction."""
        assert not transaction
        return GatewayPipeline(self)

    def close(self) -> None:
        self._http.close()

    def send(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """The replies, errors among them, in the order of the commands."""
        try:
            response = self._http.post(wire.PATH, content=wire.encode_commands(commands))
        except httpx.TransportError as error:
            raise broken(error) from error
        return replies_of(response, len(commands), self._address.display)


class AsyncGatewayClient:
    """A gateway for asyncio; belongs to one event loop."""

    def __init__(self, address: GatewayAddress, timeout_s: float) -> None:
        self._address = address
        self._http = httpx.AsyncClient(**_settings(address, timeout_s))

    async def execute_command(self, *args: Any) -> Any:
        return _single(await self.send([args]))

    async def info(self, section: str) -> Any:
        return await self.execute_command("INFO", section)

    def pipeline(self, *, transaction: bool = False) -> AsyncGatewayPipeline:
        """Collects commands and sends them in one request; never as a transaction."""
        assert not transaction
        return AsyncGatewayPipeline(self)

    async def aclose(self) -> None:
        await self._http.aclose()

    def abandon(self) -> None:
        """Leaves the connections to the garbage collector: their loop is closed."""

    async def send(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """The replies, errors among them, in the order of the commands."""
        try:
            response = await self._http.post(wire.PATH, content=wire.encode_commands(commands))
        except httpx.TransportError as error:
            raise broken(error) from error
        return replies_of(response, len(commands), self._address.display)


class _Commands:
    """Commands that are collected."""

    def __init__(self) -> None:
        self.commands: list[tuple[Any, ...]] = []

    def execute_command(self, *args: Any) -> None:
        self.commands.append(args)


class GatewayPipeline(_Commands):
    """Commands for one request."""

    def __init__(self, client: GatewayClient) -> None:
        super().__init__()
        self._client = client

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        assert not raise_on_error
        commands, self.commands = self.commands, []
        return self._client.send(commands) if commands else []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.commands.clear()


class AsyncGatewayPipeline(_Commands):
    """As `GatewayPipeline`."""

    def __init__(self, client: AsyncGatewayClient) -> None:
        super().__init__()
        self._client = client

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        assert not raise_on_error
        commands, self.commands = self.commands, []
        return await self._client.send(commands) if commands else []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.commands.clear()
