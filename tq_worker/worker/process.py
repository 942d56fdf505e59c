"""One worker process, put together: what each thread does is in the modules beside this one."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from tq_core import tracing
from tq_core.roles.registry import SlotInfo, WorkerInfo
from tq_core.tasks.task import TaskDefinition
from tq_core.transport.connection import Endpoint
from tq_core.transport.runner import AsyncRunner, SyncRunner
from tq_worker import frames, trace_export
from tq_worker.board import Board
from tq_worker.lifecycle_log import LifecycleLog
from tq_worker.settings import DRAIN_TIMEOUT_S
from tq_worker.stray_fork import let_forks_be_terminated
from tq_worker.terminal import let_go_of_a_closed_terminal
from tq_worker.worker import last_rites, leases, log_records
from tq_worker.worker.channel import Channel
from tq_worker.worker.claiming import Claiming
from tq_worker.worker.event_loop import ProcessOver
from tq_worker.worker.execution import STRANDED_AFTER_S, Floor
from tq_worker.worker.hold import Hold
from tq_worker.worker.isolation import ProcessIsolation, memory_of
from tq_worker.worker.leases import LeaseKeeper, LeaseNews, Meter, rss_bytes
from tq_worker.worker.leaving import Leaving
from tq_worker.worker.notes import Notes
from tq_worker.worker.orders import Orders, wish
from tq_worker.worker.outbox import Outbox
from tq_worker.worker.pump import Pump
from tq_worker.worker.reports import Reports
from tq_worker.worker.run import Ending, Run
from tq_worker.worker.task_log import TaskLog
from tq_worker.worker.turns import Turns
from tq_worker.worker.watchdog import Hanging, Watchdog
from tq_worker.worker.wear import Wear

if TYPE_CHECKING:
    from tq_worker.worker.counting import CountingTaskLog
    from tq_worker.worker.run_span import RunTracing

EXIT_LEFT = 0
EXIT_RETIRED = 3
"""The process ended itself for the sake of a task that would not stop."""

WARM_UP_AFTER_S = 2.0
"""When the users' code is loaded a second time, to be forked for isolated tasks: not while the node is starting."""
NEIGHBOUR_GRACE_S = 3.0
ORPHAN_GRACE_S = 2.0
RETRY_FOR_S = 1.0


class WorkerProcess:
    """Runs tasks until it is told to leave."""

    def __init__(
        self,
        setup: frames.Setup,
        *,
        tasks: dict[str, TaskDefinition],
        queues: tuple[str, ...],
        endpoint: Endpoint,
        told_url: str | None,
        board: Board,
        channel: Channel,
        log: LifecycleLog,
        forker: socket.socket | None = None,
    ) -> None:
        self._setup, self._tasks, self._queues, self._endpoint = setup, tasks, queues, endpoint
        self._told_url, self._board, self.channel, self.log = told_url, board, channel, log
        self._forker = forker
        self._state = "running"
        self._started_at_ms = int(time.time() * 1000)
        self._exit_code = EXIT_LEFT
        self._meter = Meter()
        self.orders = Orders(self)
        self._rites_runner = SyncRunner(endpoint, retry_for_s=RETRY_FOR_S)
        self._background: set[asyncio.Task[None]] = set()
        self.is_leaving = False
        self._last_alive = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._counting: CountingTaskLog | None = None

    # --- the event loop ---

    async def serve(self, *, is_paused: bool) -> int:
        """Claims and runs tasks; returns the exit code when it has left."""
        setup = self._setup
        self._loop = loop = asyncio.get_running_loop()
        runner = AsyncRunner(self._endpoint, retry_for_s=RETRY_FOR_S)
        self.hold = Hold(setup.slots)
        self._outbox = Outbox()
        task_log = self._log_of_tasks = self._task_log()
        notes = Notes(self._outbox, loop)
        reports = Reports(hold=self.hold, board=self._board, outbox=self._outbox, notes=notes, log=task_log)
        run_tracing = self._run_tracing()
        self.floor = Floor(
            self._tasks,
            worker_id=setup.worker_id,
            hold=self.hold,
            board=self._board,
            reports=reports,
            notes=notes,
            log=task_log,
            tracing=run_tracing,
            wake=self._outbox.changed.set,
            stuck=self._retire,
        )
        self._isolation = ProcessIsolation(setup, url=self._told_url, ended=self.floor.ended, forker=self._forker)
        self.floor.isolation = self._isolation
        self.claiming = Claiming(
            runner,
            self._queues,
            worker_id=setup.worker_id,
            lease_ms=int(setup.lease_s * 1000),
            turns=Turns(self._queues, setup.weights, is_strict=setup.order == "strict"),
        )
        if setup.max_tasks:
            self.claiming.wear = Wear(setup.max_tasks, lambda why: self.channel.send(frames.Worn(why=why)))
        self.pump = Pump(
            runner,
            outbox=self._outbox,
            hold=self.hold,
            claiming=self.claiming,
            log=self.log,
            claimed=lambda claim, sent: self.floor.accept(claim, sent + leases.held_for_s(setup.lease_s)),
            recorded=self.floor.start_waiting,
            dropped=reports.dropped,
        )
        self.leaving = Leaving(
            hold=self.hold, floor=self.floor, reports=reports, pump=self.pump, claiming=self.claiming
        )
        self._watchdog = Watchdog(loop, self.hold, lambda: self.leaving.deadline)
        self._keeper = LeaseKeeper(
            SyncRunner(
                self._endpoint,
                retry_for_s=RETRY_FOR_S,
                answer_timeout_s=leases.answer_timeout_s(setup.lease_s),
            ),
            hold=self.hold,
            lease_s=setup.lease_s,
            heartbeat_s=setup.heartbeat_s,
            describe=self._describe,
            tell=lambda news: self.soon(self._hear, news),
            clock=self._set_clock,
            log=self.log,
        )
        self._left = asyncio.Event()
        log_records.install(self.log, setup.log_level, lambda within: task_log.labels_in(within, self.hold.runs))
        loop.add_signal_handler(signal.SIGTERM, self.leave, DRAIN_TIMEOUT_S, "SIGTERM")
        let_forks_be_terminated()
        self._watchdog.beat()
        self._look_after_stranded()
        self._stop_expired()
        if any(definition.is_isolated for definition in self._tasks.values()):
            loop.call_later(WARM_UP_AFTER_S, self._isolation.warm_up)
        if not memory_of(os.getpid()) and any(definition.memory_limit_mb for definition in self._tasks.values()):
            text = "this system does not say how much memory a process uses: memory_limit_mb is not kept"
            self.log.write("warning", "worker", text=text, worker_id=setup.worker_id)
        self._keeper.start()
        pumping = loop.create_task(self.pump.run())
        pumping.add_done_callback(self._pump_ended)
        if is_paused:
            self._state = "paused"
        else:
            self.claiming.open(self.pump.wake)
        await self._left.wait()
        pumping.cancel()
        self._keeper.stop()
        if run_tracing is not None:
            await self._isolation.gone(trace_export.FLUSH_S)  # they are sending the last spans of their tasks
        for run in list(self.hold.runs.values()):
            if run.place is not None:
                # This process ends on purpose: what it could not say about its tasks is no crash of theirs.
                self._board.wipe(run.place)
            if run.span is not None:
                run.span.end()
        self._tell_counts()
        return self._exit_code

    def _task_log(self) -> TaskLog:
        if not self._setup.counts:
            return TaskLog(self.log, self._setup.worker_id)
        from tq_worker.worker.counting import CountingTaskLog

        self._counting = CountingTaskLog(self.log, self._setup.worker_id)
        return self._counting

    def _tell_counts(self) -> None:
        if self._counting is not None and (news := self._counting.news()) is not None:
            self.channel.send(news)

    def _run_tracing(self) -> RunTracing | None:
        if self._setup.tracing == "off" or not tracing.is_recorded():
            return None
        from tq_worker.worker.run_span import RunTracing

        return RunTracing(self._setup.worker_id)

    def _look_after_stranded(self) -> None:
        self.floor.give_back_stranded()
        assert self._loop is not None
        self._loop.call_later(STRANDED_AFTER_S / 2, self._look_after_stranded)

    def _stop_expired(self) -> None:
        for run in leases.expired(self.hold):
            self.floor.stop(run, Ending("lost", "it could not be renewed in time"))
        assert self._loop is not None
        self._loop.call_later(leases.LOOK_EVERY_S, self._stop_expired)

    def _pump_ended(self, pumping: asyncio.Task[None]) -> None:
        if not pumping.cancelled() and (error := pumping.exception()) is not None:
            # A fault of ours: without the pump the process is of no use, and its end sets everything right.
            self.log.write("error", "fault", text=f"{type(error).__name__}: {error}", worker_id=self._setup.worker_id)
            self.log.flush()
            raise ProcessOver(1) from error

    def soon(self, call: Any, *args: Any) -> None:
        """Has the event loop do something; from any thread."""
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            return  # the loop is closed: the process is ending

    def _set_clock(self, offset_ms: float) -> None:
        self.claiming.clock_offset_ms = offset_ms

    def _hear(self, news: LeaseNews) -> None:
        for run, why in news.lost:
            self.floor.stop(run, Ending("lost", why))
        for run, asked in news.asked:
            self.floor.stop(run, wish(asked))

    def _describe(self, running: tuple[SlotInfo, ...]) -> WorkerInfo:
        hold = self.hold
        return WorkerInfo(
            worker_id=self._setup.worker_id,
            node_id=self._setup.node_id,
            pid=os.getpid(),
            state=self._state,
            slots=hold.slots,
            running=running,
            queues=self._queues,
            completed=hold.completed,
            failed=hold.failed,
            started_at_ms=self._started_at_ms,
            loop_lag_ms=int(self._watchdog.lag_s * 1000),
            rss_bytes=rss_bytes(),
            cpu_percent=self._meter.cpu_percent(),
        )

    # --- what the supervisor's orders need ---

    def change_state(self, state: str) -> None:
        """Becomes running, paused or draining, and shows it."""
        self._state = state
        self._keeper.beat_soon()

    def set_slots(self, slots: int) -> None:
        """Runs so many tasks at once from now on; fewer take effect as tasks end."""
        self.hold.slots = slots
        self._keeper.beat_soon()
        self.floor.start_waiting()
        self.pump.wake()

    @property
    def is_idle(self) -> bool:
        """Whether it holds no task, has nothing to say about one and no claim on its way."""
        return not self.hold.runs and self.pump.is_idle

    # --- leaving ---

    def leave(self, grace_s: float, why: str) -> None:
        """Finishes what runs, at most so long, and ends; a second wish can only make it sooner."""
        self.leaving.leave_by(time.monotonic() + grace_s)
        if not self.is_leaving:
            self.is_leaving = True
            # Only the supervisor is told by the system when their terminal is closed.
            let_go_of_a_closed_terminal()
            self.change_state("draining")
            self.spawn(self._leave_slowly(why))

    async def _leave_slowly(self, why: str) -> None:
        await self.leaving.leave(why)
        self._left.set()

    def _retire(self, victim: Run) -> None:
        """Ends the process for a task that cannot be stopped otherwise; its neighbours get a moment to finish."""
        victims = self.leaving.victims
        victims.add(victim)
        neighbours = self.leaving.neighbours_of(victims)
        victim.note_step(f"process retired ({neighbours} in company, given {NEIGHBOUR_GRACE_S:g} s)")
        self._exit_code = EXIT_RETIRED
        why = f"the task {victim.task.id} does not stop; {neighbours} neighbours are given {NEIGHBOUR_GRACE_S:g} s"
        self.log.write("warning", "retiring", text=why, worker_id=self._setup.worker_id)
        self.channel.send(frames.Retiring(why=why))
        for tell in victim.answer:
            tell(victim)
        victim.answer.clear()
        self.leave(NEIGHBOUR_GRACE_S, "its process ends for another task")

    def _outgrown(self, used_mb: int, limit_mb: int) -> None:
        """Makes room for a worker that begins anew; tasks take as long as they do: to run them twice helps nobody."""
        if self.is_leaving:
            return
        why = (
            f"it uses {used_mb} MiB of memory, more than the {limit_mb} of --max-memory: it is replaced when its tasks "
            "have ended"
        )
        self.log.write("warning", "retiring", text=why, worker_id=self._setup.worker_id)
        self.channel.send(frames.Retiring(why=why))
        self.leave(math.inf, "the worker uses too much memory")

    def orphaned(self) -> None:
        """The supervisor is gone; called on the channel's thread."""
        if self._loop is None:
            os._exit(1)
        self.leaving.leave_by(time.monotonic() + ORPHAN_GRACE_S)
        self.soon(self.leave, 0.0, "its node died")
        self.soon(self.leaving.hurry)

    # --- the watch over the loop ---

    def tick(self) -> None:
        """Looks at the loop and says that the process is alive; called on the channel's thread."""
        if self._loop is None or not hasattr(self, "_watchdog"):
            return
        now = time.monotonic()
        if now - self._last_alive >= 1.0:
            self._last_alive = now
            lag_s, taken = self._watchdog.lag_s, self.claiming.taken
            self.channel.send(frames.Alive(loop_stalled_s=lag_s, running=self.hold.running, taken=taken))
            self._tell_counts()
            limit_mb = self._setup.max_memory_mb
            if limit_mb is not None and rss_bytes() > limit_mb << 20:
                self.soon(self._outgrown, rss_bytes() >> 20, limit_mb)
        if self._watchdog.should_warn():
            self._warn_of_hanging()
        hanging = self._watchdog.look()
        if hanging is not None:
            self._end_hanging(hanging)

    def _warn_of_hanging(self) -> None:
        blocker = self._watchdog.blocker(list(self.hold.runs.values()))
        name = f"the handler of {blocker.type_name}, task {blocker.task.id}," if blocker else "something"
        self.log.write(
            "warning",
            "loop",
            text=f"{name} holds up the event loop: compute in a plain function or with isolate=True",
            worker_id=self._setup.worker_id,
        )

    def _end_hanging(self, hanging: Hanging) -> None:
        text = f"the event loop has been held up for {hanging.stalled_s:.1f} s: this process ends"
        self.log.write("error", "loop", text=text, worker_id=self._setup.worker_id)
        self.channel.send(frames.Retiring(why=text))
        is_leaving = self.leaving.deadline is not None
        for run in hanging.overdue:
            for tell in run.answer:
                tell(run)
        last_rites.settle(
            self._rites_runner,
            hold=self.hold,
            outbox=self._outbox,
            board=self._board,
            victims={run: self.floor.sentence(run) for run in hanging.overdue},
            blocker=None if is_leaving else hanging.blocker,
            log=self._log_of_tasks,
        )
        self._tell_counts()
        self.log.flush()
        for run in list(self.hold.runs.values()):
            if run.span is not None:
                run.span.end()
        trace_export.flush()
        os._exit(EXIT_RETIRED)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Does something in the background."""
        assert self._loop is not None
        task = self._loop.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
