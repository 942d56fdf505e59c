"""Ten thousand requests that nobody would write: whatever the description allows, and all that it does not."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gateway.conftest import Served
from tests.queue_driver import QueueDriver

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(1800)]
REQUESTS = 10_000
EXAMPLES = 350
"""Of each route, beside those that the description itself suggests."""
CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance"),
    *("negative_data_rejection", "unsupported_method"),
)


def test_hostile_requests_are_refused_and_never_break_anything(
    serve: Callable[..., Served], redis_url: str, tmp_path: Path
) -> None:
    served = serve()
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{served.port}/openapi.json"]
    # Two wait for what happens, and here nothing does; one is in a format that is fuzzed elsewhere.
    left_out = ("/v1/events", "/v1/tasks/{task_id}/result", "/v1/redis")
    words = [word for path in left_out for word in ("--exclude-path", path)]
    words += ["--checks", ",".join(CHECKS), "--phases", "coverage,fuzzing", "--seed", "1"]
    ran = subprocess.run(
        [*command, *words, "--max-examples", str(EXAMPLES), "--continue-on-failure", "--no-color"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr
    counted = re.search(r"(\d+) generated, (\d+) passed", ran.stdout)
    assert counted is not None, ran.stdout[-3000:]
    assert int(counted[1]) == int(counted[2]) >= REQUESTS
    code, said = served.stop()
    assert (code, "Traceback" in said, " failed" in said) == (0, False, False), said
    queue = QueueDriver(redis_url, queue="default", has_clock=False)
    assert queue.findings() == []
    queue.close()
