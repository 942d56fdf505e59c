"""A seat is the place of one worker process in a node: whoever sits there and dies is replaced."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from typing import Protocol

from tq_worker import frames
from tq_worker.exits import describe_exit
from tq_worker.lifecycle_log import LifecycleLog
from tq_worker.supervisor.backoff import Backoff
from tq_worker.supervisor.child import WorkerChild
from tq_worker.supervisor.processes import WorkerProcesses

KILL_AFTER_S = 10.0
"""How long past its deadline a worker may take to leave."""
NO_DEADLINE_S = 86_400.0
"""Where a worker goes as a matter of routine, its tasks may take the time that they need."""
SILENT_MIN_S = 10.0
LOOK_EVERY_S = 1.0
LOADING_WARN_S = 30.0
NOT_STARTED = 71
"""In place of an exit code: the system had no process to give."""


class Keeper(Protocol):
    """What a seat needs of its node."""

    log: LifecycleLog
    worker_processes: WorkerProcesses
    is_leaving: bool

    @property
    def is_serving(self) -> bool:
        """Whether a worker was ever admitted: until then its death is the node's."""

    def new_setup(self, cpu: int | None) -> frames.Setup:
        """What the next worker is told; with a worker id that was never used."""

    def new_go(self) -> frames.Go:
        """What a worker is told that begins: it may have loaded its code for long."""

    def said(self, child: WorkerChild, frame: frames.FromWorker) -> None:
        """A worker said something."""

    def died(self, child: WorkerChild, exit_code: int) -> None:
        """A worker is dead: its tasks must be given back."""

    def beat_soon(self) -> None:
        """Shows a change at once."""

    async def admit(self, child: WorkerChild) -> bool:
        """A worker has loaded its code; returns whether it may begin."""


class Seat:
    """Keeps one worker running until the seat is closed."""

    def __init__(self, node: Keeper, *, is_trial: bool = False, cpu: int | None = None) -> None:
        self._node, self._is_trial = node, is_trial
        self.cpu = cpu
        """Where its workers run; None = anywhere."""
        self._backoff = Backoff()
        self._closed = asyncio.Event()
        self.child: WorkerChild | None = None
        self.first_child: asyncio.Future[WorkerChild] = asyncio.get_running_loop().create_future()
        self.working = asyncio.Event()
        """Set while the worker runs tasks."""
        self._trouble = ""
        self._killing: asyncio.TimerHandle | None = None

    @property
    def is_closed(self) -> bool:
        return self._closed.is_set()

    @property
    def trouble(self) -> str:
        """Why its workers do not stay; empty once one runs, or, in a crash loop, once one has lived for a while."""
        child = self.child
        is_young = child is None or self._backoff.is_quick(child.started_at)
        if child is not None and child.is_working and not (is_young and self._backoff.is_crash_loop):
            self._trouble = ""
        return self._trouble

    @property
    def is_trial(self) -> bool:
        """Whether it is not known yet that a worker can begin here."""
        return self._is_trial

    def close(self) -> None:
        """Starts no worker here any more; the one that sits here is not touched."""
        self._closed.set()

    async def settled(self) -> None:
        """Returns when a worker has begun here, or when none is to begin any more."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self.working, self._closed)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def keep(self) -> None:
        """Starts workers, one after the other; returns when the seat is closed and empty."""
        while not self._closed.is_set():
            child = self.child = WorkerChild(
                self._node.new_setup(self.cpu), processes=self._node.worker_processes, said=self._node.said
            )
            child.is_trial = self._is_trial
            if not self.first_child.done():
                self.first_child.set_result(child)
            admitting = asyncio.create_task(self._admit(child))
            watching = asyncio.create_task(self._watch(child))
            try:
                code = await child.live()
            except OSError as error:
                code = NOT_STARTED
                self._node.log.write("error", "worker", text=f"cannot be started: {error}", worker_id=child.worker_id)
            finally:
                admitting.cancel()
                watching.cancel()
                self.working.clear()
                if self._killing is not None:
                    self._killing.cancel()  # else it would keep all of the child for as long as it had to leave
            self._node.died(child, code)
            if self._closed.is_set() or self._node.is_leaving or not self._node.is_serving or self._is_trial:
                break
            await self._wait_before_next(child, code)
        self.child = None

    async def _admit(self, child: WorkerChild) -> None:
        try:
            async with asyncio.timeout(LOADING_WARN_S):
                await child.decided.wait()
        except TimeoutError:
            text = f"has been loading its code for {LOADING_WARN_S:g} s"
            self._node.log.write("warning", "worker", text=text, worker_id=child.worker_id)
            await child.decided.wait()
        if child.ready is not None and await self._node.admit(child):
            child.go(self._node.new_go())
            self._is_trial = child.is_trial = False
            self.working.set()
            self._node.beat_soon()

    async def _watch(self, child: WorkerChild) -> None:
        """Ends a worker that holds still altogether: frozen, or inside code that never lets go of the interpreter."""
        silent_s = max(child.setup.lease_s, SILENT_MIN_S)
        looked_at = time.monotonic()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            before, looked_at = looked_at, time.monotonic()
            if looked_at - before > 2 * LOOK_EVERY_S:
                # We stood still ourselves (a frozen machine or group), and did not hear what was said meanwhile.
                child.alive_at = looked_at
            if child.is_working and looked_at - child.alive_at > silent_s:
                text = f"has not moved for {silent_s:g} s and is killed"
                self._node.log.write("error", "worker", text=text, worker_id=child.worker_id)
                child.signal(signal.SIGKILL)
                return

    async def _wait_before_next(self, child: WorkerChild, code: int) -> None:
        log = self._node.log
        if code == 0 or (child.retiring and code > 0):
            text = f"ended itself: {child.retiring}" if child.retiring else "left"
            log.write("warning" if child.retiring else "info", "worker", text=text, worker_id=child.worker_id)
            return
        wait_s = self._backoff.died(child.started_at, is_refused=child.refused is not None)
        again = f"the next one starts in {wait_s:g} s" if wait_s else "the next one starts"
        how = f"cannot run: {child.refused.message}" if child.refused is not None else describe_exit(code)
        log.write("error", "worker", text=f"{how}; {again}", worker_id=child.worker_id)
        count = self._backoff.quick_deaths
        if self._backoff.is_crash_loop:
            text = f"{count} workers in a row died within seconds; {again}"
            log.write("error", "crash_loop", text=text)
            self._trouble = f"{count} workers in a row died at once, the last {how}"
        elif child.refused is not None:
            self._trouble = f"the last worker {how}"
        self._node.beat_soon()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._closed.wait()

    async def leave(self, *, deadline_s: float, why: str) -> bool:
        """Has the worker finish within a deadline and not be replaced; returns when it has stopped claiming.

        One that takes longer than it may is killed. Said again, the deadline can only be sooner.
        """
        self.close()
        child = self.child
        if child is None:
            return True
        child.is_draining = True
        self._kill_in(deadline_s + KILL_AFTER_S, child)
        if not child.is_working:
            child.signal(signal.SIGKILL)  # it holds no task and may hang in an import
            return True
        answer = await child.order("drain", timeout_s=5.0, deadline_s=deadline_s, why=why)
        return answer.ok

    def hurry(self, why: str) -> None:
        """Has the worker go at once; it gives back what it holds."""
        self.close()
        child = self.child
        if child is None:
            return
        if not child.is_working:
            child.signal(signal.SIGKILL)
            return
        self._kill_in(KILL_AFTER_S, child)
        stopping = child.order("stop", timeout_s=KILL_AFTER_S, deadline_s=0.0, why=why)
        asyncio.get_running_loop().create_task(stopping)

    def _kill_in(self, seconds: float, child: WorkerChild) -> None:
        """Kills the worker then, if it is still there; said again, it can only be sooner."""
        loop = asyncio.get_running_loop()
        at = loop.time() + seconds
        if self._killing is not None:
            at = min(at, self._killing.when())
            self._killing.cancel()
        self._killing = loop.call_at(at, child.signal, signal.SIGKILL)
