"""Forks of the zygote, seen by who asks for them: the supervisor for workers, a worker for what runs isolated tasks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable

from tq_worker import zygote
from tq_worker.exits import UNKNOWN_EXIT

FORKED_WITHIN_S = 10.0
CODE_KNOWN_WITHIN_S = 1.0
"""How long after the death of a fork its exit code may take to be told."""


class ZygoteLostError(Exception):
    """It is gone before it answered."""


class Forks:
    """One line to the zygote, on the event loop."""

    def __init__(self, line: socket.socket, lost: Callable[[str], None], *, within_s: float = FORKED_WITHIN_S) -> None:
        """Listens from now on.

        Args:
            line: This side's end; it is closed here.
            lost: Is told, once, when the zygote is gone: with an empty text, or with what is wrong with it.
            within_s: When one that has not answered is given up.
        """
        line.setblocking(False)
        self._line, self._lost, self._within_s = line, lost, within_s
        self._asked: dict[str, asyncio.Future[Fork]] = {}
        self._forks: dict[int, Fork] = {}
        self.is_lost = False
        asyncio.get_running_loop().add_reader(line.fileno(), self._hear)

    async def make(self, name: str, fds: list[int]) -> Fork:
        """Has a process forked that gets these descriptors.

        Args:
            name: Never used before on this line.

        Raises:
            OSError: the system has none to give.
            ZygoteLostError: try again with other descriptors, since there may be a process with these.
        """
        if self.is_lost:
            raise ZygoteLostError
        answer: asyncio.Future[Fork] = asyncio.get_running_loop().create_future()
        self._asked[name] = answer
        try:
            socket.send_fds(self._line, [name.encode()], fds)
        except OSError as error:
            self._lose(f"cannot be reached ({error})")
        try:
            async with asyncio.timeout(self._within_s):
                return await answer
        except TimeoutError:
            self._lose(f"has not answered for {self._within_s:g} s")
            raise ZygoteLostError from None
        finally:
            self._asked.pop(name, None)

    def close(self) -> None:
        """Asks for nothing any more; how the forks end is not told from now on."""
        if not self.is_lost:
            self.is_lost = True
            asyncio.get_running_loop().remove_reader(self._line.fileno())
            self._line.close()

    def _hear(self) -> None:
        while not self.is_lost:
            try:
                said, fds, _, _ = socket.recv_fds(self._line, zygote.MAX_PACKET_BYTES, 1)
            except BlockingIOError:
                return
            except OSError:
                said, fds = b"", []
            if not said:
                self._lose("")
                return
            self._heard(zygote.decode(said), fds)

    def _heard(self, answer: zygote.Answer, fds: list[int]) -> None:
        if isinstance(answer, zygote.Died):
            dead = self._forks.pop(answer.pid, None)
            if dead is not None:
                dead.ended(answer.exit_code)
            return
        asked = self._asked.get(answer.name)
        if isinstance(answer, zygote.NotForked):
            if asked is not None and not asked.done():
                asked.set_exception(OSError(answer.errno, answer.why))
            return
        for fd in fds:
            os.set_inheritable(fd, False)
        fork = self._forks[answer.pid] = Fork(answer.pid, fds[0])
        if asked is not None and not asked.done():
            asked.set_result(fork)

    def _lose(self, how: str) -> None:
        if self.is_lost:
            return
        self.close()
        self._lost(how)
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(ZygoteLostError())


class Fork:
    """A process that the zygote forked. It is not our child, so its exit code is what the zygote says."""

    def __init__(self, pid: int, process_fd: int) -> None:
        self._pid, self._fd = pid, process_fd
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(process_fd, self._is_dead)

    @property
    def pid(self) -> int:
        return self._pid

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal; does nothing when it is dead."""
        if not self._code.done():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._fd, number)

    async def wait(self) -> int:
        """The exit code, once it is dead; negative for a signal."""
        return await asyncio.shield(self._code)

    def ended(self, code: int) -> None:
        """Notes how."""
        if not self._code.done():
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._code.set_result(code)

    def _is_dead(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._fd)
        loop.call_later(CODE_KNOWN_WITHIN_S, self.ended, UNKNOWN_EXIT)
