"""Where a node's worker processes come from: forks of the zygote while there is one, else new interpreters."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from typing import Protocol

from tq_worker import zygote
from tq_worker.exits import UNKNOWN_EXIT, describe_exit
from tq_worker.lifecycle_log import LifecycleLog
from tq_worker.zygote import Zygote

FORKED_WITHIN_S = 10.0
CODE_KNOWN_WITHIN_S = 1.0
"""How long after a worker's death its exit code may take to be told."""


class ZygoteLostError(Exception):
    """It is gone before it answered."""


class Process(Protocol):
    """A worker process, from its start."""

    @property
    def pid(self) -> int: ...

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal; does nothing when the process is dead."""

    async def wait(self) -> int:
        """The exit code, once it is dead; negative for a signal."""


class WorkerProcesses:
    """Starts them."""

    def __init__(self, log: LifecycleLog, made: Zygote | None) -> None:
        self._log, self._zygote = log, made
        self._asked: dict[str, asyncio.Future[_Fork]] = {}
        self._forks: dict[int, _Fork] = {}
        if made is not None:
            asyncio.get_running_loop().add_reader(made.line.fileno(), self._hear, made)

    async def start(self, worker_id: str, *, line: socket.socket, board_fd: int, dump_fd: int) -> Process:
        """Makes a process that runs `tq_worker.worker` with these descriptors.

        Raises:
            OSError: the system has none to give.
            ZygoteLostError: try again with another line, since there may be a process with this one.
        """
        if self._zygote is not None:
            return await self._fork(self._zygote, worker_id, [line.fileno(), board_fd, dump_fd])
        return _Interpreter(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tq_worker.worker",
                "--channel",
                str(line.fileno()),
                "--board",
                str(board_fd),
                "--dump",
                str(dump_fd),
                worker_id,
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(line.fileno(), board_fd, dump_fd),
            )
        )

    def close(self) -> None:
        """Ends the zygote."""
        if self._zygote is not None:
            self._part_with(self._zygote)

    async def _fork(self, made: Zygote, worker_id: str, fds: list[int]) -> _Fork:
        answer: asyncio.Future[_Fork] = asyncio.get_running_loop().create_future()
        self._asked[worker_id] = answer
        try:
            socket.send_fds(made.line, [worker_id.encode()], fds)
        except OSError as error:
            self._lose(made, f"cannot be reached ({error})")
        try:
            async with asyncio.timeout(FORKED_WITHIN_S):
                return await answer
        except TimeoutError:
            self._lose(made, f"has not answered for {FORKED_WITHIN_S:g} s")
            raise ZygoteLostError from None
        finally:
            self._asked.pop(worker_id, None)

    def _hear(self, made: Zygote) -> None:
        while self._zygote is not None:
            try:
                said, fds, _, _ = socket.recv_fds(made.line, zygote.MAX_PACKET_BYTES, 1)
            except BlockingIOError:
                return
            except OSError:
                said, fds = b"", []
            if not said:
                self._lose(made, "")
                return
            self._heard(zygote.decode(said), fds)

    def _heard(self, answer: zygote.Answer, fds: list[int]) -> None:
        if isinstance(answer, zygote.Died):
            fork = self._forks.pop(answer.pid, None)
            if fork is not None:
                fork.ended(answer.exit_code)
            return
        asked = self._asked.get(answer.worker_id)
        if isinstance(answer, zygote.NotForked):
            if asked is not None and not asked.done():
                asked.set_exception(OSError(answer.errno, answer.why))
            return
        for fd in fds:
            os.set_inheritable(fd, False)
        fork = self._forks[answer.pid] = _Fork(answer.pid, fds[0])
        if asked is not None and not asked.done():
            asked.set_result(fork)

    def _lose(self, made: Zygote, how: str) -> None:
        if self._zygote is None:
            return
        code = self._part_with(made)
        text = f"the process that forks workers {how or describe_exit(code)}: new workers are new interpreters"
        self._log.write("warning", "zygote", text=text)
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(ZygoteLostError())

    def _part_with(self, made: Zygote) -> int:
        """Its exit code; it holds nothing that its death could harm."""
        self._zygote = None
        asyncio.get_running_loop().remove_reader(made.line.fileno())
        made.line.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(made.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            return os.waitstatus_to_exitcode(os.waitpid(made.pid, 0)[1])
        return UNKNOWN_EXIT


class _Fork:
    """A worker that the zygote forked. It is not our child, so its exit code is what the zygote says."""

    def __init__(self, pid: int, process_fd: int) -> None:
        self._pid, self._fd = pid, process_fd
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(process_fd, self._is_dead)

    @property
    def pid(self) -> int:
        return self._pid

    def signal(self, number: signal.Signals) -> None:
        if not self._code.done():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._fd, number)

    async def wait(self) -> int:
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


class _Interpreter:
    """A worker that is a new interpreter, and our child."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        # Not asyncio's send_signal: it may collect a dead child behind its own watcher's back and lose the exit code.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    async def wait(self) -> int:
        return await self._process.wait()
