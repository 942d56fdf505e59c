"""Tasks that have a process of their own, seen from the worker: start it, listen to it, end it.

One process with the users' code loaded is kept ready (tq_worker.isolated.zygote) and forks one for each task; where it
cannot be forked, it runs one task itself and the next is started.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pathlib
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from tq_core.errors import MemoryLimitError, TaskInterruptedError, TqError
from tq_worker import frames
from tq_worker.exits import describe_exit
from tq_worker.isolated import messages
from tq_worker.worker.coroutines import Ended
from tq_worker.worker.run import Outcome, Run
from tq_worker.worker.task_output import TaskOutput

DEATH_KNOWN_WITHIN_S = 5.0
"""How long after the end of its line the death of a task's process may take to be reported."""
MAX_PACKET_BYTES = 65536
AGAIN_AFTER_S = 0.01
WEIGH_EVERY_S = 0.05
"""How often the memory of a task that has a limit is looked at: a gigabyte a second passes it by 50 MB."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
BEGIN_WITHIN_S = 10.0
"""How long the fork that is ready may let tasks wait: it could be stopped, and then all isolated tasks would be."""
LINGER_S = 2.0
"""How long a process may live on after its task has ended."""


class IsolationError(TqError):
    """No process could be made for a task."""

    code = "isolation"


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

    def __init__(self, setup: frames.Setup, *, url: str | None, ended: Ended) -> None:
        self._setup, self._url, self._ended = setup, url, ended
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
            self._zygote = Zygote(self._setup, url=self._url, give_to_next=self._give, prepare_next=self.warm_up)
        return self._zygote

    async def gone(self, within_s: float) -> None:
        """Returns when the processes of ended tasks are gone, or when that takes too long."""
        if self._following:
            await asyncio.wait(self._following, timeout=within_s)

    def _give(self, execution: IsolatedExecution) -> None:
        self.warm_up().give(execution)


class Zygote:
    """A process that forks one for each task, or that runs one task itself."""

    def __init__(
        self,
        setup: frames.Setup,
        *,
        url: str | None,
        give_to_next: Callable[[IsolatedExecution], None],
        prepare_next: Callable[[], object],
    ) -> None:
        self._setup, self._url, self._give_to_next, self._prepare_next = setup, url, give_to_next, prepare_next
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
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        setup = self._setup
        with ours:
            with theirs:
                process = await asyncio.create_subprocess_exec(
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
            load = messages.Load(apps=setup.apps, app_dir=setup.app_dir, url=self._url, tracing=setup.tracing)
            await loop.sock_sendall(ours, messages.encoder.encode(load))
            self._channel = ours
            with contextlib.suppress(OSError):
                while raw := await loop.sock_recv(ours, MAX_PACKET_BYTES):
                    self._hear(messages.from_zygote.decode(raw))
            self.is_used_up = True
            self._channel = None
        code = await process.wait()
        if self._loaded is not None and not self._loaded.problem and not self._loaded.can_fork:
            self._died(process.pid, code)
        for death in self._deaths.values():
            if not death.done():
                death.set_result(-signal.SIGKILL)  # its forks do not outlive it
        problem = (
            self._loaded.problem if self._loaded is not None else f"it {describe_exit(code)} while it loaded your code"
        )
        self._hand_on(problem)

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
                except BlockingIOError:
                    # More at once than the line holds.
                    self._waiting.appendleft(execution)
                    asyncio.get_running_loop().call_later(AGAIN_AFTER_S, self._serve)
                    return
                except OSError as error:
                    execution.end(Outcome(error=IsolationError(f"no process could be made for the task: {error}")))
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
