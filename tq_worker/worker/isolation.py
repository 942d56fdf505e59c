"""Tasks that have a process of their own, seen from the worker: start it, listen to it, end it.

Where the processes come from: tq_worker.worker.task_zygote.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pathlib
import signal
import socket
from typing import Any

import msgspec

from tq_core.errors import MemoryLimitError, TaskInterruptedError
from tq_worker import frames
from tq_worker.exits import describe_exit
from tq_worker.isolated import messages
from tq_worker.worker.coroutines import Ended
from tq_worker.worker.run import Outcome, Run
from tq_worker.worker.task_output import TaskOutput
from tq_worker.worker.task_zygote import BEGIN_WITHIN_S, DEATH_KNOWN_WITHIN_S, IsolationError, Making, Zygote

WEIGH_EVERY_S = 0.05
"""How often the memory of a task that has a limit is looked at: a gigabyte a second passes it by 50 MB."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
LINGER_S = 2.0
"""How long a process may live on after its task has ended."""


class IsolatedExecution:
    """One task in its own process."""

    is_alone = True

    def __init__(self, run: Run, ended: Ended) -> None:
        self.run = run
        self._ended = ended
        self.is_ended = False
        self.ours, self.theirs = socket.socketpair()
        try:
            self.output = TaskOutput(run.context.log if run.context is not None else lambda _: None)
        except OSError:
            self.ours.close()
            self.theirs.close()
            raise
        self.zygote: Zygote | None = None
        """Who made the process, once it is made."""
        self._writer: asyncio.StreamWriter | None = None
        self._pid: int | None = None
        self._outcome: Outcome | None = None
        self._stop: messages.Stop | None = None
        self._memory_mb = _memory_limit(run)
        self._overgrown_mb = 0
        """What its process used when it was ended for that."""

    def cancel(self, why: str) -> None:
        """Asks the handler to stop."""
        if self._stop is None:
            self._tell(messages.Stop(why=why, is_firm=False))

    def interrupt(self, why: str) -> None:
        """Interrupts the handler; the second time, ends the process."""
        if self._stop is not None and self._stop.is_firm:
            self._kill()
            if self._pid is None:
                # Whoever takes it yet finds that nobody is there.
                self.ours.close() if self._writer is None else self._writer.close()
                self.end(Outcome(error=TaskInterruptedError(why)))
            return
        self._tell(messages.Stop(why=why, is_firm=True))
        if self.zygote is None:
            self.end(Outcome(error=TaskInterruptedError(why)))

    def end(self, outcome: Outcome) -> None:
        """Reports the end, once."""
        if not self.is_ended:
            self.is_ended = True
            self.output.finish()  # what it printed comes before its end
            self._ended(self.run, outcome)

    async def follow(self) -> None:
        """Listens to the task's process until it is dead."""
        reader, self._writer = await asyncio.open_connection(sock=self.ours, limit=messages.MAX_LINE_BYTES)
        watch = asyncio.get_running_loop().call_later(BEGIN_WITHIN_S, self._not_begun)
        try:
            self._writer.write(messages.line(_spec(self.run)))
            if self._stop is not None:
                self._tell(self._stop)
            with contextlib.suppress(ConnectionError, ValueError, msgspec.DecodeError):
                while self._outcome is None and (raw := await reader.readline()):
                    self._hear(messages.from_task.decode(raw))
            if self._outcome is not None:
                self.end(self._outcome)
                await self._death(LINGER_S)
            elif self._overgrown_mb:
                await self._death(DEATH_KNOWN_WITHIN_S)
                self.end(Outcome(error=_overgrown(self.run, self._memory_mb or 0, self._overgrown_mb)))
            else:
                self.end(Outcome(crash=_crash(await self._death(DEATH_KNOWN_WITHIN_S))))
        finally:
            watch.cancel()
            self._kill()
            self.output.finish()
            self._writer.close()

    def _not_begun(self) -> None:
        if self._pid is None and self.zygote is not None:
            self.zygote.replace_ready()

    def _hear(self, message: messages.FromTask) -> None:
        match message:
            case messages.Begun():
                self._pid = message.pid
                if self._memory_mb is not None:
                    self._weigh(self._memory_mb)
            case messages.Progress():
                if self.run.context is not None:
                    self.run.context.progress(message.fraction, message.text)
            case messages.Said():
                if self.run.context is not None:
                    self.run.context.log(message.text)
            case messages.Succeeded():
                self._outcome = Outcome(result=message.result)
            case messages.Failed():
                failure = {name: getattr(message, name) for name in ("verdict", "reason", "detail", "delay_ms")}
                self._outcome = Outcome(failure=failure)

    def _weigh(self, limit_mb: int) -> None:
        """Ends the process when it uses too much memory; looks again and again while it lives."""
        if self.is_ended or self._pid is None:
            return
        used_mb = memory_of(self._pid) >> 20
        if used_mb > limit_mb:
            self._overgrown_mb = used_mb
            self._kill()
        else:
            asyncio.get_running_loop().call_later(WEIGH_EVERY_S, self._weigh, limit_mb)

    async def _death(self, within_s: float) -> int | None:
        """The exit code of the process; None when it is not known in time."""
        if self.zygote is None or self._pid is None:
            return None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                code = await asyncio.shield(self.zygote.death_of(self._pid))
                self._pid = None
                return code
        return None

    def _kill(self) -> None:
        """Ends the process and whatever it started; does nothing when its death is known."""
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)

    def _tell(self, message: messages.Stop) -> None:
        self._stop = message
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(messages.line(message))


class ProcessIsolation:
    """Makes processes for tasks."""

    def __init__(
        self, setup: frames.Setup, *, url: str | None, ended: Ended, forker: socket.socket | None = None
    ) -> None:
        self._setup, self._url, self._ended = setup, url, ended
        self._making = Making(forker)
        self._zygote: Zygote | None = None
        self._following: set[asyncio.Task[None]] = set()

    def start(self, run: Run) -> IsolatedExecution:
        """Runs the task in a new process.

        Raises:
            IsolationError: this process may have no more files open.
        """
        try:
            execution = IsolatedExecution(run, self._ended)
        except OSError as error:
            why = f"no process could be made for the task: {error.strerror}"
            raise IsolationError(f"{why}; `ulimit -n` says how many files and processes a worker may have") from error
        self._give(execution)
        task = asyncio.get_running_loop().create_task(execution.follow())
        self._following.add(task)
        task.add_done_callback(self._following.discard)
        return execution

    def warm_up(self) -> Zygote:
        """Has the users' code loaded before the first task needs it."""
        if self._zygote is None or self._zygote.is_used_up:
            self._zygote = Zygote(
                self._setup, url=self._url, making=self._making, give_to_next=self._give, prepare_next=self.warm_up
            )
        return self._zygote

    async def gone(self, within_s: float) -> None:
        """Returns when the processes of ended tasks are gone, or when that takes too long."""
        if self._following:
            await asyncio.wait(self._following, timeout=within_s)

    def _give(self, execution: IsolatedExecution) -> None:
        self.warm_up().give(execution)


def _memory_limit(run: Run) -> int | None:
    own = run.task.header.options.memory_limit_mb if run.task.header is not None else None
    return own if own is not None or run.definition is None else run.definition.memory_limit_mb


def memory_of(pid: int) -> int:
    """Bytes of memory that a process has in use; 0 where that cannot be known."""
    try:
        # Not /proc/PID/status, which takes ten times as long to make.
        with pathlib.Path(f"/proc/{pid}/statm").open("rb", buffering=0) as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


def _overgrown(run: Run, limit_mb: int, used_mb: int) -> MemoryLimitError:
    return MemoryLimitError(
        f"{run.type_name}: it used {used_mb} MiB of memory and its limit is {limit_mb}; its process was ended",
        limit_mb=limit_mb,
        used_mb=used_mb,
    )


def _crash(code: int | None) -> dict[str, Any]:
    detail: dict[str, Any] = {"type": "ProcessDied", "host": socket.gethostname()}
    if code is None:
        return detail | {"message": "its own process was lost"}
    detail |= {"message": f"its own process {describe_exit(code)} before it had a result"}
    return detail | ({"signal": -code} if code < 0 else {"exit_code": code})


def _spec(run: Run) -> messages.Spec:
    task, context = run.task, run.context
    assert task.header is not None
    assert context is not None
    trace = run.span.trace if run.span is not None else task.header.options
    return messages.Spec(
        task_id=task.id,
        task_type=task.header.task_type,
        queue=task.queue,
        attempt=task.attempt,
        max_attempts=task.header.max_attempts,
        token=context.token,
        worker_id=context.worker_id,
        timeout_s=context.remaining_s,
        soft_timeout_s=context.soft_timeout_s,
        payload=task.payload,
        retry=msgspec.to_builtins(task.header.options.retry) if task.header.options.retry is not None else None,
        traceparent=trace.traceparent,
        tracestate=trace.tracestate,
    )
