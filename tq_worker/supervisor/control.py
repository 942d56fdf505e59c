"""The node's inbox: takes commands, obeys them, and answers each one after it took effect.

pause, resume                      stop or go on claiming; what runs, runs on
scale {processes?, slots?}         surplus workers drain first; a number of processes ends autoscaling
autoscale {least, most}            between so many workers, by what waits; without bounds no longer
reload {deadline_s?}               workers that load the code anew take over, one by one; if it is refused, all stay
drain {deadline_s?}                finish what runs, at most so long, then end the node; again: sooner, never later
stop                               end the node at once; what runs is given back at no cost
kill_task {task_id, mode?}         mode cancel asks the handler, kill (default) ends it whatever it does
kill_worker {worker_id}            ends a worker process; its tasks run again
stacks {worker_id?}                what every thread and task is doing
log_level {level}                  debug, info, warning or error

Arguments are checked whole before anything is done (tq_worker.supervisor.command_args).
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

from tq_core.errors import BrokerError, InvalidInputError
from tq_core.roles import registry
from tq_core.roles.registry import Ack, NodeCommand
from tq_core.worker_bounds import Bounds
from tq_worker.supervisor.child import WorkerChild
from tq_worker.supervisor.command_args import MAX_SAID, Args, KillTask, KillWorker, Leave, LogLevel, Scale, Stacks, read
from tq_worker.version import tq_version

if TYPE_CHECKING:
    from tq_core.transport.connection import Endpoint
    from tq_core.transport.runner import AsyncRunner
    from tq_worker.supervisor.command_args import Autoscale
    from tq_worker.supervisor.node import Node

ASK_EVERY_S = 5.0
AFTER_ERROR_S = 1.0
READ_RETRY_FOR_S = 2.0
ACK_RETRY_FOR_S = 30.0
ORDER_TIMEOUT_S = 9.0
STACKS_TIMEOUT_S = 2.0
KILL_TIMEOUT_S = 20.0
CLEANED_UP_S = 5.0


class ControlDesk:
    """Reads the inbox of one node."""

    def __init__(self, node: Node, endpoint: Endpoint, runner: AsyncRunner) -> None:
        """`runner` is the node's own, for what a command sets going; the desk waits and answers on two of its own."""
        from tq_core.transport.runner import AsyncRunner

        self._node, self._node_runner = node, runner
        # A command is taken over one connection and looked at over another, which may have been cut while it was idle.
        self._runner = AsyncRunner(endpoint, retry_for_s=READ_RETRY_FOR_S)
        self._answering = AsyncRunner(endpoint, retry_for_s=ACK_RETRY_FOR_S)
        self._obeying: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Never returns; closes its connections when it is cancelled."""
        try:
            await self._read()
        finally:
            await self._runner.aclose()
            await self._answering.aclose()

    async def _read(self) -> None:
        while True:
            try:
                command = await self._runner.run(registry.next_command(self._node.node_id, timeout_s=ASK_EVERY_S))
            except BrokerError:
                await asyncio.sleep(AFTER_ERROR_S)
                continue
            if command is not None:
                # A slow command must not hold up the next one.
                obeying = self._node.spawn(self._obey(command))
                self._obeying.add(obeying)
                obeying.add_done_callback(self._obeying.discard)

    async def answered(self, within_s: float) -> None:
        """Returns when all commands are answered, or when the time is up."""
        if self._obeying:
            await asyncio.wait(set(self._obeying), timeout=within_s)

    async def _obey(self, command: NodeCommand) -> None:
        by = command.by or "somebody"
        self._node.log.write("info", "command", text=f"{command.do or '(nothing)'} by {by}", args=command.args or None)
        try:
            ack = await self._do(command)
        except InvalidInputError as error:
            ack = Ack(ok=False, text=f"{command.do} cannot be done like this: {error.message}")
        except Exception as error:  # noqa: BLE001 - a command is a seam: its fault must not go unanswered
            ack = Ack(ok=False, text=f"{command.do} failed: {type(error).__name__}: {error}")
            self._node.log.write("error", "fault", text=ack.text)
        try:
            await self._answering.run(registry.acknowledge(command.id, ack))
        except BrokerError as error:
            self._node.log.write("warning", "command", text=f"the answer to {command.do} is lost: {error.message}")
        if ack.ok and command.do == "stop":
            self._node.hurry(f"stop by {by}")

    async def _do(self, command: NodeCommand) -> Ack:
        # Most nodes live without a command.
        from tq_worker.supervisor.command_args import (
            Autoscale,
            KillTask,
            Leave,
            Scale,
        )

        args, node = command.args, self._node
        match command.do:
            case "pause" | "resume":
                read(args, Args)
                return await self._pause(is_paused=command.do == "pause")
            case "scale":
                return await self._scale(read(args, Scale))
            case "autoscale":
                return self._autoscale(read(args, Autoscale))
            case "reload":
                return await node.rolling.reload(self._within(read(args, Leave)))
            case "drain":
                return await self._drain(self._within(read(args, Leave)), command.by)
            case "stop":
                read(args, Args)
                return Ack(ok=True, text="stopping")
            case "kill_task":
                return await self._end_task(read(args, KillTask), command.by)
            case "kill_worker":
                return await self._kill_worker(read(args, KillWorker).worker_id)
            case "stacks":
                return await self._stacks(read(args, Stacks).worker_id)
            case "log_level":
                return await self._log_level(read(args, LogLevel).level)
        if not command.do:
            return Ack(ok=False, text="the command cannot be read")
        known = ", ".join(sorted(registry.COMMANDS))
        return Ack(
            ok=False,
            text=f"{command.do[:MAX_SAID]!r} is not known to tq {tq_version()}: it knows {known}",
        )

    def _within(self, given: Leave) -> float:
        return self._node.settings.drain_timeout_s if given.deadline_s is None else given.deadline_s

    async def _pause(self, *, is_paused: bool) -> Ack:
        if self._node.is_leaving:
            return Ack(ok=False, text="the node is leaving")
        self._node.is_paused = is_paused
        answers = await self._order_all("pause" if is_paused else "resume")
        self._node.beat_soon()
        return _summary(answers, "paused" if is_paused else "running")

    async def _order_all(self, do: str, **args: Any) -> list[tuple[WorkerChild, bool, str]]:
        children = [child for child in self._node.working() if not child.is_draining]
        answers = await asyncio.gather(*(child.order(do, timeout_s=ORDER_TIMEOUT_S, **args) for child in children))
        return [(child, answer.ok, answer.text) for child, answer in zip(children, answers, strict=True)]

    async def _scale(self, wanted: Scale) -> Ack:
        node = self._node
        if node.is_leaving:
            return Ack(ok=False, text="the node is leaving")
        said = []
        if wanted.slots is not None:
            node.slots = wanted.slots
            told = _summary(await self._order_all("slots", slots=wanted.slots), f"{wanted.slots} slots each")
            if not told.ok:
                return told
            said.append(told.text)
        if wanted.processes is not None:
            if node.scaling.stop_autoscaling():
                said.append("autoscaling is off now")
            done = await node.scaling.scale(wanted.processes)
            said.append(
                f"{wanted.processes} workers"
                + (f", {done.new} new" if done.new else "")
                + (f", {done.late} of them have not begun yet" if done.late else "")
                + (f", {done.leaving} drain" if done.leaving else "")
            )
        node.beat_soon()
        return Ack(ok=bool(said), text=", ".join(said) or "say processes or slots")

    def _autoscale(self, wanted: Autoscale) -> Ack:
        node = self._node
        if node.is_leaving:
            return Ack(ok=False, text="the node is leaving")
        if wanted.least is None and wanted.most is None:
            node.scaling.stop_autoscaling()
            return Ack(ok=True, text=f"autoscaling is off, {node.processes} workers")
        if wanted.least is None or wanted.most is None or not (bounds := Bounds(wanted.least, wanted.most)).is_valid:
            return Ack(
                ok=False, text="say the least and the most workers, at least one, and the least not above the most"
            )
        node.scaling.autoscale(bounds, self._node_runner)
        return Ack(ok=True, text=f"between {bounds.least} and {bounds.most} workers, by what waits")

    async def _drain(self, deadline_s: float, by: str) -> Ack:
        draining = self._node.leave(f"drain by {by or 'somebody'}", deadline_s)
        if draining is None:
            return Ack(ok=True, text=f"the node is leaving already, in {self._node.leaves_in_s:.0f} s at most")
        await draining
        return Ack(ok=True, text="draining")

    async def _end_task(self, asked: KillTask, by: str) -> Ack:
        order = {"task_id": asked.task_id, "mode": asked.mode, "by": by}
        if asked.why:
            order["why"] = asked.why
        children = self._node.working()
        asking = [asyncio.create_task(child.order("end_task", timeout_s=KILL_TIMEOUT_S, **order)) for child in children]
        try:
            for answered in asyncio.as_completed(asking):
                answer = await answered
                if answer.ok:
                    return Ack(ok=True, text=answer.text)
        finally:
            for task in asking:
                task.cancel()
        return Ack(ok=False, text="no worker of this node holds the task")

    async def _kill_worker(self, worker_id: str) -> Ack:
        for child in self._node.working():
            if child.worker_id == worker_id:
                child.signal(signal.SIGKILL)
                await child.dead.wait()
                await self._node.cleaned_up(CLEANED_UP_S)
                return Ack(ok=True, text=f"{worker_id} is dead, its tasks are given back")
        return Ack(ok=False, text=f"no worker {worker_id!r} here")

    async def _stacks(self, worker_id: str | None) -> Ack:
        children = [child for child in self._node.working() if worker_id in (None, child.worker_id)]
        texts = await asyncio.gather(*(child.stacks(timeout_s=STACKS_TIMEOUT_S) for child in children))
        data = {child.worker_id: text for child, text in zip(children, texts, strict=True)}
        return Ack(ok=bool(data), text=f"{len(data)} workers", data=data)

    async def _log_level(self, level: str) -> Ack:
        self._node.log_level = level
        self._node.log.set_level(level)
        return _summary(await self._order_all("log_level", level=level), f"log level {level}")


def _summary(answers: list[tuple[WorkerChild, bool, str]], done: str) -> Ack:
    failed = [f"{child.worker_id}: {text}" for child, ok, text in answers if not ok]
    if failed:
        return Ack(ok=False, text="; ".join(failed))
    return Ack(ok=True, text=done)
