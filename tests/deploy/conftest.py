"""A running system for the tests that ask what it shows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import NO_SERVER
from tests.deploy.running import System
from tests.redis_servers import PrivateServer, real_binaries


@pytest.fixture(scope="package")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A worker and a gateway as compose.yaml starts them, which have done a task that completed and one that failed."""
    binary = next(iter(real_binaries()), None)
    if binary is None:
        pytest.skip(NO_SERVER)
    redis = PrivateServer(binary)
    redis.start()
    found = System(redis, tmp_path_factory.mktemp("system"))
    try:
        found.wait_listening()
        done, failed = found.submit("process"), found.submit("math", operation="divide")
        found.wait_for(done, "completed")
        found.wait_for(failed, "failed")
        found.wait_counted("process", "math")
        yield found
    finally:
        found.close()
        redis.remove()
