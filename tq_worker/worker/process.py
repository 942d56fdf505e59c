"""One worker process, put together: what each thread does is in the modules beside this one."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Coroutine
from typing import Any

from tq_core.errors import BrokerError
from tq_core.roles.registry import SlotInfo, WorkerInfo
from tq_core.tasks.task import TaskDefinition
from tq_core.transport.connection import Endpoint
from tq_core.transport.runner import AsyncRunner, SyncRunner
from tq_worker import frames
from tq_worker.board import Board
from tq_worker.lifecycle_log import LEVELS, LifecycleLog
from tq_worker.settings import DRAIN_TIMEOUT_S
from tq_worker.worker import last_rites, stacks
from tq_worker.worker.channel import Channel
from tq_worker.worker.claiming import Claiming
from tq_worker.worker.execution import STRANDED_AFTER_S, Floor
from tq_worker.worker.hold import Hold
from tq_worker.worker.isolation import ProcessIsolation
from tq_worker.worker.leases import LeaseKeeper, LeaseNews, Meter, rss_bytes
from tq_worker.worker.leaving import Leaving
from tq_worker.worker.outbox import Delivery, Outbox
from tq_worker.worker.pump import Pump
from tq_worker.worker.run import Ending, Run, Stage
from tq_worker.worker.task_log import TaskLog
from tq_worker.worker.watchdog import Hanging, Watchdog

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
    ) -> None:
        self._setup, self._tasks, self._queues, self._endpoint = setup, tasks, queues, endpoint
        self._told_url, self._board, self._channel, self._log = told_url, board, channel, log
        self._state = "running"
        self._started_at_ms = int(time.time() * 1000)
        self._exit_code = EXIT_LEFT
        self._meter = Meter()
        self._rites_runner = SyncRunner(endpoint, retry_for_s=RETRY_FOR_S)
        self._background: set[asyncio.Task[None]] = set()
        self._is_leaving = False
        self._last_alive = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None

    # --- the event loop ---

    async def serve(self, *, is_paused: bool) -> int:
        """Claims and runs tasks; returns the exit code when it has left."""
        setup = self._setup
        self._loop = loop = asyncio.get_running_loop()
        runner = AsyncRunner(self._endpoint, retry_for_s=RETRY_FOR_S)
        self._hold = Hold(setup.slots)
        self._outbox = Outbox()
        task_log = TaskLog(self._log, setup.worker_id)
        self._floor = Floor(
            self._tasks,
            worker_id=setup.worker_id,
            hold=self._hold,
            board=self._board,
            outbox=self._outbox,
            log=task_log,
            stuck=self._retire,
        )
        self._isolation = ProcessIsolation(setup, url=self._told_url, ended=self._floor.ended)
        self._floor.isolation = self._isolation
        self._claiming = Claiming(
            runner,
            self._queues,
            worker_id=setup.worker_id,
            lease_ms=int(setup.lease_s * 1000),
            order=setup.order,
        )
        self._pump = Pump(
            runner,
            outbox=self._outbox,
            hold=self._hold,
            claiming=self._claiming,
            log=self._log,
            claimed=lambda claim, sent: self._floor.accept(claim, sent + setup.lease_s),
            dropped=self._dropped,
        )
        self._leaving = Leaving(hold=self._hold, floor=self._floor, pump=self._pump, claiming=self._claiming)
        self._watchdog = Watchdog(loop, self._hold, lambda: self._leaving.deadline)
        self._keeper = LeaseKeeper(
            SyncRunner(self._endpoint, retry_for_s=RETRY_FOR_S),
            hold=self._hold,
            lease_s=setup.lease_s,
            heartbeat_s=setup.heartbeat_s,
            describe=self._describe,
            tell=lambda news: self._soon(self._hear, news),
            clock=self._set_clock,
            log=self._log,
        )
        self._left = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, self._leave, DRAIN_TIMEOUT_S, "SIGTERM")
        self._watchdog.beat()
        self._look_after_stranded()
        if any(definition.is_isolated for definition in self._tasks.values()):
            loop.call_later(WARM_UP_AFTER_S, self._isolation.warm_up)
        self._keeper.start()
        pumping = loop.create_task(self._pump.run())
        pumping.add_done_callback(self._pump_ended)
        if is_paused:
            self._state = "paused"
        else:
            self._claiming.open(self._pump.wake)
        await self._left.wait()
        pumping.cancel()
        self._keeper.stop()
        for run in list(self._hold.runs.values()):
            if run.place is not None:
                # This process ends on purpose: what it could not say about its tasks is no crash of theirs.
                self._board.wipe(run.place)
        return self._exit_code

    def _look_after_stranded(self) -> None:
        self._floor.give_back_stranded()
        assert self._loop is not None
        self._loop.call_later(STRANDED_AFTER_S / 2, self._look_after_stranded)

    def _pump_ended(self, pumping: asyncio.Task[None]) -> None:
        if not pumping.cancelled() and (error := pumping.exception()) is not None:
            # A fault of ours: without the pump the process is of no use, and its end sets everything right.
            self._log.write("error", "fault", text=f"{type(error).__name__}: {error}", worker_id=self._setup.worker_id)
            self._log.flush()
            raise SystemExit(1) from error

    def _soon(self, call: Any, *args: Any) -> None:
        """Has the event loop do something; from any thread."""
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            return  # the loop is closed: the process is ending

    def _set_clock(self, offset_ms: float) -> None:
        self._claiming.clock_offset_ms = offset_ms

    def _hear(self, news: LeaseNews) -> None:
        for run, why in news.lost:
            self._floor.stop(run, Ending("lost", why))
        for run, wish in news.asked:
            self._floor.stop(run, _wish(wish))

    def _dropped(self, delivery: Delivery, error: BrokerError) -> None:
        self._floor.dropped(delivery, error)

    def _describe(self, running: tuple[SlotInfo, ...]) -> WorkerInfo:
        hold = self._hold
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

    # --- orders of the supervisor ---

    def receive(self, frame: frames.FromSupervisor) -> None:
        """Obeys an order; called on the channel's thread, which does itself what must work while the loop hangs."""
        if not isinstance(frame, frames.Order):
            return
        if frame.do == "stacks":
            self._answer(frame, text=stacks.describe(list(self._hold.runs.values())))
        elif frame.do == "log_level":
            level = str(frame.args.get("level", ""))
            if level in LEVELS:
                self._log.set_level(level)
            self._answer(frame, ok=level in LEVELS, text=f"log level {level}")
        else:
            if frame.do == "end_task" and frame.args.get("mode") == "kill":
                run = self._hold.runs.get(str(frame.args.get("task_id")))
                if run is not None and run.kill_asked is None:
                    run.kill_asked = time.monotonic()
            if frame.do in ("drain", "stop"):
                self._leaving.deadline = time.monotonic() + float(frame.args.get("deadline_s", 0))
            self._soon(self._obey, frame)

    def _obey(self, order: frames.Order) -> None:
        match order.do:
            case "pause":
                self._spawn(self._pause(order))
            case "resume":
                if not self._is_leaving:
                    self._change_state("running")
                    self._claiming.open(self._pump.wake)
                self._answer(order, ok=not self._is_leaving, text="draining" if self._is_leaving else "running")
            case "slots":
                self._hold.slots = int(order.args["slots"])
                self._keeper.beat_soon()
                self._floor.start_waiting()
                self._pump.wake()
                self._answer(order, text=f"{self._hold.slots} slots")
            case "drain":
                self._leave(float(order.args["deadline_s"]), str(order.args.get("why", "drain")), order)
            case "stop":
                self._leave(0.0, str(order.args.get("why", "stop")), order)
                self._leaving.hurry()
            case "end_task":
                self._end_task(order)
            case _:
                self._answer(order, ok=False, text=f"unknown order {order.do!r}")

    async def _pause(self, order: frames.Order) -> None:
        if not self._is_leaving:
            self._change_state("paused")
        await self._leaving.stop_claiming("the worker was paused")
        self._answer(order, text="paused")

    def _end_task(self, order: frames.Order) -> None:
        run = self._hold.runs.get(str(order.args["task_id"]))
        if run is None or run.stage in (Stage.ENDED, Stage.GONE):
            self._answer(order, ok=False, text="not here")
            return
        if run.stage is Stage.RUNNING:
            run.answer.append(lambda ended: self._answer(order, text=_how(ended)))
        else:
            self._answer(order, text="it had not started")
        self._floor.stop(run, _wish(order.args))

    def _change_state(self, state: str) -> None:
        self._state = state
        self._keeper.beat_soon()

    def _answer(self, order: frames.Order, *, ok: bool = True, text: str = "") -> None:
        self._channel.send(frames.Answer(number=order.number, ok=ok, text=text))

    # --- leaving ---

    def _leave(self, grace_s: float, why: str, order: frames.Order | None = None) -> None:
        if not self._is_leaving:
            self._is_leaving = True
            self._change_state("draining")
            self._spawn(self._leave_slowly(grace_s, why))
        elif self._leaving.deadline is not None:
            self._leaving.deadline = min(self._leaving.deadline, time.monotonic() + grace_s)
        if order is not None:
            self._spawn(self._answer_when_quiet(order))

    async def _answer_when_quiet(self, order: frames.Order) -> None:
        await self._pump.quiet()
        self._answer(order, text="draining")

    async def _leave_slowly(self, grace_s: float, why: str) -> None:
        await self._leaving.leave(grace_s=grace_s, why=why)
        self._left.set()

    def _retire(self, victim: Run) -> None:
        """Ends the process for a task that cannot be stopped otherwise; its neighbours get a moment to finish."""
        victims = self._leaving.victims
        victims.add(victim)
        neighbours = self._leaving.neighbours_of(victims)
        self._exit_code = EXIT_RETIRED
        why = f"the task {victim.task.id} does not stop; {neighbours} neighbours are given {NEIGHBOUR_GRACE_S:g} s"
        self._log.write("warning", "retiring", text=why, worker_id=self._setup.worker_id)
        self._channel.send(frames.Retiring(why=why))
        for tell in victim.answer:
            tell(victim)
        victim.answer.clear()
        self._leave(NEIGHBOUR_GRACE_S, "its process ends for another task")

    def orphaned(self) -> None:
        """The supervisor is gone; called on the channel's thread."""
        if self._loop is None:
            os._exit(1)
        self._leaving.deadline = time.monotonic() + ORPHAN_GRACE_S
        self._soon(self._leave, 0.0, "its node died")
        self._soon(self._leaving.hurry)

    # --- the watch over the loop ---

    def tick(self) -> None:
        """Looks at the loop and says that the process is alive; called on the channel's thread."""
        if self._loop is None or not hasattr(self, "_watchdog"):
            return
        now = time.monotonic()
        if now - self._last_alive >= 1.0:
            self._last_alive = now
            self._channel.send(frames.Alive(loop_stalled_s=self._watchdog.lag_s, running=self._hold.running))
        if self._watchdog.should_warn():
            self._warn_of_hanging()
        hanging = self._watchdog.look()
        if hanging is not None:
            self._end_hanging(hanging)

    def _warn_of_hanging(self) -> None:
        blocker = self._watchdog.blocker(list(self._hold.runs.values()))
        name = f"the handler of {blocker.type_name}, task {blocker.task.id}," if blocker else "something"
        self._log.write(
            "warning",
            "loop",
            text=f"{name} holds up the event loop: compute in a plain function or with isolate=True",
            worker_id=self._setup.worker_id,
        )

    def _end_hanging(self, hanging: Hanging) -> None:
        text = f"the event loop has been held up for {hanging.stalled_s:.1f} s: this process ends"
        self._log.write("error", "loop", text=text, worker_id=self._setup.worker_id)
        self._channel.send(frames.Retiring(why=text))
        is_leaving = self._leaving.deadline is not None
        for run in hanging.overdue:
            for tell in run.answer:
                tell(run)
        last_rites.settle(
            self._rites_runner,
            hold=self._hold,
            outbox=self._outbox,
            board=self._board,
            victims={run: self._floor.sentence(run) for run in hanging.overdue},
            blocker=None if is_leaving else hanging.blocker,
        )
        self._log.flush()
        os._exit(EXIT_RETIRED)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._loop is not None
        task = self._loop.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _wish(wish: dict[str, Any]) -> Ending:
    kind = "kill" if wish.get("mode") == "kill" else "cancel"
    by, why = str(wish.get("by", "") or "somebody"), str(wish.get("why", ""))
    return Ending(kind, f"{kind} by {by}" + (f": {why}" if why else ""))


def _how(run: Run) -> str:
    if run.stage is Stage.RUNNING:
        return "it does not stop: its process ends for it"
    return "stopped" if run.ending is not None else "it had ended"
