"""Clients that ask Sentinels which server is the primary, each time they connect.

Their connections are redis-py's, but for one thing: those that it keeps for one client would come back to the server
that they had, for ever. One that gets READONLY is closed, so the next asks again.
"""

from __future__ import annotations

from typing import Any

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel

from tq_core.broker_url import Hosts

_sentinels: Any = redis.sentinel
_async_sentinels: Any = redis.asyncio.sentinel
"""They have no types."""


_Managed: Any = _sentinels.SentinelManagedConnection
_ManagedTls: Any = _sentinels.SentinelManagedSSLConnection
_AsyncManaged: Any = _async_sentinels.SentinelManagedConnection
_AsyncManagedTls: Any = _async_sentinels.SentinelManagedSSLConnection


class _Asks:
    """Asks for the primary whenever it connects, whoever makes it connect."""

    def connect(self) -> None:
        self.connect_check_health()

    def connect_check_health(self, check_health: bool = True, **_: Any) -> None:
        connection: Any = self
        if not connection._sock:  # noqa: SLF001 - redis-py asks so too
            connection.host, connection.port = connection.connection_pool.get_master_address()
        super().connect_check_health(check_health=check_health, retry_socket_connect=False)  # type: ignore[misc]


class _AsyncAsks:
    """As `_Asks`, for asyncio."""

    async def connect(self) -> None:
        await self.connect_check_health()

    async def connect_check_health(self, check_health: bool = True, **_: Any) -> None:
        connection: Any = self
        if not connection.is_connected:
            connection.host, connection.port = await connection.connection_pool.get_master_address()
        await super().connect_check_health(check_health=check_health, retry_socket_connect=False)  # type: ignore[misc]


class _Connection(_Asks, _Managed):  # type: ignore[misc]
    """A connection to whatever server is the primary when it connects."""


class _TlsConnection(_Asks, _ManagedTls):  # type: ignore[misc]
    """As `_Connection`, with TLS."""


class _AsyncConnection(_AsyncAsks, _AsyncManaged):  # type: ignore[misc]
    """As `_Connection`, for asyncio."""


class _AsyncTlsConnection(_AsyncAsks, _AsyncManagedTls):  # type: ignore[misc]
    """As `_AsyncConnection`, with TLS."""


class SentinelClient(redis.Redis):
    """A client of whatever server is the primary."""

    def __init__(self, hosts: Hosts, *, settings: dict[str, Any], sentinel_settings: dict[str, Any]) -> None:
        self._sentinel: Any = _sentinels.Sentinel(hosts.places, sentinel_kwargs=sentinel_settings)
        kind = _TlsConnection if hosts.scheme.has_tls else _Connection
        pool = _sentinels.SentinelConnectionPool(hosts.service, self._sentinel, connection_class=kind, **settings)
        super().__init__(connection_pool=pool)
        self.auto_close_connection_pool = True

    def close(self) -> None:
        super().close()
        self._sentinel.close()


class AsyncSentinelClient(redis.asyncio.Redis):
    """As `SentinelClient`, for asyncio; its callers share one connection where it is told so."""

    def __init__(
        self, hosts: Hosts, *, settings: dict[str, Any], sentinel_settings: dict[str, Any], is_shared: bool
    ) -> None:
        self._sentinel: Any = _async_sentinels.Sentinel(hosts.places, sentinel_kwargs=sentinel_settings)
        kind = _AsyncTlsConnection if hosts.scheme.has_tls else _AsyncConnection
        pool = _async_sentinels.SentinelConnectionPool(hosts.service, self._sentinel, connection_class=kind, **settings)
        super().__init__(connection_pool=pool, single_connection_client=is_shared)
        self.auto_close_connection_pool = True

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await super().aclose(close_connection_pool)
        for sentinel in self._sentinel.sentinels:
            await sentinel.aclose()
