"""The supervisor's connection to the broker.

In a module of its own because it loads the client of Redis, which takes as long as the rest of a supervisor's start: it
is imported while the first worker loads the users' code.
"""

from __future__ import annotations

from typing import NamedTuple

from tq_core.settings import resolve_broker
from tq_core.transport.backend import OpenBroker, open_endpoint
from tq_core.transport.runner import AsyncRunner

RETRY_FOR_S = 2.0


class BrokerLink(NamedTuple):
    """A broker in use."""

    broker: OpenBroker
    runner: AsyncRunner


def open_link(url: str, node_id: str) -> BrokerLink:
    """Opens the broker that the workers named; blocks while an embedded one starts.

    Raises:
        TqError: it cannot be used.
    """
    broker = open_endpoint(resolve_broker(url), client_name=f"tq-node-{node_id}")
    return BrokerLink(broker, AsyncRunner(broker.endpoint, retry_for_s=RETRY_FOR_S))
