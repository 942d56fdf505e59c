"""The embedded broker: a private Redis of this user, started by its first user and stopped after its last."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from tq_core.broker.binaries import HOW_TO_INSTALL
from tq_core.broker.deadline import Deadline
from tq_core.broker.folder import (
    DEFAULT_NAME,
    BrokerFolder,
    broker_folder,
    folder_problem,
    make_folder,
    size_bytes,
    state_root,
)
from tq_core.broker.launch import end_server, hold_start_lock, running_server, start_or_join, start_under_lock
from tq_core.broker.locks import holders
from tq_core.broker.probe import Answer, ask
from tq_core.broker.records import RunningServer, read_running, read_writer
from tq_core.broker.users import User, alone
from tq_core.errors import InvalidInputError

LINGER_S = 60.0
START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 20.0
LONGEST_S = 86_400.0


class EmbeddedLease:
    """The right to use the embedded broker: its server runs at least until this is closed or its process ends.

    Not inherited by programs that this process starts: each opens its own.
    """

    def __init__(self, user: User, running: RunningServer) -> None:
        self._user = user
        self._running = running

    @property
    def name(self) -> str:
        return self._user.folder.name

    @property
    def url(self) -> str:
        """Address of the server for redis-py."""
        return f"unix://{quote(str(self._running.socket))}"

    @property
    def kept(self) -> bool:
        """Whether what the server holds is still there after it was stopped."""
        return self._running.is_kept

    @property
    def server_version(self) -> str:
        """`7.0.15`, `valkey 8.0.1` or `fakeredis 6.2`."""
        return str(self._running.version)

    @property
    def binary(self) -> str:
        """Path of the server program, or `fakeredis`."""
        return self._running.binary

    @property
    def notice(self) -> str | None:
        """One line that people must see: tasks are NOT KEPT, and what to do about it; None where they are kept."""
        if self.kept:
            return None
        return (
            f"the embedded broker {self.name!r} runs on fakeredis: tasks are NOT KEPT once it stops; {HOW_TO_INSTALL}"
        )

    def revive(self) -> str:
        """Start the server again where it has gone, as after a kill of its keeper; returns its address.

        Cheap where it runs. For whoever lost the connection; blocks, so asyncio code calls it in a thread.

        Raises:
            BrokerError: As `open_embedded`.
        """
        user = self._user
        deadline = Deadline(user.start_timeout_s)
        user.join_again(deadline)
        self._running = running_server(user.folder, deadline) or start_or_join(user.folder, os.environ, deadline)
        return self.url

    def close(self) -> None:
        """Stop using the broker; may be called twice."""
        self._user.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<EmbeddedLease {self.name!r} {self.url} {self.server_version}>"


def open_embedded(
    name: str = DEFAULT_NAME,
    *,
    linger_s: float | None = None,
    start_timeout_s: float | None = None,
    is_fresh: bool = False,
) -> EmbeddedLease:
    """Use the embedded broker, started where it does not run; blocks until it answers.

    Args:
        name: 1 to 32 of a-z, 0-9, _ and -.
        linger_s: How long the server stays after its last user, 0 to 86,400; the last one who opens it decides. None
            reads TQ_EMBEDDED_LINGER_S, else one minute.
        start_timeout_s: How long to wait for it. None reads TQ_EMBEDDED_START_TIMEOUT_S, else ten seconds.
        is_fresh: Delete what it holds first.

    Raises:
        InvalidInputError: A name or a number is refused.
        BrokerConfigError: The folder, the disk or the server program cannot be used; BrokerTooOldError likewise.
        BrokerUnreachableError: No server answered in time.
        RefusedError: `is_fresh`, and another process uses the broker.
    """
    environ = os.environ
    folder = broker_folder(name, environ)
    linger_s = _seconds(environ, "TQ_EMBEDDED_LINGER_S", linger_s, default_s=LINGER_S)
    timeout_s = _seconds(environ, "TQ_EMBEDDED_START_TIMEOUT_S", start_timeout_s, default_s=START_TIMEOUT_S)
    deadline = Deadline(timeout_s)
    make_folder(folder)
    user = User(folder, linger_s=linger_s, start_timeout_s=timeout_s)
    if is_fresh:
        return _open_fresh(user, deadline)
    user.join(deadline)
    try:
        running = running_server(folder, deadline) or start_or_join(folder, environ, deadline)
    except BaseException:
        user.leave()
        raise
    return EmbeddedLease(user, running)


def _open_fresh(user: User, deadline: Deadline) -> EmbeddedLease:
    folder = user.folder
    start_lock = hold_start_lock(folder, deadline)
    try:
        with alone(folder, deadline, what="wiped"):
            end_server(folder, deadline)
            _delete_data(folder)
        user.join(deadline)
        try:
            running = start_under_lock(folder, os.environ, start_lock, deadline)
        except BaseException:
            user.leave()
            raise
    finally:
        start_lock.close()
    return EmbeddedLease(user, running)


@dataclass(frozen=True)
class EmbeddedStatus:
    """What is known about an embedded broker without starting or joining it."""

    name: str
    is_running: bool
    is_answering: bool
    """Not so while it reads its data, or hangs."""
    pid: int | None
    keeper_pid: int | None
    version: str | None
    """Of the server that runs, else of the one that wrote the data; None where there is neither."""
    binary: str | None
    data_dir: Path
    socket: Path | None
    size_bytes: int
    """Of the data on disk."""
    users: tuple[int, ...] | None
    """Process ids, this one's included; None where the system does not tell."""
    is_kept: bool | None
    """Whether tasks outlive the server that runs; None while none runs."""
    log: Path


class EmbeddedBroker:
    """An embedded broker from outside: looked at, stopped and wiped without being used."""

    def __init__(self, name: str = DEFAULT_NAME, *, environ: Mapping[str, str] | None = None) -> None:
        self._folder = broker_folder(name, os.environ if environ is None else environ)

    @property
    def name(self) -> str:
        return self._folder.name

    def status(self) -> EmbeddedStatus:
        """Look at it; changes nothing, also where it was never started.

        Raises:
            BrokerConfigError: Its folder cannot be read.
        """
        try:
            return self._status()
        except OSError as error:
            raise folder_problem(self._folder, error) from error

    def _status(self) -> EmbeddedStatus:
        folder = self._folder
        running = read_running(folder)
        if running is not None and not running.server.is_alive:
            running = None
        version = running.version if running is not None else read_writer(folder)
        return EmbeddedStatus(
            name=folder.name,
            is_running=running is not None,
            is_answering=running is not None and ask(running.socket) is Answer.READY,
            pid=running.server.pid if running is not None else None,
            keeper_pid=running.keeper.pid if running is not None and running.keeper.is_alive else None,
            version=None if version is None else str(version),
            binary=running.binary if running is not None else None,
            data_dir=folder.path,
            socket=running.socket if running is not None else None,
            size_bytes=size_bytes(folder.data),
            users=self._users(running),
            is_kept=running.is_kept if running is not None else None,
            log=folder.server_log,
        )

    def stop(self, *, force: bool = False, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """Stop the server, which writes out what it holds; True where one ran.

        Raises:
            RefusedError: Another process uses it, and `force` is not set.
            BrokerUnreachableError: It could not be ended in time.
        """
        return self._end(force=force, timeout_s=timeout_s, is_wiped=False)

    def wipe(self, *, force: bool = False, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """Stop the server and delete everything it holds; True where there was something.

        Raises:
            RefusedError: Another process uses it, and `force` is not set.
            BrokerUnreachableError: It could not be ended in time.
        """
        return self._end(force=force, timeout_s=timeout_s, is_wiped=True)

    def _end(self, *, force: bool, timeout_s: float, is_wiped: bool) -> bool:
        folder = self._folder
        if not folder.path.is_dir():
            return False
        deadline = Deadline(timeout_s)
        start_lock = hold_start_lock(folder, deadline)
        what = "wiped" if is_wiped else "stopped"
        gate: AbstractContextManager[None] = nullcontext() if force else alone(folder, deadline, what=what)
        try:
            with gate:
                was_there = read_running(folder) is not None or (is_wiped and size_bytes(folder.data) > 0)
                end_server(folder, deadline)
                if is_wiped:
                    _delete_data(folder)
        finally:
            start_lock.close()
        return was_there

    def _users(self, running: RunningServer | None) -> tuple[int, ...] | None:
        found = holders(self._folder.users_lock)
        if found is None or running is None:
            return found
        return tuple(pid for pid in found if pid != running.keeper.pid)


def embedded_names(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Names of the embedded brokers that this user has ever started."""
    root = state_root(os.environ if environ is None else environ)
    return tuple(sorted(lock.parent.name for lock in root.glob("*/users.lock")))


def _delete_data(folder: BrokerFolder) -> None:
    # The lock files stay: others may hold them or wait for them.
    try:
        if folder.data.exists():
            shutil.rmtree(folder.data)
        for path in (folder.written_by, folder.server_log, folder.keeper_log):
            path.unlink(missing_ok=True)
            path.with_suffix(".log.1").unlink(missing_ok=True)
    except OSError as error:
        raise folder_problem(folder, error) from error


def _seconds(environ: Mapping[str, str], variable: str, given_s: float | None, *, default_s: float) -> float:
    text = environ.get(variable, "")
    try:
        seconds = given_s if given_s is not None else float(text or default_s)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= LONGEST_S:
        name, value = (variable, text) if given_s is None else (variable.removeprefix("TQ_EMBEDDED_").lower(), given_s)
        raise InvalidInputError(f"{name}={value}: must be seconds from 0 to {LONGEST_S:g}")
    return seconds
