"""Keeps the leases of all tasks of this process, and says that the worker lives.

On a thread of its own, because an event loop that is busy or stuck must cost nobody a task. Whether a lease is over is
known without asking anybody: each task has a deadline by this process' monotonic clock, counted from before the claim
or renewal was sent. The event loop looks at it, since the keeper may be waiting for an answer that never comes.
"""

from __future__ import annotations

import os
import pathlib
import resource
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from tq_core.errors import TqError
from tq_core.roles import consumer, registry
from tq_core.roles.registry import SlotInfo, WorkerInfo
from tq_core.transport.connection import ANSWER_TIMEOUT_S
from tq_core.transport.runner import SyncRunner
from tq_worker.lifecycle_log import LifecycleLog
from tq_worker.worker.hold import Hold
from tq_worker.worker.run import Run, Stage

CHECK_EVERY_S = 1.0
LOOK_EVERY_S = 0.25
LEAD_SHARE, LEAD_MAX_S = 0.1, 1.0
"""A task is stopped before its lease is over by that share of it: handlers need a moment, and clocks may drift."""
_MAX_SHOWN = 200


def held_for_s(lease_s: float) -> float:
    """How long after a claim or renewal was sent a task may run here, if nothing more is heard."""
    return lease_s - min(LEAD_MAX_S, lease_s * LEAD_SHARE)


def answer_timeout_s(lease_s: float) -> float:
    """How long a renewal is waited for: one that is lost must leave time for the next."""
    return max(1.0, min(ANSWER_TIMEOUT_S, lease_s / 3))


def expired(hold: Hold) -> list[Run]:
    """The runs that must stop now, since their leases could not be renewed."""
    now = time.monotonic()
    return [run for run in list(hold.runs.values()) if run.stage < Stage.ENDED and run.deadline <= now]


class LeaseNews(NamedTuple):
    """What the keeper found out."""

    lost: tuple[tuple[Run, str], ...] = ()
    """With why."""
    asked: tuple[tuple[Run, dict[str, Any]], ...] = ()
    """Somebody asked these to stop: by, why, mode."""


class LeaseKeeper(threading.Thread):
    """Renews leases and sends heartbeats until it is told to stop."""

    def __init__(
        self,
        runner: SyncRunner,
        *,
        hold: Hold,
        lease_s: float,
        heartbeat_s: float,
        describe: Callable[[tuple[SlotInfo, ...]], WorkerInfo],
        tell: Callable[[LeaseNews], None],
        clock: Callable[[float], None],
        log: LifecycleLog,
    ) -> None:
        super().__init__(name="tq-leases", daemon=True)
        self._runner, self._hold, self._log = runner, hold, log
        self._lease_s, self._renew_every_s, self._heartbeat_s = lease_s, lease_s / 3, heartbeat_s
        self._held_for_s = held_for_s(lease_s)
        self._describe, self._tell, self._clock = describe, tell, clock
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._is_failing = False

    def stop(self) -> None:
        """Ends the thread soon; leases are not renewed any more."""
        self._stopping.set()
        self._hurry.set()

    def beat_soon(self) -> None:
        """Sends a heartbeat at once: something changed that people watch."""
        self._hurry.set()

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._keep()
            except Exception as error:  # noqa: BLE001 - one pass of a service: without it every task would lose its lease
                self._log.write("error", "fault", text=f"leases: {type(error).__name__}: {error}")
                self._stopping.wait(CHECK_EVERY_S)

    def _keep(self) -> None:
        next_renewal = next_beat = 0.0
        while not self._stopping.is_set():
            now = time.monotonic()
            if now >= next_renewal:
                is_done = self._attempt(self._renew)
                next_renewal = now + (self._renew_every_s if is_done else min(CHECK_EVERY_S, self._renew_every_s))
            if self._hurry.is_set() or now >= next_beat:
                self._hurry.clear()
                self._attempt(self._beat)
                next_beat = now + self._heartbeat_s
            until = min(next_renewal, next_beat, time.monotonic() + CHECK_EVERY_S)
            self._hurry.wait(max(0.0, until - time.monotonic()))

    def _attempt(self, do: Callable[[], None]) -> bool:
        try:
            do()
        except TqError as error:
            if not self._is_failing:
                self._is_failing = True
                self._log.write("debug", "leases", text=error.message)
            return False
        self._is_failing = False
        return True

    def _renew(self) -> None:
        runs = [run for run in list(self._hold.runs.values()) if run.stage is not Stage.GONE]
        if not runs:
            return
        sent = time.monotonic()
        extended = self._runner.run(
            consumer.extend(
                [(run.task.queue, run.task.id, run.task.token) for run in runs], lease_ms=int(self._lease_s * 1000)
            )
        )
        by_id = {run.task.id: run for run in runs}
        lost_ids = set(extended.lost_ids)
        for run in runs:
            if run.task.id not in lost_ids:
                run.deadline = sent + self._held_for_s
        lost = [by_id[task_id] for task_id in extended.lost_ids if task_id in by_id]
        # What has ended meanwhile is no longer held by its token; its own acknowledgement says what became of it.
        gone = tuple((run, "another claim holds or ended it") for run in lost if run.stage < Stage.ENDED)
        asked = tuple((by_id[task_id], wish) for task_id, wish in extended.asked if task_id in by_id)
        for run, wish in asked:
            if wish.get("mode") == "kill" and run.kill_asked is None:
                run.kill_asked = time.monotonic()
        if gone or asked:
            self._tell(LeaseNews(gone, asked))

    def _beat(self) -> None:
        running = [run for run in list(self._hold.runs.values()) if run.stage is Stage.RUNNING]
        before = time.monotonic()
        server_ms = self._runner.run(registry.heartbeat(self._describe(tuple(map(_slot, running[:_MAX_SHOWN])))))
        after = time.monotonic()
        self._clock(server_ms - (before + after) / 2 * 1000)


def _slot(run: Run) -> SlotInfo:
    progress = run.progress
    return SlotInfo(
        task_id=run.task.id,
        type=run.type_name,
        queue=run.task.queue,
        started_at_ms=run.started_at_ms,
        is_alone=run.execution is not None and run.execution.is_alone,
        progress=progress[0] if progress else None,
    )


class Meter:
    """What the process uses, measured between two questions."""

    def __init__(self) -> None:
        self._at, self._cpu_s = time.monotonic(), time.process_time()

    def cpu_percent(self) -> float:
        """Of one CPU, since the last question."""
        now, cpu_s = time.monotonic(), time.process_time()
        spent = (cpu_s - self._cpu_s) / max(1e-3, now - self._at)
        self._at, self._cpu_s = now, cpu_s
        return round(100 * spent, 1)


def rss_bytes() -> int:
    """Memory that the process has in use."""
    try:
        with pathlib.Path("/proc/self/statm").open(encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
