"""fakeredis inside this process, for tests and first steps: `memory://NAME`, the same name being the same server."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from tq_core.broker.binaries import FAKE_VERSION
from tq_core.broker.folder import DEFAULT_NAME, check_name
from tq_core.errors import BrokerConfigError

if TYPE_CHECKING:
    import fakeredis

_guard = threading.Lock()
_servers: dict[str, fakeredis.FakeServer] = {}


def memory_server(name: str = DEFAULT_NAME, *, version: tuple[int, ...] = FAKE_VERSION) -> fakeredis.FakeServer:
    """The in-memory server of this name, made at the first call and then kept for the life of the process.

    Args:
        name: 1 to 32 of a-z, 0-9, _ and -.
        version: The Redis to act like; counts when the server is made.

    Raises:
        InvalidInputError: The name is refused.
        BrokerConfigError: fakeredis is not installed.
    """
    check_name(name)
    module = _fakeredis()
    with _guard:
        server = _servers.get(name)
        if server is None:
            server = _servers[name] = module.FakeServer(version=version, server_type="redis")
        return server


def forget_memory_server(name: str = DEFAULT_NAME) -> None:
    """Drop the server of this name with all it holds; clients that are open keep it."""
    with _guard:
        _servers.pop(name, None)


def memory_client(name: str = DEFAULT_NAME, **options: Any) -> fakeredis.FakeRedis:
    """A synchronous client of the in-memory server; options as redis-py's.

    Raises:
        As `memory_server`.
    """
    client: fakeredis.FakeRedis = _fakeredis().FakeRedis(server=memory_server(name), **options)
    return client


def async_memory_client(name: str = DEFAULT_NAME, **options: Any) -> fakeredis.FakeAsyncRedis:
    """An asyncio client of the in-memory server; options as redis-py's.

    Raises:
        As `memory_server`.
    """
    client: fakeredis.FakeAsyncRedis = _fakeredis().FakeAsyncRedis(server=memory_server(name), **options)
    return client


def _fakeredis() -> Any:
    try:
        import fakeredis
        import lupa  # noqa: F401 - scripts need it, and fakeredis says so only when the first one runs
    except ImportError as error:
        raise BrokerConfigError(
            "memory:// runs on fakeredis with Lua, which is not installed; pip install 'tq-console[embedded]'"
        ) from error
    return fakeredis
