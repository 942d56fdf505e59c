"""Forks workers: a process with tq loaded, but without users' code, and without a thread, event loop or connection.

It is forked from the supervisor before that has any of these, and ends with it. Each worker has a line to it as well,
for what runs its isolated tasks (`tq_worker.isolated.zygote`).

    supervisor -> zygote    the id of a worker, with its line, board and dump        one packet
    worker -> zygote        a name, with the line to what runs its isolated tasks    one packet
    zygote -> who asked     Forked, with a descriptor of the process | NotForked | Died
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import io
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Never, TypeAlias

import msgspec

MAX_PACKET_BYTES = 4096
STDERR = 2
_OF_TERMINAL = (signal.SIGHUP, signal.SIGQUIT)
_RESET = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD)


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="is"):
    """One packet."""


class Forked(_Message, frozen=True, tag="forked"):
    """The process is there."""

    name: str
    pid: int


class NotForked(_Message, frozen=True, tag="not_forked"):
    """The system had no process to give."""

    name: str
    errno: int
    why: str


class Died(_Message, frozen=True, tag="died"):
    """A process that was asked for has ended."""

    pid: int
    exit_code: int
    """Negative for a signal."""


Answer: TypeAlias = Forked | NotForked | Died

_encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Answer).decode


class _Child(NamedTuple):
    """A process that was forked here."""

    asker: socket.socket
    """Who is told of its death."""
    line: socket.socket | None
    """Where it asks for processes itself; None = it does not."""


class Zygote(NamedTuple):
    """The supervisor's end."""

    line: socket.socket
    pid: int


def start() -> Zygote | None:
    """Makes the zygote out of this process; None where that is not safe or not possible.

    To be called before this process has a thread or an event loop, with all loaded that workers are to share.
    """
    if not _can_fork():
        return None
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()  # else both processes would write what is buffered
    # What arrives while a process has not yet its own handlers must neither be lost nor obeyed in another's way.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
    except OSError:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        ours.close()
        theirs.close()
        return None
    if pid == 0:
        ours.close()
        _be_zygote(theirs, mask)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    theirs.close()
    ours.setblocking(False)
    return Zygote(ours, pid)


def _can_fork() -> bool:
    if not sys.platform.startswith("linux") or not hasattr(os, "pidfd_open"):
        return False  # the system libraries of macOS do not bear it
    try:
        os.close(os.pidfd_open(os.getpid()))
        for stream in range(STDERR + 1):
            os.fstat(stream)  # where one is closed, its number will be that of something else
        return len(list(Path("/proc/self/task").iterdir())) == 1 == threading.active_count()
    except OSError:
        return False


def _be_zygote(line: socket.socket, mask: set[int | signal.Signals]) -> Never:
    code = 1
    try:
        _ZygoteProcess(line, mask).serve()
        code = 0
    except BaseException as error:  # noqa: BLE001 - what called us is the supervisor's code, which must not go on here
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        os._exit(code)


class _ZygoteProcess:
    """The far side."""

    def __init__(self, line: socket.socket, mask: set[int | signal.Signals]) -> None:
        self._line, self._mask = line, mask
        self._children: dict[int, _Child] = {}
        self._dispositions = {number: signal.getsignal(number) for number in _RESET}
        # A terminal's or a service manager's signal to the whole group is for the supervisor; this one ends by EOF.
        for number in (*_RESET, signal.SIGINT):
            signal.signal(number, _ignore)
        self._deaths, self._note_death = os.pipe()
        os.set_blocking(self._note_death, False)
        signal.set_wakeup_fd(self._note_death, warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _close_inherited()
        rename_process("tq_worker.zygote")

    def serve(self) -> None:
        """Forks until the supervisor is gone."""
        import tq_worker.worker.entry  # noqa: F401 - loaded here, once, for all workers

        # What is loaded stays: no worker's collector looks at it again, so its memory stays shared.
        gc.collect()
        gc.freeze()
        gc.enable()
        while True:
            lines = [line for line in self._lines() if line.fileno() >= 0]
            ready = _readable([self._deaths, *(line.fileno() for line in lines)])
            if self._deaths in ready:
                os.read(self._deaths, 4096)
                self._report_deaths()
            for line in lines:
                # One that a dead worker had is closed by now.
                if line.fileno() in ready and not self._obey(line) and line is self._line:
                    return

    def _obey(self, line: socket.socket) -> bool:
        """Does what is asked on a line; returns whether somebody is at its other end."""
        try:
            said, fds, _, _ = socket.recv_fds(line, MAX_PACKET_BYTES, 3)
        except ConnectionError:
            said, fds = b"", []
        if said:
            self._fork(line, said.decode(), fds)
        else:
            line.close()
        return bool(said)

    def _lines(self) -> list[socket.socket]:
        return [self._line, *(child.line for child in self._children.values() if child.line is not None)]

    def _fork(self, asker: socket.socket, name: str, fds: list[int]) -> None:
        is_worker = asker is self._line
        for fd in fds:
            os.set_inheritable(fd, False)
        ours: socket.socket | None = None
        theirs: socket.socket | None = None
        zygote_pid, pid = os.getpid(), -1
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            if is_worker:
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            pid = os.fork()
            if pid == 0:
                if ours is None or theirs is None:
                    self._become("tq_worker.isolated", functools.partial(_be_isolated, fds, zygote_pid))
                ours.close()
                self._become(f"tq_worker.worker {name}", functools.partial(_be_worker, fds, theirs))
            process = os.pidfd_open(pid)
        except OSError as error:
            if pid > 0:
                os.kill(pid, signal.SIGKILL)
            if ours is not None:
                ours.close()
            self._say(asker, NotForked(name=name, errno=error.errno or 0, why=error.strerror or str(error)))
        else:
            self._children[pid] = _Child(asker, ours)
            self._say(asker, Forked(name=name, pid=pid), process)
            os.close(process)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        if theirs is not None:
            theirs.close()
        for fd in fds:
            os.close(fd)

    def _become(self, title: str, run: Callable[[], object]) -> Never:
        """Makes this fork what it is to be: nothing of the zygote is left in it when that begins."""
        try:
            signal.set_wakeup_fd(-1)
            for number, disposition in self._dispositions.items():
                # What a terminal sends at its end is for the supervisor, unless nobody is to hear it.
                if number not in _OF_TERMINAL or disposition is signal.SIG_IGN:
                    signal.signal(number, disposition)
            for line in self._lines():
                line.close()
            os.close(self._deaths)
            os.close(self._note_death)
            rename_process(title)
            sys.argv[1:] = []
            if not sys.flags.safe_path:
                with contextlib.suppress(OSError):
                    sys.path[0] = str(Path.cwd())  # as for `python -m`, whatever program the supervisor is
            importlib.invalidate_caches()  # there may be new files since the zygote looked
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            run()
        except BaseException as error:  # noqa: BLE001 - the loop that forked must not go on here
            sys.excepthook(type(error), error, error.__traceback__)
        finally:
            os._exit(1)

    def _report_deaths(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                dead = self._children.pop(pid, None)
                if dead is None:
                    continue
                if dead.line is not None:
                    # What runs its isolated tasks does not outlive it, whatever it is doing.
                    for other, child in self._children.items():
                        if child.asker is dead.line:
                            os.kill(other, signal.SIGKILL)
                    dead.line.close()
                self._say(dead.asker, Died(pid=pid, exit_code=os.waitstatus_to_exitcode(status)))

    def _say(self, asker: socket.socket, message: Answer, *fds: int) -> None:
        # Who is gone is noticed by reading. A worker that holds still must not hold up the others.
        with contextlib.suppress(OSError):
            socket.send_fds(asker, [_encode(message)], fds, 0 if asker is self._line else socket.MSG_DONTWAIT)


def _readable(fds: list[int]) -> set[int]:
    """Waits for one of them at least. Not select(), which knows no number above 1023."""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return {fd for fd, _ in poll.poll()}


def _be_worker(fds: list[int], forker: socket.socket) -> Never:
    from tq_worker.worker.entry import run_worker

    channel, board, dump = fds
    run_worker(channel=channel, board=board, dump=dump, forker=forker)


def _be_isolated(fds: list[int], parent_pid: int) -> None:
    from tq_worker.isolated.entry import run_isolated

    os.setsid()  # its worker ends it, with all that it started; what is sent to the node's group does not
    _unbuffer()
    (channel,) = fds
    run_isolated(channel, parent_pid, is_fork=True)
    os._exit(0)


def _unbuffer() -> None:
    """Has standard output and error written at once, as `python -u` does."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        old = getattr(sys, name)
        raw = io.FileIO(number, "w", closefd=False)
        new = io.TextIOWrapper(raw, encoding=old.encoding, errors=old.errors, write_through=True)
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


def _ignore(*_: object) -> None:
    """Not SIG_IGN, which programs that a handler starts would inherit."""


def _close_inherited() -> None:
    """Closes what the supervisor was given at its start, as a new interpreter would not have it; not what it opened."""
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    for fd in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        with contextlib.suppress(OSError):
            if fd > STDERR and os.get_inheritable(fd):
                os.close(fd)


def rename_process(title: str) -> None:
    """What `ps` shows for this process, as far as its first command line left room."""
    import ctypes

    with contextlib.suppress(OSError, ValueError, IndexError):
        Path("/proc/self/comm").write_text(f"tq-{title.partition(' ')[0].rpartition('.')[2]}")
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[45]), int(fields[46])  # arg_start, arg_end of proc(5)
        if 0 < start < end:
            ctypes.memmove(start, title.encode()[: end - start - 1].ljust(end - start, b"\0"), end - start)
