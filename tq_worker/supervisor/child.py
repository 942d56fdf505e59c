"""One worker process, seen from its supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from typing import Any

import msgspec

from tq_worker import board, frames
from tq_worker.exits import DUMP_SIGNAL
from tq_worker.forks import ZygoteLostError
from tq_worker.supervisor.processes import Process, WorkerProcesses

LAST_WORDS_S = 1.0
DUMPED_WITHIN_S = 0.5
GONE = frames.Answer(number=0, ok=False, text="the worker is gone")


class WorkerChild:
    """Starts a worker, speaks with it and learns of its death."""

    def __init__(
        self,
        setup: frames.Setup,
        *,
        processes: WorkerProcesses,
        said: Callable[[WorkerChild, frames.FromWorker], None],
    ) -> None:
        self.setup = setup
        self._processes, self._said = processes, said
        self._process: Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[frames.Answer]] = {}
        self.board_fd = -1
        self.ready: frames.Ready | None = None
        self.refused: frames.Refused | None = None
        self.decided = asyncio.Event()
        """Set when it is known whether the worker can run."""
        self.retiring = ""
        """Why the worker ends itself, where it said so."""
        self.dead = asyncio.Event()
        """Set when it is dead and its tasks are being given back."""
        self.exit_code = 0
        """Once it is dead."""
        self._is_doomed = False
        """Whether it is to be killed as soon as it is there."""
        self.is_working = False
        self.is_draining = False
        self.is_trial = False
        """Whether it is not known yet that it can take another's place."""
        self.running = 0
        self.loop_lag_s = 0.0
        self.taken = 0
        self.started_at = time.monotonic()
        self.alive_at = time.monotonic()

    @property
    def worker_id(self) -> str:
        return self.setup.worker_id

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def live(self) -> int:
        """Runs the worker from its start to its death; returns the exit code, negative for a signal."""
        ours, theirs = socket.socketpair()
        self.board_fd = board.new_file()
        self._dump = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as the worker
        try:
            try:
                self._process = await self._start(theirs)
            except ZygoteLostError:
                # Should there be a worker after all, it finds its line closed and ends.
                ours.close()
                ours, theirs = socket.socketpair()
                self._process = await self._start(theirs)
            reader, self._writer = await asyncio.open_connection(sock=ours, limit=frames.MAX_FRAME_BYTES)
            self._send(self.setup)
            if self._is_doomed:
                self.signal(signal.SIGKILL)
            reading = asyncio.create_task(self._read(reader))
            # Its death is the end of the process, not of the line: what a handler forked may hold the line open.
            code = await self._process.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_S):
                    await reading
            reading.cancel()
        finally:
            self.is_working = False
            self.decided.set()
            self._dump.close()
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_result(GONE)
            if self._writer is not None:
                self._writer.close()
            else:
                ours.close()
        return code

    async def _start(self, theirs: socket.socket) -> Process:
        with theirs:
            return await self._processes.start(
                self.worker_id, line=theirs, board_fd=self.board_fd, dump_fd=self._dump.fileno()
            )

    def close_board(self) -> list[board.Noted]:
        """What the dead worker was running; its board is gone after that."""
        if self.board_fd < 0:
            return []
        noted = board.read(self.board_fd)
        os.close(self.board_fd)
        self.board_fd = -1
        return noted

    def go(self, go: frames.Go) -> None:
        """Has a worker that is ready begin."""
        self.alive_at = time.monotonic()
        self.is_working = True
        self._send(go)

    async def order(self, do: str, *, timeout_s: float, **args: Any) -> frames.Answer:
        """Has the worker do something; returns its answer, or one that says that there was none."""
        number = next(self._numbers)
        answer: asyncio.Future[frames.Answer] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        self._send(frames.Order(number=number, do=do, args=args))
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            return frames.Answer(number=number, ok=False, text=f"no answer within {timeout_s:g} s")
        finally:
            self._answers.pop(number, None)

    async def stacks(self, *, timeout_s: float) -> str:
        """What the worker's threads and tasks are doing.

        One that does not answer, because its interpreter is held up, is made to write down its threads by a signal.
        """
        answer = await self.order("stacks", timeout_s=timeout_s)
        if answer.ok or not self.is_working:
            return answer.text
        self._dump.truncate(0)
        self._dump.seek(0)
        self.signal(DUMP_SIGNAL)
        await asyncio.sleep(DUMPED_WITHIN_S)
        self._dump.seek(0)
        return "the interpreter is held up; its threads:\n" + self._dump.read().decode("utf-8", "replace")

    def signal(self, number: signal.Signals) -> None:
        """Sends the process a signal; does nothing when it is dead."""
        if self._process is None:
            self._is_doomed = self._is_doomed or number is signal.SIGKILL
        else:
            self._process.signal(number)

    def _send(self, frame: frames.FromSupervisor) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(frames.encode(frame))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError, ValueError):
            while line := await reader.readline():
                try:
                    frame = frames.decode_for_supervisor(line)
                except msgspec.DecodeError:
                    continue
                self._heard(frame)

    def _heard(self, frame: frames.FromWorker) -> None:
        self.alive_at = time.monotonic()
        match frame:
            case frames.Ready():
                self.ready = frame
                self.decided.set()
            case frames.Refused():
                self.refused = frame
                self.decided.set()
            case frames.Alive():
                self.running, self.taken, self.loop_lag_s = frame.running, frame.taken, frame.loop_stalled_s
            case frames.Retiring():
                self.retiring = frame.why
            case frames.Answer():
                answer = self._answers.get(frame.number)
                if answer is not None and not answer.done():
                    answer.set_result(frame)
        self._said(self, frame)
