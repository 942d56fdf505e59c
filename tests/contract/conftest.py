"""A queue on each server of the contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.queue_driver import QueueDriver


@pytest.fixture
def damaged_q(broker_url: str) -> Iterator[QueueDriver]:
    """An empty queue that runs by its own clock, for tests that damage its keys."""
    driver = QueueDriver(broker_url)
    yield driver
    driver.close()


@pytest.fixture
def q(damaged_q: QueueDriver) -> Iterator[QueueDriver]:
    """An empty queue that runs by its own clock; the test ends with an audit that must find nothing."""
    yield damaged_q
    assert damaged_q.findings() == []


@pytest.fixture
def live_q(broker_url: str) -> Iterator[QueueDriver]:
    """An empty queue that runs by the server's own clock; audited as `q` is."""
    driver = QueueDriver(broker_url, has_clock=False)
    yield driver
    try:
        assert driver.findings() == []
    finally:
        driver.close()
