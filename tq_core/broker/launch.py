"""Getting a running server: joining the one that is there, or starting a keeper that starts one."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping

from tq_core.broker.binaries import pick_server
from tq_core.broker.deadline import Deadline
from tq_core.broker.folder import (
    BrokerFolder,
    check_space,
    folder_problem,
    make_folder,
    make_socket_folder,
    socket_path,
)
from tq_core.broker.keeper_log import open_keeper_log
from tq_core.broker.locks import FileLock
from tq_core.broker.probe import PROBE_TIMEOUT_S, Answer, ask
from tq_core.broker.python_command import module_command, passed_on
from tq_core.broker.records import RunningServer, read_running, read_writer
from tq_core.errors import BrokerConfigError, BrokerUnreachableError

ORPHAN_TIMEOUT_S = 3.0
"""How long a server without a keeper gets to end by itself: Linux has already told it to."""

KEEPER_SHARE = 0.8
"""The keeper's part of the time for a start, so that its reason for a failure comes before our own deadline."""

SHORTEST_PROBE_S = 0.25


def running_server(folder: BrokerFolder, deadline: Deadline) -> RunningServer | None:
    """The server that answers now; waits for one that still reads its data. None where none answers.

    Raises:
        BrokerUnreachableError: It still reads its data at the deadline.
    """
    running = read_running(folder)
    if running is None or not running.keeper.is_alive:
        return None
    make_socket_folder(running.socket.parent)
    is_loading = False
    while (answer := _ask(running, deadline)) is Answer.LOADING or (is_loading and answer is Answer.SILENT):
        is_loading = True  # and so it may be slow to answer
        if deadline.is_over:
            raise BrokerUnreachableError(
                f"the server of the embedded broker {folder.name!r} was still reading its data after "
                f"{deadline.timeout_s:g} s; try again in a moment, or raise TQ_EMBEDDED_START_TIMEOUT_S"
            )
        deadline.pause()
    return running if answer is Answer.READY else None


def _ask(running: RunningServer, deadline: Deadline) -> Answer:
    return ask(running.socket, min(PROBE_TIMEOUT_S, max(deadline.remaining_s, SHORTEST_PROBE_S)))


def start_or_join(folder: BrokerFolder, environ: Mapping[str, str], deadline: Deadline) -> RunningServer:
    """Return a server that answers, started here where none runs; to be called with the start lock held by nobody.

    Raises:
        BrokerConfigError: The folder or the server program cannot be used.
        BrokerUnreachableError: There was none at the deadline.
    """
    start_lock = hold_start_lock(folder, deadline)
    try:
        return start_under_lock(folder, environ, start_lock, deadline)
    finally:
        start_lock.close()


def hold_start_lock(folder: BrokerFolder, deadline: Deadline) -> FileLock:
    """Keep everyone else from starting and stopping the broker until the lock is closed.

    Raises:
        BrokerUnreachableError: Someone else held it until the deadline.
    """
    try:
        lock = FileLock(folder.start_lock)
    except OSError as error:
        raise folder_problem(folder, error) from error
    if lock.exclusive_by(deadline):
        return lock
    lock.close()
    raise BrokerUnreachableError(
        f"another process was starting or stopping the embedded broker {folder.name!r} for {deadline.timeout_s:g} s; "
        f"try again, or see {folder.keeper_log}"
    )


def start_under_lock(
    folder: BrokerFolder, environ: Mapping[str, str], start_lock: FileLock, deadline: Deadline
) -> RunningServer:
    """As `start_or_join`, for a caller that holds the start lock."""
    server_lock = FileLock(folder.server_lock)
    try:
        orphan_deadline = Deadline(min(ORPHAN_TIMEOUT_S, deadline.remaining_s / 2))
        while True:
            running = running_server(folder, deadline)
            if running is not None:
                return running
            if server_lock.try_exclusive():
                break
            _end_orphan(folder, is_patient=not orphan_deadline.is_over)
            if deadline.is_over:
                raise BrokerUnreachableError(
                    f"the server of the embedded broker {folder.name!r} runs and does not answer; "
                    f"`tq broker stop {folder.name}` ends it; see {folder.server_log}"
                )
            deadline.pause()
    finally:
        server_lock.close()
    _start_keeper(folder, environ, start_lock, deadline)
    running = running_server(folder, deadline)
    if running is None:
        raise BrokerUnreachableError(
            f"the server of the embedded broker {folder.name!r} was started and then did not answer within "
            f"{deadline.timeout_s:g} s; see {folder.keeper_log}"
        )
    return running


def end_server(folder: BrokerFolder, deadline: Deadline) -> None:
    """End keeper and server, politely and then firmly; to be called with the start lock held.

    Raises:
        BrokerUnreachableError: One of them was still there at the deadline.
    """
    server_lock = FileLock(folder.server_lock)
    try:
        running = read_running(folder)
        if running is not None and not running.keeper.send(signal.SIGTERM):
            running.server.send(signal.SIGTERM)
        polite = Deadline(deadline.remaining_s * 2 / 3)
        while not server_lock.try_exclusive():
            if deadline.is_over:
                raise BrokerUnreachableError(
                    f"the embedded broker {folder.name!r} could not be stopped within {deadline.timeout_s:g} s; "
                    f"see {folder.keeper_log}"
                )
            if polite.is_over and running is not None:
                # The keeper first, or it would take the server's end for a crash.
                running.keeper.send(signal.SIGKILL)
                running.server.send(signal.SIGCONT)
                running.server.send(signal.SIGKILL)
            deadline.pause()
        if running is not None:
            running.socket.unlink(missing_ok=True)
        folder.running.unlink(missing_ok=True)
    finally:
        server_lock.close()


def _end_orphan(folder: BrokerFolder, *, is_patient: bool) -> None:
    running = read_running(folder)
    if running is not None and not running.keeper.is_alive:
        running.server.send(signal.SIGTERM if is_patient else signal.SIGKILL)


def _start_keeper(folder: BrokerFolder, environ: Mapping[str, str], start_lock: FileLock, deadline: Deadline) -> None:
    make_folder(folder)
    binary = pick_server(environ, writer=read_writer(folder), name=folder.name)
    if binary.is_kept:
        check_space(folder)
    socket = socket_path(folder, environ)
    read_fd, report_fd = os.pipe()
    try:
        try:
            command, keeper_environ = module_command("tq_core.broker.keeper", passed_on(environ))
            keeper_until_s = time.monotonic() + deadline.remaining_s * KEEPER_SHARE
            words = [folder.path, socket, binary, start_lock.fd, report_fd, repr(keeper_until_s)]
            with open_keeper_log(folder) as log:
                detaching = subprocess.Popen(
                    [*command, *map(str, words)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=keeper_environ,
                    cwd="/",
                    start_new_session=True,
                    pass_fds=(start_lock.fd, report_fd),
                )
        except OSError as error:
            raise folder_problem(folder, error) from error
        finally:
            os.close(report_fd)
        report = _read_line(read_fd, deadline)
        _collect(detaching)
    finally:
        os.close(read_fd)
    if report is None:
        raise BrokerUnreachableError(
            f"the embedded broker {folder.name!r} did not start within {deadline.timeout_s:g} s; "
            f"see {folder.keeper_log}, or raise TQ_EMBEDDED_START_TIMEOUT_S"
        )
    if not report:
        raise BrokerUnreachableError(
            f"the keeper of the embedded broker {folder.name!r} ended too early; see {folder.keeper_log}"
        )
    outcome = json.loads(report)
    if "error" in outcome:
        raise (BrokerConfigError if outcome["is_config"] else BrokerUnreachableError)(outcome["error"])


def _read_line(fd: int, deadline: Deadline) -> bytes | None:
    received = b""
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        while not received.endswith(b"\n"):
            if not selector.select(deadline.remaining_s):
                if deadline.is_over:
                    return None
                continue
            chunk = os.read(fd, 65536)
            if not chunk:
                return b""
            received += chunk
    return received


def _collect(detaching: subprocess.Popen[bytes]) -> None:
    try:
        detaching.wait(1.0)
    except subprocess.TimeoutExpired:
        # It is stuck before it could detach: not even its imports are done.
        detaching.kill()
        detaching.wait()
