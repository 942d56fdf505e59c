"""The process that starts a server, keeps it running while it is used, and stops it afterwards.

    python -m tq_core.broker.keeper FOLDER SOCKET BINARY START_LOCK_FD REPORT_FD START_BY_S

Started by the first user (tq_core.broker.launch), detached from it, with two descriptors passed on: the start lock,
which both hold until the server answers, and a pipe on which one line tells how the start went. START_BY_S is a point
on the monotonic clock, which is one for all processes. One thread only: the server is to die with it, and Linux ties
that to the thread that started it.

    starting ──► watching ◄──► lingering ──► stopping ──► gone
                    │ server died, users there: started again, unless it dies again and again
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from tq_core.broker.binaries import FAKE, FAKE_VERSION, ServerBinary, ServerVersion, read_binary
from tq_core.broker.deadline import Deadline
from tq_core.broker.folder import BrokerFolder, check_space, folder_problem, make_folder, make_socket_folder
from tq_core.broker.locks import FileLock
from tq_core.broker.probe import Answer, ask
from tq_core.broker.processes import mark
from tq_core.broker.records import RunningServer, read_writer, write_running, write_writer
from tq_core.broker.server_process import ServerProcess, explain_end, start_server
from tq_core.errors import BrokerConfigError, BrokerError, BrokerUnreachableError

WATCH_INTERVAL_S = 0.25
"""How often users are looked for; signals and the end of the server are noticed at once."""
SHORT_LINGER_S = 1.0
SHORT_WATCH_INTERVAL_S = 0.03
"""The same where the server is to go soon after its last user: tests and demos wait for that."""
RESTART_LIMIT = 3
RESTART_TIMEOUT_S = 10.0
RESTART_WINDOW_S = 60.0
LOG_LIMIT_BYTES = 1_000_000

log = logging.getLogger("tq.keeper")


class Keeper:
    """Keeps one server for as long as it has users."""

    def __init__(self, folder: BrokerFolder, socket: Path, binary: ServerBinary) -> None:
        self._folder = folder
        self._socket = socket
        self._binary = binary
        self._users = FileLock(folder.users_lock)
        self._server_lock = FileLock(folder.server_lock)
        self._server: ServerProcess | None = None
        self._wake_fd = -1
        self._is_told_to_stop = False
        self._idle_since_s: float | None = None
        self._seen_change_ns = 0
        self._restarts_at_s: list[float] = []

    def listen_to_signals(self) -> None:
        """Let signals end the waiting of `_wait`, without a gap in which one is missed."""
        self._wake_fd, write_fd = os.pipe()
        os.set_blocking(self._wake_fd, False)
        os.set_blocking(write_fd, False)
        signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._told_to_stop)
        signal.signal(signal.SIGCHLD, _wake_only)

    def start(self, timeout_s: float) -> None:
        """Start the server; returns when it answers, or when it still reads its data after the timeout.

        Raises:
            BrokerError: It did not start; nothing of it is left.
        """
        if not self._server_lock.exclusive_by(Deadline(timeout_s)):
            raise BrokerUnreachableError(f"another server still runs in {self._folder.path}; `tq broker stop` ends it")
        self._start_server(timeout_s)

    def watch(self) -> None:
        """Return when the server is stopped and everything is tidied up."""
        while True:
            is_short = _linger_s(self._users.read_note()) < SHORT_LINGER_S
            self._wait(SHORT_WATCH_INTERVAL_S if is_short else WATCH_INTERVAL_S)
            server = self._server
            if self._is_told_to_stop or server is None:
                log.info("told to stop")
                break
            if not self._server_lock.is_in_place():
                # Someone deleted the whole folder: there is nothing left to write to, and a new broker may live under
                # its name, whose socket a polite end would delete.
                log.warning("the folder %s was deleted", self._folder.path)
                server.kill()
                return
            if server.has_ended():
                log.warning("%s", explain_end(self._folder, server))
                if not self._is_in_use() or not self._started_again("died"):
                    break
            elif not self._socket.exists():
                # Runtime folders go away with the last login of their user, while the server may have users left.
                if not self._is_in_use() or not self._started_again("lost its socket"):
                    break
            elif self._has_lingered() and self._stopped_for_want_of_users():
                return
        self._stop_server()

    def _start_server(self, timeout_s: float) -> None:
        folder = self._folder
        try:
            make_folder(folder)
            make_socket_folder(self._socket.parent)
            _rotate(folder.server_log)
            self._binary = _read_again(self._binary)
            if self._binary.is_kept:
                writer = read_writer(folder)
                if not self._binary.version.can_read(writer) and writer is not None:
                    raise BrokerConfigError(f"{self._binary} is {self._binary.version.label}, older than the data")
                check_space(folder)
                write_writer(folder, self._binary.version)
            self._socket.unlink(missing_ok=True)
            server = start_server(folder, self._binary, self._socket, inherited_fd=self._server_lock.fd)
        except OSError as error:
            raise folder_problem(folder, error) from error
        self._server = server
        try:
            self._await_answer(server, Deadline(timeout_s))
            write_running(
                folder,
                RunningServer(
                    server=mark(server.pid),
                    keeper=mark(os.getpid()),
                    socket=self._socket,
                    version=self._binary.version,
                    binary=str(self._binary),
                    is_kept=self._binary.is_kept,
                ),
            )
        except OSError as error:
            self._stop_server()
            raise folder_problem(folder, error) from error
        except BrokerError:
            self._stop_server()
            raise
        log.info("%s runs as process %d on %s", self._binary.version.label, server.pid, self._socket)

    def _await_answer(self, server: ServerProcess, deadline: Deadline) -> None:
        # A server listens before it reads its data, and may yet find that it cannot.
        while (answer := ask(self._socket)) is not Answer.READY:
            if server.has_ended():
                raise BrokerConfigError(explain_end(self._folder, server))
            if self._is_told_to_stop:
                raise BrokerUnreachableError("told to stop while the server was starting")
            if deadline.is_over:
                if answer is Answer.LOADING:
                    log.info("it still reads its data after %g s", deadline.timeout_s)
                    return
                raise BrokerUnreachableError(
                    f"the server of the embedded broker {self._folder.name!r} did not answer within "
                    f"{deadline.timeout_s:g} s; see {self._folder.server_log}"
                )
            deadline.pause()

    def _started_again(self, what_happened: str) -> bool:
        now_s = time.monotonic()
        self._restarts_at_s = [at_s for at_s in self._restarts_at_s if now_s - at_s < RESTART_WINDOW_S]
        if len(self._restarts_at_s) >= RESTART_LIMIT:
            log.error("the server %s again; giving up after %d restarts", what_happened, RESTART_LIMIT)
            return False
        self._restarts_at_s.append(now_s)
        log.warning("the server %s while it was used; starting it again", what_happened)
        self._stop_server()
        try:
            self._start_server(RESTART_TIMEOUT_S)
        except BrokerError as error:
            log.error("it did not start again: %s", error.message)  # noqa: TRY400 - one line is all there is to say
            return False
        return True

    def _is_in_use(self) -> bool:
        if self._users.try_exclusive():
            self._users.unlock()
            return False
        return True

    def _has_lingered(self) -> bool:
        if self._is_in_use():
            self._idle_since_s = None
            return False
        now_s = time.monotonic()
        changed_at_ns = self._users.changed_at_ns()
        if self._idle_since_s is None or changed_at_ns != self._seen_change_ns:
            # A user may have come and gone between two looks: it left a new note.
            self._idle_since_s, self._seen_change_ns = now_s, changed_at_ns
        return now_s - self._idle_since_s >= _linger_s(self._users.read_note())

    def _stopped_for_want_of_users(self) -> bool:
        start = FileLock(self._folder.start_lock)
        try:
            # Whoever starts or stops the broker just now holds the first lock; new users wait for the second.
            if start.try_exclusive() and self._users.try_exclusive():
                log.info("nobody uses the server any more")
                self._stop_server()
                self._users.close()
                self._server_lock.close()
                return True
        finally:
            start.close()
        return False

    def _stop_server(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None
        self._folder.running.unlink(missing_ok=True)
        self._socket.unlink(missing_ok=True)

    def _wait(self, timeout_s: float) -> None:
        ready, _, _ = select.select([self._wake_fd], [], [], timeout_s)
        if ready:
            os.read(self._wake_fd, 4096)

    def _told_to_stop(self, _signal_number: int, _frame: FrameType | None) -> None:
        self._is_told_to_stop = True


def _wake_only(_signal_number: int, _frame: FrameType | None) -> None:
    """Nothing: that a handler exists makes the signal end a wait."""


def _read_again(binary: ServerBinary) -> ServerBinary:
    if binary.path is None:
        return binary
    found = read_binary(binary.path, origin=binary.origin)
    if found is None:
        raise BrokerConfigError(f"{binary.path} is no longer a Redis server that runs here; install it again")
    return found


def _linger_s(note: str) -> float:
    try:
        return float(note)
    except ValueError:
        return 0.0


def _rotate(path: Path) -> None:
    try:
        if path.stat().st_size > LOG_LIMIT_BYTES:
            path.replace(path.with_suffix(".log.1"))
    except FileNotFoundError:
        pass


def _binary(word: str) -> ServerBinary:
    if word == FAKE:
        return ServerBinary(path=None, version=ServerVersion(product=FAKE, numbers=FAKE_VERSION), origin=FAKE)
    return ServerBinary(path=Path(word), version=ServerVersion(product="redis", numbers=(0,)), origin="")


def main() -> None:
    """Detach from whoever started this, then keep the server."""
    folder_path, socket, binary, start_lock_fd, report_fd, start_by_s = sys.argv[1:]
    if os.fork():
        # The first user waits for this end and has no child left that it would have to collect.
        os._exit(0)
    os.umask(0o077)
    os.chdir("/")
    folder = BrokerFolder(name=Path(folder_path).name, path=Path(folder_path))
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s keeper %(process)d: %(message)s")
    os.set_inheritable(int(report_fd), False)
    start_lock = FileLock.from_inherited(folder.start_lock, int(start_lock_fd))
    try:
        keeper = Keeper(folder, Path(socket), _binary(binary))
        keeper.listen_to_signals()
        keeper.start(float(start_by_s) - time.monotonic())
    except (BrokerError, OSError) as error:
        text = error.message if isinstance(error, BrokerError) else str(folder_problem(folder, error).message)
        log.error("no server: %s", text)  # noqa: TRY400 - one line is all there is to say
        _report(int(report_fd), {"error": text, "is_config": not isinstance(error, BrokerUnreachableError)})
        sys.exit(1)
    _report(int(report_fd), {})
    start_lock.close()
    keeper.watch()


def _report(fd: int, outcome: dict[str, object]) -> None:
    try:
        os.write(fd, json.dumps(outcome).encode() + b"\n")
    except BrokenPipeError:
        pass  # whoever started this is gone; the server stays for the linger, as after any user
    os.close(fd)


if __name__ == "__main__":
    main()
