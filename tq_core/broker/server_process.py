"""The server as a child of its keeper: its command line, its start, its end, and why it died."""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path

from tq_core.broker.binaries import ServerBinary
from tq_core.broker.deadline import Deadline
from tq_core.broker.folder import BrokerFolder
from tq_core.broker.probe import tell
from tq_core.broker.python_command import module_command, passed_on

STOP_TIMEOUT_S = 10.0
STOP_AGAIN_S = 1.0
_LOG_TAIL_BYTES = 4096
_PR_SET_PDEATHSIG = 1

_DAMAGED = "its append-only file is damaged; repair it with redis-check-aof --fix, or wipe the broker"
_DEATHS = (
    ("No space left on device", "the disk is full; free some space there"),
    ("Disk quota exceeded", "the disk quota is used up; free some space there"),
    ("File too large", "a limit on file sizes stops it; raise `ulimit -f`"),
    ("Read-only file system", "the file system is read-only; point XDG_STATE_HOME at one that can be written"),
    ("Permission denied", "permission is denied; make the folder yours, or point XDG_STATE_HOME at one that is"),
    ("RDB format version", "the data was written by a newer server; run that one (TQ_REDIS_SERVER)"),
    ("Bad file format", _DAMAGED),
    ("Unrecoverable error", _DAMAGED),
    ("FATAL CONFIG FILE ERROR", "the server does not know an option that tq gives it; name another in TQ_REDIS_SERVER"),
)


class ServerProcess:
    """A running server: a direct child of this process, which must have one thread only."""

    def __init__(self, pid: int, binary: ServerBinary, socket: Path) -> None:
        self.pid = pid
        self._is_redis = binary.is_kept
        self._socket = socket
        self.exit_status: int | None = None

    def has_ended(self) -> bool:
        """Whether it has ended; collects it."""
        if self.exit_status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.exit_status = status
        return self.exit_status is not None

    def stop(self) -> None:
        """End it politely, so that it writes out what it holds, then firmly."""
        # Told so it ends at once, while a signal waits for its next tick.
        if self._is_redis and not self.has_ended() and tell(self._socket, b"SHUTDOWN"):
            self._wait(STOP_AGAIN_S)
        polite = Deadline(STOP_TIMEOUT_S)
        while not polite.is_over:
            if self.has_ended():
                return
            # A server that cannot stop just now forgets that it was asked.
            os.kill(self.pid, signal.SIGTERM)
            self._wait(STOP_AGAIN_S)
        self.kill()

    def kill(self) -> None:
        """End it without a chance to write or to delete anything."""
        if not self.has_ended():
            os.kill(self.pid, signal.SIGKILL)
            _, self.exit_status = os.waitpid(self.pid, 0)

    def _wait(self, timeout_s: float) -> None:
        deadline = Deadline(timeout_s)
        while not (deadline.is_over or self.has_ended()):
            deadline.pause()


def start_server(folder: BrokerFolder, binary: ServerBinary, socket: Path, *, inherited_fd: int) -> ServerProcess:
    """Start the server so that it dies with this process; returns at once.

    Args:
        folder: Where it keeps its data and its log.
        binary: What to run.
        socket: Where it listens; must not exist.
        inherited_fd: The server lock, held on by the server.
    """
    command, environ = _command(folder, binary, socket)
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    keeper = os.getpid()
    log = os.open(folder.server_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            if prctl is not None:
                # Linux means the thread that forks; the keeper has this one only.
                prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() == keeper:
                os.dup2(nothing, 0)
                os.dup2(log, 1)
                os.dup2(log, 2)
                os.set_inheritable(inherited_fd, True)
                os.execve(command[0], command, environ)
        finally:
            os._exit(127)
    os.close(log)
    os.close(nothing)
    return ServerProcess(pid, binary, socket)


def explain_end(folder: BrokerFolder, server: ServerProcess) -> str:
    """Say in one line why the server ended by itself, from what it wrote into its log."""
    try:
        with folder.server_log.open("rb") as file:
            file.seek(max(0, folder.server_log.stat().st_size - _LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        lines = []
    where = f"the server of the embedded broker {folder.name!r} ended in {folder.path}"
    for line in reversed(lines[-20:]):
        for sign, cure in _DEATHS:
            if sign in line:
                return f"{where}: {cure}"
    last = next((line for line in reversed(lines) if line.strip()), "it wrote nothing")
    code = os.waitstatus_to_exitcode(server.exit_status or 0)
    printable = "".join(letter for letter in last if letter.isprintable())[:200]
    return f"{where} (exit {code}): {printable}; see {folder.server_log}"


def _command(folder: BrokerFolder, binary: ServerBinary, socket: Path) -> tuple[list[str], dict[str, str]]:
    environ = passed_on(os.environ)
    if binary.path is None:
        arguments, environ = module_command("tq_core.broker.fake_server", environ)
        return [*arguments, str(socket)], environ
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder.data),
        "daemonize": "no",
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
    }
    return [str(binary.path), *(word for name, value in options.items() for word in (f"--{name}", value))], environ
