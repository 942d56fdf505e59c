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

from tests.redis_servers import PrivateServer, ServerBinary, ServerPool, newest_on_path, read_binary, real_binaries
from tests.waiting import wait_until

NO_RETRY = Retry(NoBackoff(), 0)


def write_program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def is_running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_a_server_binary_tells_its_product_and_version(tmp_path: Path) -> None:
    path = write_program(tmp_path / "valkey-server", "echo 'Valkey server v=8.0.1 sha=0:0 malloc=jemalloc bits=64'")

    assert read_binary(path) == ServerBinary(product="valkey", version=(8, 0, 1), path=path)


@pytest.mark.parametrize("text", ["echo 'something else'", "exit 1"])
def test_a_program_that_is_no_server_is_left_out(tmp_path: Path, text: str) -> None:
    assert read_binary(write_program(tmp_path / "redis-server", text)) is None


def test_a_file_that_does_not_run_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "redis-server"
    path.write_bytes(b"\x7fELF broken")
    path.chmod(0o755)

    assert read_binary(path) is None


def test_the_newest_server_on_the_path_wins_by_number(tmp_path: Path) -> None:
    for folder, version in (("a", "7.2.10"), ("b", "7.10.0"), ("c", "7.9.9")):
        (tmp_path / folder).mkdir()
        write_program(tmp_path / folder / "redis-server", f"echo 'Redis server v={version} sha=0'")

    found = newest_on_path(os.pathsep.join(str(tmp_path / folder) for folder in ("missing", "a", "b", "c")))

    assert found is not None
    assert found.version == (7, 10, 0)


def test_an_empty_path_has_no_server() -> None:
    assert newest_on_path("") is None


@pytest.mark.server
def test_each_test_starts_with_an_empty_server(server_pool: ServerPool) -> None:
    server = server_pool.emptied(real_binaries()[0])
    with redis.Redis.from_url(server.url) as client:
        client.set("left", "behind")

        again = server_pool.emptied(real_binaries()[0])

        assert again is server
        assert client.dbsize() == 0


def test_each_server_of_the_contract_has_its_own_address(broker_url: str) -> None:
    assert broker_url.startswith(("memory://", "unix://"))


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
