"""Who uses an embedded broker: shared locks, those of this process known by name."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

from tq_core.broker.deadline import Deadline
from tq_core.broker.folder import BrokerFolder, folder_problem, make_folder
from tq_core.broker.locks import FileLock, holders
from tq_core.errors import BrokerUnreachableError, RefusedError

_BLIP_S = 0.3
"""A keeper that looks for users holds the lock alone for a moment."""

_own_guard = threading.Lock()
_own: dict[str, set[FileLock]] = {}


class User:
    """One user of an embedded broker: from `join` to `leave` nobody stops the server for want of users."""

    def __init__(self, folder: BrokerFolder, *, linger_s: float, start_timeout_s: float) -> None:
        self.folder = folder
        self.start_timeout_s = start_timeout_s
        self._linger_s = linger_s
        self._lock: FileLock | None = None

    def join(self, deadline: Deadline) -> None:
        """Become a user.

        Raises:
            BrokerConfigError: The folder cannot be used.
            BrokerUnreachableError: The server was being stopped until the deadline.
        """
        folder = self.folder
        try:
            make_folder(folder)
            lock = FileLock(folder.users_lock)
        except OSError as error:
            raise folder_problem(folder, error) from error
        if not lock.shared_by(deadline):
            lock.close()
            raise BrokerUnreachableError(
                f"the embedded broker {folder.name!r} was being stopped for {deadline.timeout_s:g} s; "
                f"try again, or see {folder.keeper_log}"
            )
        try:
            lock.write_note(f"{self._linger_s:.3f}")
        except OSError as error:
            lock.close()
            raise folder_problem(folder, error) from error
        self._lock = lock
        with _own_guard:
            _own.setdefault(str(folder.path), set()).add(lock)

    def join_again(self, deadline: Deadline) -> None:
        """Become a user of the broker that is there now, where somebody deleted the folder of the one that was.

        Raises:
            BrokerError: As `join`; RefusedError where it was left for good.
        """
        if self._lock is None:
            raise RefusedError(f"the lease of the embedded broker {self.folder.name!r} is closed; open another")
        if not self._lock.is_in_place():
            self.leave()
            self.join(deadline)

    def leave(self) -> None:
        """Stop being a user; does nothing the second time."""
        if self._lock is not None:
            lock, self._lock = self._lock, None
            with _own_guard:
                _own.get(str(self.folder.path), set()).discard(lock)
            lock.close()


@contextlib.contextmanager
def alone(folder: BrokerFolder, deadline: Deadline, *, what: str) -> Iterator[None]:
    """Keep every other process from using the broker meanwhile; to be called with the start lock held.

    Args:
        folder: The broker's.
        deadline: For getting this process' own locks back afterwards.
        what: Completes "it cannot be ...", for the message.

    Raises:
        RefusedError: Another process uses it.
    """
    with _own_guard:
        own = tuple(_own.get(str(folder.path), ()))
        for lock in own:
            lock.unlock()
        gate = FileLock(folder.users_lock)
        try:
            if not gate.exclusive_by(Deadline(_BLIP_S)):
                raise RefusedError(_in_use(folder, what))
            yield
        finally:
            gate.close()
            for lock in own:
                lock.shared_by(deadline)


def other_users(folder: BrokerFolder) -> tuple[int, ...] | None:
    """Process ids of the other users; None where the system does not tell."""
    found = holders(folder.users_lock)
    return None if found is None else tuple(pid for pid in found if pid != os.getpid())


def _in_use(folder: BrokerFolder, what: str) -> str:
    pids = other_users(folder)
    if pids and len(pids) > 1:
        who = f"the processes {', '.join(map(str, pids))} use it; end those first, or force it, which cuts them off"
    else:
        name = f"process {pids[0]}" if pids else "another process"
        who = f"{name} uses it; end that first, or force it, which cuts it off"
    return f"the embedded broker {folder.name!r} cannot be {what}: {who}"
