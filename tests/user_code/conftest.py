"""A TaskQueue on every server of the contract, closed after the test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tq_core import TaskQueue


@pytest.fixture
def tq(broker_url: str) -> Iterator[TaskQueue]:
    """An empty queue, once for each server."""
    with TaskQueue(broker_url) as task_queue:
        yield task_queue


@pytest.fixture
def memory_tq() -> Iterator[TaskQueue]:
    """An empty queue inside this process, for what does not depend on the server."""
    with TaskQueue(f"memory://{uuid.uuid4().hex}") as task_queue:
        yield task_queue
