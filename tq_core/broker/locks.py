"""File locks that the kernel gives back however their holder ends.

Three of them lie in the folder of an embedded broker: `users` (shared by everyone who uses it), `start` (exclusive,
while it is started or stopped) and `server` (exclusive, held by the keeper and, inherited, by the server: while it is
held, one of the two lives).
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from tq_core.broker.deadline import Deadline


class FileLock:
    """One open lock file; not inherited by programs that this process starts, unless it is passed on purpose."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = _open(path)

    @classmethod
    def from_inherited(cls, path: Path, fd: int) -> FileLock:
        """Take over a lock that the parent process passed on; it stays locked until both have closed it."""
        os.set_inheritable(fd, False)
        lock = cls.__new__(cls)
        lock.path, lock.fd = path, fd
        return lock

    def try_shared(self) -> bool:
        """Take the lock together with other sharers; False where someone holds it alone."""
        return self._try(fcntl.LOCK_SH)

    def try_exclusive(self) -> bool:
        """Take the lock alone; False where anyone else holds it."""
        return self._try(fcntl.LOCK_EX)

    def shared_by(self, deadline: Deadline) -> bool:
        """Take the lock together with other sharers, as soon as it is free; False when the deadline has passed."""
        return self._wait(fcntl.LOCK_SH, deadline)

    def exclusive_by(self, deadline: Deadline) -> bool:
        """Take the lock alone, as soon as it is free; False when the deadline has passed."""
        return self._wait(fcntl.LOCK_EX, deadline)

    def unlock(self) -> None:
        """Give the lock back, also for every process that inherited it."""
        fcntl.flock(self.fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the lock; a process that inherited it keeps it. May be called twice."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)

    def write_note(self, note: str) -> None:
        """Replace the short text in the file, which also changes its time."""
        os.pwrite(self.fd, f"{note[: _NOTE_BYTES - 1]:<{_NOTE_BYTES - 1}}\n".encode("ascii"), 0)

    def read_note(self) -> str:
        """Return the short text in the file, empty where there is none."""
        return os.pread(self.fd, _NOTE_BYTES, 0).decode("ascii", errors="replace").strip()

    def changed_at_ns(self) -> int:
        """When the note was last written, to be compared with an earlier answer only."""
        return os.fstat(self.fd).st_mtime_ns

    def is_in_place(self) -> bool:
        """Whether the file under the path still is the one that is open here: nobody deleted the folder."""
        return _is_same_file(self.path, self.fd)

    def _wait(self, kind: int, deadline: Deadline) -> bool:
        while not self._try(kind):
            if deadline.is_over:
                return False
            deadline.pause()
        return True

    def _try(self, kind: int) -> bool:
        while True:
            try:
                fcntl.flock(self.fd, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if self.is_in_place():
                return True
            # The folder was deleted and made anew between opening and locking: the lock that counts is another file.
            os.close(self.fd)
            self.fd = _open(self.path)


_NOTE_BYTES = 16


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _is_same_file(path: Path, fd: int) -> bool:
    try:
        named = path.lstat()
    except OSError:
        return False
    opened = os.fstat(fd)
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)


def holders(path: Path) -> tuple[int, ...] | None:
    """Process ids that hold a lock on this file; None where the kernel does not tell."""
    try:
        inode = path.stat().st_ino
    except OSError:
        return ()
    try:
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    # `1: FLOCK  ADVISORY  READ 5372 fe:00:2148199 0 EOF`; those that wait have `->` after the number. Only the inode
    # is compared: the device is another one than stat's on overlay file systems.
    fields = (line.split() for line in lines)
    return tuple(
        sorted({int(f[4]) for f in fields if len(f) >= 6 and f[1] == "FLOCK" and f[5].endswith(f":{inode}")} - {0, -1})
    )
