"""What the tests of the daemon get."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.site import Site


@pytest.fixture
def site(redis_url: str, tmp_path: Path) -> Iterator[Site]:
    """A broker and a place for nodes; at the end every process is gone and the keyspace is consistent."""
    site = Site(redis_url, tmp_path)
    yield site
    site.close()
