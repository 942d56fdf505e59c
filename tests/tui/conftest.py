"""A queue on one real server, for the console to look at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.queue_driver import QueueDriver


@pytest.fixture
def q(redis_url: str) -> Iterator[QueueDriver]:
    """An empty queue `mail` on a real server, by the server's own clock; ends with an audit that must find nothing."""
    driver = QueueDriver(redis_url, has_clock=False)
    yield driver
    try:
        assert driver.findings() == []
    finally:
        driver.close()
