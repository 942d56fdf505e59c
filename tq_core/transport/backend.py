"""Opens whatever broker an address means: a server, the embedded one of this machine, or fakeredis in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tq_core.broker.memory import async_memory_client, memory_client
from tq_core.broker_url import BrokerScheme, is_loopback
from tq_core.settings import BrokerAddress
from tq_core.transport import connection
from tq_core.transport.connection import Endpoint


@dataclass(frozen=True)
class OpenBroker:
    """A broker in use; close it when nothing needs it any more."""

    endpoint: Endpoint
    address: BrokerAddress
    notice: str = ""
    """One line that its user should see, such as that nothing is kept; "" = nothing to say."""
    _release: Callable[[], None] | None = None

    @property
    def is_embedded(self) -> bool:
        """Whether this machine's own broker, which a later opening starts again should it be gone."""
        return self.address.scheme is BrokerScheme.EMBEDDED

    def close(self) -> None:
        """Stops using it; may be called twice. An embedded broker goes on while anybody else uses it."""
        if self._release is not None:
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_endpoint(address: BrokerAddress, *, client_name: str = "tq") -> OpenBroker:
    """Opens the broker at an address; blocks while an embedded one starts. A server is not connected to yet.

    Args:
        client_name: What the server's list of clients shows.

    Raises:
        BrokerConfigError: what the address needs is not installed or not usable.
        BrokerUnreachableError: the embedded broker did not start in time.
    """
    notice = address.notice or ""
    match address.scheme:
        case BrokerScheme.EMBEDDED:
            from tq_core.broker import open_embedded

            lease = open_embedded(address.name) if address.name else open_embedded()
            lines = [line for line in (notice, lease.notice) if line]
            endpoint = connection.endpoint(
                lease.url, display=address.display_url, client_name=client_name, revive=lease.revive
            )
            return OpenBroker(endpoint, address, "; ".join(lines), lease.close)
        case BrokerScheme.MEMORY:
            return OpenBroker(_memory_endpoint(address), address, notice)
    endpoint = connection.endpoint(_url(address), display=address.display_url, client_name=client_name)
    if address.scheme is BrokerScheme.GATEWAY and not is_loopback(address.url):
        notice = notice or f"{address.display_url}: key and tasks go over the network unencrypted; use https://"
    return OpenBroker(endpoint, address, notice)


def _url(address: BrokerAddress) -> str:
    if address.context is None:
        return address.url
    from tq_core.credentials import opened_url  # most have no context

    return opened_url(address)


def _memory_endpoint(address: BrokerAddress) -> Endpoint:
    name = address.name or "default"

    def open_async(_timeout_s: float, is_shared: bool) -> Any:
        return async_memory_client(name, single_connection_client=is_shared)

    def open_sync(_timeout_s: float) -> Any:
        return memory_client(name)

    return Endpoint(display=address.display_url, open_async=open_async, open_sync=open_sync)
