"""What the tests of several servers together get: the newest real server that is here, several times."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import NO_SERVER, PROPERTY
from tests.redis_servers import name_of, real_binaries
from tests.topologies.servers import Cluster, SentinelSet
from tq_core.broker.binaries import ServerBinary


@pytest.fixture
def newest(request: pytest.FixtureRequest) -> ServerBinary:
    """The newest real server."""
    if not real_binaries():
        pytest.skip(NO_SERVER)
    binary = real_binaries()[-1]
    request.node.user_properties.append((PROPERTY, name_of(binary)))
    return binary


@pytest.fixture
def cluster(newest: ServerBinary) -> Iterator[Cluster]:
    """Three primaries of this test alone."""
    made = Cluster(newest)
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture
def replicated_cluster(newest: ServerBinary) -> Iterator[Cluster]:
    """Three primaries with a replica each, of this test alone."""
    made = Cluster(newest, has_replicas=True)
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture
def sentinels(newest: ServerBinary) -> Iterator[SentinelSet]:
    """A primary, a replica and three Sentinels of this test alone."""
    made = SentinelSet(newest)
    try:
        made.start()
        yield made
    finally:
        made.remove()
