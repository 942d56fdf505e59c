"""Where a node's worker processes come from: forks of the zygote while there is one, else new interpreters."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from typing import Protocol

from tq_worker.exits import UNKNOWN_EXIT, describe_exit
from tq_worker.forks import Forks
from tq_worker.lifecycle_log import LifecycleLog
from tq_worker.zygote import Zygote


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
        self._forks = Forks(made.line, self._lost) if made is not None else None

    async def start(self, worker_id: str, *, line: socket.socket, board_fd: int, dump_fd: int) -> Process:
        """Makes a process that runs `tq_worker.worker` with these descriptors.

        Raises:
            OSError: the system has none to give.
            ZygoteLostError: try again with another line, since there may be a process with this one.
        """
        if self._forks is not None and not self._forks.is_lost:
            return await self._forks.make(worker_id, [line.fileno(), board_fd, dump_fd])
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
        if self._forks is not None and not self._forks.is_lost:
            self._forks.close()
            self._end_zygote()

    def _lost(self, how: str) -> None:
        code = self._end_zygote()
        text = f"the process that forks workers {how or describe_exit(code)}: new workers are new interpreters"
        self._log.write("warning", "zygote", text=text)

    def _end_zygote(self) -> int:
        """Its exit code; it holds nothing that its death could harm."""
        assert self._zygote is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._zygote.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            return os.waitstatus_to_exitcode(os.waitpid(self._zygote.pid, 0)[1])
        return UNKNOWN_EXIT


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
