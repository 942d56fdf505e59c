"""Where the processes of isolated tasks come from: one with the users' code loaded, which forks one for each task.

It is a fork of the node's zygote where there is one, else a new interpreter. Where it cannot be forked itself, because
the users' code has started a thread, it runs one task itself and the next is made.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from tq_core.errors import TqError
from tq_worker import frames
from tq_worker.exits import describe_exit
from tq_worker.isolated import messages
from tq_worker.worker.run import Outcome

if TYPE_CHECKING:
    from tq_worker.forks import Forks
    from tq_worker.worker.isolation import IsolatedExecution

DEATH_KNOWN_WITHIN_S = 5.0
"""How long after the end of its line the death of a task's process may take to be reported."""
MAX_PACKET_BYTES = 65536
AGAIN_AFTER_S = 0.01
_LATER = (errno.EAGAIN, errno.ENOBUFS, errno.ETOOMANYREFS)
"""More at once than the line holds."""
BEGIN_WITHIN_S = 10.0
"""How long the fork that is ready may let tasks wait: it could be stopped, and then all isolated tasks would be."""
FORKED_WITHIN_S = 5.0
"""How long the node's zygote may take; a new interpreter takes less than that, if nothing is wrong."""


class IsolationError(TqError):
    """No process could be made for a task."""

    code = "isolation"


class Process(Protocol):
    """One that was made."""

    @property
    def pid(self) -> int: ...

    async def wait(self) -> int:
        """The exit code, once it is dead; negative for a signal."""


class Making:
    """Makes processes that run `tq_worker.isolated`."""

    def __init__(self, forker: socket.socket | None) -> None:
        self._forker = forker
        self._forks: Forks | None = None
        self._names = itertools.count(1)

    @property
    def is_lost(self) -> bool:
        """Whether there is no zygote of the node, or none any more."""
        return self._forker is None

    async def make(self) -> tuple[socket.socket, Process]:
        """A process, and the line to it.

        Raises:
            OSError: the system has none to give.
        """
        from tq_worker.forks import Forks, ZygoteLostError

        if self._forker is not None:
            if self._forks is None:
                self._forks = Forks(self._forker, self._lost, within_s=FORKED_WITHIN_S)
            ours, theirs = _line()
            try:
                with theirs:
                    return ours, await self._forks.make(str(next(self._names)), [theirs.fileno()])
            except ZygoteLostError:
                ours.close()
            except BaseException:
                ours.close()
                raise
        ours, theirs = _line()
        try:
            with theirs:
                return ours, await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-u",  # what a task printed before it died is not lost in a buffer
                    "-m",
                    "tq_worker.isolated",
                    str(theirs.fileno()),
                    str(os.getpid()),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            raise

    def _lost(self, _how: str) -> None:
        # The supervisor tells people.
        self._forker = self._forks = None


def _line() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs


class Zygote:
    """A process that forks one for each task, or that runs one task itself."""

    def __init__(
        self,
        setup: frames.Setup,
        *,
        url: str | None,
        making: Making,
        give_to_next: Callable[[IsolatedExecution], None],
        prepare_next: Callable[[], object],
    ) -> None:
        self._setup, self._url, self._making = setup, url, making
        self._give_to_next, self._prepare_next = give_to_next, prepare_next
        self.is_used_up = False
        self._loaded: messages.Loaded | None = None
        self._waiting: deque[IsolatedExecution] = deque()
        self._channel: socket.socket | None = None
        self._deaths: dict[int, asyncio.Future[int]] = {}
        self._ready = (0, 0.0)
        """The fork that takes the next task, and since when it is there."""
        self._life = asyncio.get_running_loop().create_task(self._live())

    def give(self, execution: IsolatedExecution) -> None:
        """Has it run a task, as soon as it can."""
        self._waiting.append(execution)
        self._serve()

    def replace_ready(self) -> None:
        """Ends the fork that should have taken a task long ago; the next one takes it."""
        pid, since = self._ready
        if pid and time.monotonic() - since >= BEGIN_WITHIN_S:
            self._ready = (0, 0.0)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def death_of(self, pid: int) -> asyncio.Future[int]:
        """The exit code of a task's process, when it is dead."""
        if pid not in self._deaths:
            self._deaths[pid] = asyncio.get_running_loop().create_future()
        return self._deaths[pid]

    async def _live(self) -> None:
        depended = not self._making.is_lost
        try:
            ours, process = await self._making.make()
        except OSError as error:
            self.is_used_up = True
            self._hand_on(
                f"{error.strerror}; `ulimit -n` and `ulimit -u` say how many files and processes there may be"
            )
            return
        with ours:
            await self._converse(ours)
        self.is_used_up = True
        self._channel = None
        code = await process.wait()
        if self._loaded is not None and not self._loaded.problem and not self._loaded.can_fork:
            self._died(process.pid, code)
        for death in self._deaths.values():
            if not death.done():
                death.set_result(-signal.SIGKILL)  # its forks do not outlive it
        if self._loaded is not None:
            problem = self._loaded.problem
        elif depended and self._making.is_lost:
            problem = ""  # it ended with the node's zygote, and the next one does not depend on that
        else:
            problem = f"it {describe_exit(code)} while it loaded your code"
        self._hand_on(problem)

    async def _converse(self, ours: socket.socket) -> None:
        loop, setup = asyncio.get_running_loop(), self._setup
        load = messages.Load(
            apps=setup.apps, app_dir=setup.app_dir, url=self._url, tracing=setup.tracing, cpu=setup.cpu
        )
        with contextlib.suppress(OSError):
            await loop.sock_sendall(ours, messages.encoder.encode(load))
            self._channel = ours
            while raw := await loop.sock_recv(ours, MAX_PACKET_BYTES):
                self._hear(messages.from_zygote.decode(raw))

    def _hear(self, message: messages.FromZygote) -> None:
        match message:
            case messages.Loaded():
                self._loaded = message
                self._serve()
            case messages.Ready():
                self._ready = message.pid, time.monotonic()
            case messages.Died():
                self._died(message.pid, message.exit_code)

    def _died(self, pid: int, code: int) -> None:
        death = self.death_of(pid)
        if not death.done():
            death.set_result(code)
        # Who has not asked by then has lost interest; the number may be given to another process.
        asyncio.get_running_loop().call_later(DEATH_KNOWN_WITHIN_S, self._deaths.pop, pid, None)

    def _serve(self) -> None:
        if self._loaded is None or self._loaded.problem:
            return
        while self._waiting and self._channel is not None and not self.is_used_up:
            execution = self._waiting.popleft()
            if not execution.is_ended:
                try:
                    ends = [execution.theirs.fileno(), execution.output.theirs]
                    socket.send_fds(self._channel, [b"task"], ends)
                    execution.zygote = self
                    self.is_used_up = not self._loaded.can_fork
                except OSError as error:
                    self._waiting.appendleft(execution)
                    if error.errno in _LATER:
                        asyncio.get_running_loop().call_later(AGAIN_AFTER_S, self._serve)
                    return  # else it is dead, and the next one gets what waits
            execution.theirs.close()
            execution.output.close_theirs()
        if self.is_used_up:
            self._hand_on("")
            self._prepare_next()

    def _hand_on(self, problem: str) -> None:
        while self._waiting:
            execution = self._waiting.popleft()
            if problem:
                execution.theirs.close()
                execution.end(Outcome(error=IsolationError(f"no process could be made for the task: {problem}")))
            else:
                self._give_to_next(execution)
