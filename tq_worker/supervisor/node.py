"""A node: one supervisor and its workers, from the first to the last line."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import time
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from tq_core.errors import BrokerError, SchemaTooNewError, TqError
from tq_core.roles import registry
from tq_core.roles.registry import NodeInfo
from tq_worker import exit_codes, frames
from tq_worker.ending import end_all
from tq_worker.exit_codes import exit_code_of
from tq_worker.exits import describe_exit
from tq_worker.lifecycle_log import LifecycleLog
from tq_worker.settings import NodeSettings, least_taken_cpu, new_node_id
from tq_worker.supervisor import aftermath, upkeep
from tq_worker.supervisor.broker_link import open_link
from tq_worker.supervisor.broker_pulse import BrokerPulse
from tq_worker.supervisor.child import WorkerChild
from tq_worker.supervisor.control import ControlDesk
from tq_worker.supervisor.description import describe
from tq_worker.supervisor.exposure import Exposure, ListenError
from tq_worker.supervisor.heartbeat import NodeHeartbeat
from tq_worker.supervisor.processes import WorkerProcesses
from tq_worker.supervisor.rolling import Rolling
from tq_worker.supervisor.scaling import Scaling
from tq_worker.supervisor.seat import Seat
from tq_worker.supervisor.signals import Signals
from tq_worker.zygote import Zygote

if TYPE_CHECKING:
    from tq_core.transport.runner import AsyncRunner
    from tq_worker.supervisor.systemd import ServiceManager

T = TypeVar("T")

CLEANED_UP_S = 5.0
ANSWERED_S = 1.0
SIGN_OFF_S = 3.0
HURRY_CLEANED_UP_S = 2.0


class Node:
    """Starts workers, keeps them, and ends them."""

    def __init__(
        self,
        settings: NodeSettings,
        log: LifecycleLog,
        *,
        zygote: Zygote | None = None,
        manager: ServiceManager | None = None,
    ) -> None:
        self.settings, self.log = settings, log
        self._zygote = zygote
        self.node_id = new_node_id(settings.name)
        self.processes, self.slots = settings.processes, settings.slots
        self.is_paused = False
        self.is_leaving = False
        self.seats: list[Seat] = []
        self.restarts = 0
        self.log_level = settings.log_level
        self.rolling = Rolling(self)
        self.scaling = Scaling(self)
        self._numbers = itertools.count(1)
        self._first: frames.Ready | None = None
        self._runner: AsyncRunner | None = None
        self._heartbeat: NodeHeartbeat | None = None
        self._seat_tasks: dict[Seat, asyncio.Task[None]] = {}
        self._services: list[asyncio.Task[Any]] = []
        self._upkeep: list[asyncio.Task[None]] = []
        self._cleaning: set[asyncio.Task[None]] = set()
        self._is_hurried = False
        self._leave_by = math.inf
        self._left = asyncio.Event()
        self._opening = asyncio.Lock()
        self._failure: TqError | None = None
        self.started_at_ms = int(time.time() * 1000)
        self.pulse = BrokerPulse()
        self._exposure = Exposure(self, manager)

    async def run(self) -> tuple[int, str]:
        """Runs the node to its end; returns the exit code and what went wrong, one line, for stderr."""
        self.worker_processes = WorkerProcesses(self.log, self._zygote)
        try:
            await self._exposure.open()
            return await self._run()
        except ListenError as error:
            return exit_code_of(error), error.message
        finally:
            self._exposure.close()
            self.worker_processes.close()

    async def _run(self) -> tuple[int, str]:
        Signals(leave=self._signalled, hurry=self.hurry, reload=self.rolling.reload_soon).install()
        self.open_seat()
        refusal = await self._first_worker()
        if refusal is not None:
            await self._close_seats()
            return refusal
        if not self.is_leaving:
            self.fill_seats()
            self.rolling.start()
            await self._left.wait()
        await self._close_seats()
        await self._sign_off()
        return exit_codes.OK, ""

    # --- starting ---

    async def _first_worker(self) -> tuple[int, str] | None:
        """Waits for the first worker; returns why the node cannot run."""
        seat = self.seats[0]
        child = await seat.first_child
        deciding = asyncio.create_task(child.decided.wait())
        leaving = asyncio.create_task(self._left.wait())
        await asyncio.wait({deciding, leaving}, return_when=asyncio.FIRST_COMPLETED)
        deciding.cancel()
        leaving.cancel()
        if self.is_leaving:
            return None
        if child.refused is not None:
            seat.close()
            return child.refused.exit_code, child.refused.message
        if child.ready is None:
            seat.close()
            await child.dead.wait()
            modules = ", ".join(app.partition(":")[0] for app in self.settings.apps)
            how = f"the first worker {describe_exit(child.exit_code)} while it loaded your code"
            return exit_codes.FAILED, f"{how}: see where with `python -X faulthandler -c 'import {modules}'`"
        working = asyncio.create_task(seat.working.wait())
        seating = self._seat_tasks[seat]
        leaving = asyncio.create_task(self._left.wait())
        while not self._failure and not working.done() and not seating.done() and not leaving.done():
            await asyncio.wait({working, seating, leaving}, timeout=0.05, return_when=asyncio.FIRST_COMPLETED)
        working.cancel()
        leaving.cancel()
        if self._failure is not None:
            seat.close()
            return exit_code_of(self._failure), self._failure.message
        return None

    async def admit(self, child: WorkerChild) -> bool:
        """Lets a worker begin; the first one tells which broker and queues the node serves."""
        assert child.ready is not None
        # Not given up half-way when the worker dies meanwhile.
        opening = asyncio.create_task(self._open_once(child.ready))
        return await asyncio.shield(opening) and not self.is_leaving

    async def _open_once(self, ready: frames.Ready) -> bool:
        async with self._opening:
            if self._runner is None:
                try:
                    await self._open(ready)
                except TqError as error:
                    self._failure = error
        return self._runner is not None

    async def _open(self, ready: frames.Ready) -> None:
        if ready.notice:
            self.log.write("info", "broker", text=ready.notice)
        broker, runner = await asyncio.to_thread(open_link, ready.url, self.node_id)
        if broker.notice:
            self.log.write("warning", "broker", text=broker.notice)
        self._broker = broker
        self._first = ready
        kept_up = await upkeep.register(runner, ready.queues, self.log)
        self._heartbeat = NodeHeartbeat(
            runner,
            every_s=self.settings.heartbeat_s,
            describe=self.describe,
            types=ready.types,
            schedules=ready.schedules,
            pulse=self.pulse,
        )
        await self._heartbeat.beat()
        self._runner = runner
        self.spawn(self._heartbeat.run())
        self._keep_up(runner, kept_up)
        self._desk = ControlDesk(self, broker.endpoint, runner)
        self.spawn(self._desk.run())
        if self.settings.autoscale is not None:
            self.scaling.autoscale(self.settings.autoscale, runner)
        if self.settings.is_burst:
            from tq_worker.supervisor.burst import run_burst

            self.spawn(run_burst(self, runner))
        self.log.write(
            "info",
            "node",
            text=f"{self.node_id} serves {', '.join(ready.queues)} on {ready.display}",
            types=len(ready.types),
            processes=self.processes,
            slots=self.slots,
        )

    def _keep_up(self, runner: AsyncRunner, queues: Sequence[str]) -> None:
        self._upkeep = [
            self.spawn(upkeep.keep_up(runner, queues, self.log, self.pulse)),
            self.spawn(upkeep.carry(runner, queues, self.log)),
        ]

    async def adopt(self, ready: frames.Ready) -> None:
        """Becomes a node of the code that was loaded anew: its queues, types and schedules.

        Raises:
            BrokerError: the broker was not reached; nothing was changed.
        """
        assert self._runner is not None
        assert self._heartbeat is not None
        try:
            kept_up = await upkeep.register(self._runner, ready.queues, self.log)
        except SchemaTooNewError as error:
            self.log.write("error", "broker", text=error.message)
            return
        self._first = ready
        self._heartbeat.publish(ready.types, ready.schedules)
        await end_all(self._upkeep)
        self._keep_up(self._runner, kept_up)

    def new_setup(self, cpu: int | None) -> frames.Setup:
        """What the next worker is told."""
        given, first = self.settings, self._first
        return frames.Setup(
            worker_id=f"{self.node_id}.{next(self._numbers)}",
            node_id=self.node_id,
            apps=given.apps,
            app_dir=given.app_dir,
            url=first.url if first is not None and given.context is None else given.url,
            context=given.context,
            queues=given.queues,
            order=given.order,
            slots=self.slots,
            weights=given.weights,
            max_tasks=given.max_tasks,
            lease_s=given.lease_s,
            heartbeat_s=given.heartbeat_s,
            event_loop=given.event_loop,
            log_format=given.log_format,
            log_level=self.log_level,
            counts=given.http is not None,
            tracing=given.tracing,
            max_memory_mb=given.max_memory_mb,
            cpu=cpu,
        )

    def new_go(self) -> frames.Go:
        """What a worker is told that begins: it may have loaded its code for long."""
        return frames.Go(is_paused=self.is_paused, slots=self.slots, log_level=self.log_level)

    # --- seats ---

    def open_seat(self, *, is_trial: bool = False) -> Seat:
        """Has one more worker; one on trial is not replaced unless it has begun."""
        taken = [seat.cpu for seat in self.seats if not seat.is_closed]
        cpu = least_taken_cpu(taken) if self.settings.is_pinned else None
        seat = Seat(self, is_trial=is_trial, cpu=cpu)
        self.seats.append(seat)
        task = self._seat_tasks[seat] = asyncio.create_task(seat.keep())
        task.add_done_callback(lambda _: self._seat_ended(seat))
        return seat

    def _seat_ended(self, seat: Seat) -> None:
        task = self._seat_tasks.pop(seat)
        if seat in self.seats:
            self.seats.remove(seat)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.write("error", "fault", text=f"{type(error).__name__}: {error}")
        self.beat_soon()
        if self.is_leaving and not self.seats:
            self._left.set()

    def open_seats(self) -> list[Seat]:
        """Seats that are not being emptied; without that of a successor that has not begun."""
        return [seat for seat in self.seats if not seat.is_closed and not seat.is_trial]

    def working(self) -> list[WorkerChild]:
        """Workers that have begun, those that drain too."""
        return [seat.child for seat in self.seats if seat.child is not None and seat.child.is_working]

    def fill_seats(self) -> None:
        """Has as many workers as it should, where there are fewer."""
        while len(self.open_seats()) < self.processes and not self.is_leaving:
            self.open_seat()

    def said(self, child: WorkerChild, frame: frames.FromWorker) -> None:
        """Learns from a worker."""
        self._exposure.heard(child, frame)
        if isinstance(frame, frames.Retiring):
            self.log.write("debug", "worker", text=frame.why, worker_id=child.worker_id)
        elif isinstance(frame, frames.Worn):
            self.spawn(self.rolling.recycle(child, frame.why))

    def died(self, child: WorkerChild, exit_code: int) -> None:
        """Gives back what a dead worker held, in the background."""
        if exit_code != 0 and not child.retiring and not child.is_trial:
            self.restarts += 1
        self._exposure.gone(child)
        noted = child.close_board()
        child.exit_code = exit_code
        child.dead.set()
        if self._runner is None or self._first is None:
            return
        cleaning = asyncio.create_task(
            aftermath.give_back(
                self._runner,
                self.log,
                worker_id=child.worker_id,
                queues=(child.ready or self._first).queues,
                noted=noted,
                exit_code=exit_code,
                metrics=self._exposure.metrics,
            )
        )
        self._cleaning.add(cleaning)
        cleaning.add_done_callback(self._cleaning.discard)

    @property
    def is_cleaning(self) -> bool:
        """Whether something of a dead worker is still to be given back."""
        return bool(self._cleaning)

    async def cleaned_up(self, within_s: float) -> None:
        """Returns when nothing of dead workers is left to give back, or when the time is up."""
        if self._cleaning:
            await asyncio.wait(set(self._cleaning), timeout=within_s)

    # --- state ---

    @property
    def is_serving(self) -> bool:
        """Whether the broker was reached and a worker admitted."""
        return self._runner is not None

    @property
    def state(self) -> str:
        return "draining" if self.is_leaving else "paused" if self.is_paused else "running"

    @property
    def queues(self) -> tuple[str, ...]:
        """Those that it serves; none before the code is loaded."""
        return self._first.queues if self._first is not None else ()

    def describe(self) -> NodeInfo:
        """What the heartbeat says."""
        return describe(self, self._first)

    def beat_soon(self) -> None:
        """Shows a change at once."""
        self._exposure.changed()
        if self._heartbeat is not None:
            self._heartbeat.beat_soon()

    # --- leaving ---

    @property
    def leaves_in_s(self) -> float:
        """How long running tasks may take yet; infinite while it does not leave."""
        return max(0.0, self._leave_by - time.monotonic())

    def _signalled(self, name: str) -> None:
        self.leave(name, self.settings.drain_timeout_s)

    def leave(self, why: str, deadline_s: float) -> asyncio.Future[Any] | None:
        """Drains all workers, then ends the node; the future is done when they have stopped claiming.

        A node that leaves already can only be made to leave sooner; None when it is not.
        """
        now = time.monotonic()
        if now + deadline_s >= self._leave_by:
            return None
        self.is_leaving, self._leave_by = True, now + deadline_s
        self.log.write("info", "node", text=f"{why}: draining, at most {deadline_s:g} s")
        self._exposure.changed(deadline_s)
        self.beat_soon()
        if not self.seats:
            self._left.set()
        return asyncio.gather(*(seat.leave(deadline_s=deadline_s, why=why) for seat in list(self.seats)))

    def hurry(self, why: str) -> None:
        """Ends the node at once; what runs is given back."""
        if self._is_hurried:
            return
        self.is_leaving = self._is_hurried = True
        self._leave_by = 0.0
        self.log.write("info", "node", text=f"{why}: stopping at once")
        self._exposure.changed()
        for seat in list(self.seats):
            seat.hurry(why)
        if not self.seats:
            self._left.set()

    async def _close_seats(self) -> None:
        for seat in list(self.seats):
            if not self.is_leaving:
                seat.hurry("the node cannot run")
        while self._seat_tasks:
            await asyncio.wait(set(self._seat_tasks.values()))

    async def _sign_off(self) -> None:
        # It may just be signing on, with a heartbeat on its way that nobody would take back.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SIGN_OFF_S), self._opening:
                pass
        if self._runner is None:
            return
        await self.cleaned_up(HURRY_CLEANED_UP_S if self._is_hurried else CLEANED_UP_S)
        await self._desk.answered(ANSWERED_S)
        await end_all(self._services)
        with contextlib.suppress(BrokerError, TimeoutError):
            async with asyncio.timeout(SIGN_OFF_S):
                await self._runner.run(registry.depart("node", [self.node_id]))
        self.log.write("info", "node", text=f"{self.node_id} has left")
        await self._runner.aclose()
        await asyncio.to_thread(self._broker.close)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Does something in the background for as long as the node lives."""
        task = asyncio.create_task(work)
        self._services.append(task)
        task.add_done_callback(self._service_ended)
        return task

    def _service_ended(self, task: asyncio.Task[Any]) -> None:
        if task in self._services:
            self._services.remove(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.write("error", "fault", text=f"{type(error).__name__}: {error}")
