"""The node's inbox: takes commands, obeys them, and answers each one after it took effect.

pause, resume                      stop or go on claiming; what runs, runs on
scale {processes?, slots?}         surplus workers drain first
drain {deadline_s?}                finish what runs, at most so long, then end the node
stop                               end the node at once; what runs is given back at no cost
kill_task {task_id, mode?}         mode cancel asks the handler, kill (default) ends it whatever it does
kill_worker {worker_id}            ends a worker process; its tasks run again
stacks {worker_id?}                what every thread and task is doing
log_level {level}                  debug, info, warning or error
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

from tq_core.errors import BrokerError
from tq_core.roles import registry
from tq_core.roles.registry import Ack, NodeCommand
from tq_worker.lifecycle_log import LEVELS
from tq_worker.settings import MAX_PROCESSES, MAX_SLOTS
from tq_worker.supervisor.child import WorkerChild

if TYPE_CHECKING:
    from tq_core.transport.connection import Endpoint
    from tq_worker.supervisor.node import Node

ASK_EVERY_S = 5.0
AFTER_ERROR_S = 1.0
ACK_RETRY_FOR_S = 30.0
ORDER_TIMEOUT_S = 9.0
STACKS_TIMEOUT_S = 2.0
KILL_TIMEOUT_S = 20.0
CLEANED_UP_S = 5.0


class ControlDesk:
    """Reads the inbox of one node."""

    def __init__(self, node: Node, endpoint: Endpoint) -> None:
        from tq_core.transport.runner import AsyncRunner

        self._node = node
        self._runner = AsyncRunner(endpoint, retry_for_s=0.0)
        self._answering = AsyncRunner(endpoint, retry_for_s=ACK_RETRY_FOR_S)

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
                self._node.spawn(self._obey(command))

    async def _obey(self, command: NodeCommand) -> None:
        by = command.by or "somebody"
        self._node.log.write("info", "command", text=f"{command.do} by {by}", args=command.args or None)
        try:
            ack = await self._do(command)
        except (ValueError, TypeError, KeyError) as error:
            ack = Ack(ok=False, text=f"{command.do} cannot be done like this: {type(error).__name__}: {error}")
        try:
            await self._answering.run(registry.acknowledge(command.id, ack))
        except BrokerError as error:
            self._node.log.write("warning", "command", text=f"the answer to {command.do} is lost: {error.message}")
        if ack.ok and command.do == "stop":
            self._node.hurry(f"stop by {by}")

    async def _do(self, command: NodeCommand) -> Ack:
        args = command.args
        match command.do:
            case "pause":
                return await self._pause(is_paused=True)
            case "resume":
                return await self._pause(is_paused=False)
            case "scale":
                return await self._scale(args)
            case "drain":
                return await self._drain(command)
            case "stop":
                return Ack(ok=True, text="stopping")
            case "kill_task":
                return await self._end_task(args, command.by)
            case "kill_worker":
                return await self._kill_worker(str(args["worker_id"]))
            case "stacks":
                return await self._stacks(args.get("worker_id"))
            case "log_level":
                return await self._log_level(str(args["level"]))
        return Ack(ok=False, text=f"{command.do} is not known here")

    def _working(self) -> list[WorkerChild]:
        return [seat.child for seat in self._node.seats if seat.child is not None and seat.child.is_working]

    async def _pause(self, *, is_paused: bool) -> Ack:
        if self._node.is_leaving:
            return Ack(ok=False, text="the node is leaving")
        self._node.is_paused = is_paused
        answers = await self._order_all("pause" if is_paused else "resume")
        self._node.beat_soon()
        return _summary(answers, "paused" if is_paused else "running")

    async def _order_all(self, do: str, **args: Any) -> list[tuple[WorkerChild, bool, str]]:
        children = [child for child in self._working() if not child.is_draining]
        answers = await asyncio.gather(*(child.order(do, timeout_s=ORDER_TIMEOUT_S, **args) for child in children))
        return [(child, answer.ok, answer.text) for child, answer in zip(children, answers, strict=True)]

    async def _scale(self, args: dict[str, Any]) -> Ack:
        if self._node.is_leaving:
            return Ack(ok=False, text="the node is leaving")
        processes, slots = args.get("processes"), args.get("slots")
        said = []
        if slots is not None:
            if not 1 <= int(slots) <= MAX_SLOTS:
                return Ack(ok=False, text=f"slots must be from 1 to {MAX_SLOTS}")
            self._node.slots = int(slots)
            await self._order_all("slots", slots=int(slots))
            said.append(f"{slots} slots each")
        if processes is not None:
            if not 0 <= int(processes) <= MAX_PROCESSES:
                return Ack(ok=False, text=f"processes must be from 0 to {MAX_PROCESSES}")
            new, leaving = await self._node.scale(int(processes))
            said.append(
                f"{processes} workers" + (f", {new} new" if new else "") + (f", {leaving} drain" if leaving else "")
            )
        self._node.beat_soon()
        return Ack(ok=bool(said), text=", ".join(said) or "say processes or slots")

    async def _drain(self, command: NodeCommand) -> Ack:
        deadline_s = float(command.args.get("deadline_s", self._node.settings.drain_timeout_s))
        draining = self._node.leave(f"drain by {command.by or 'somebody'}", deadline_s)
        if draining is None:
            return Ack(ok=True, text="the node is leaving already")
        await draining
        return Ack(ok=True, text="draining")

    async def _end_task(self, args: dict[str, Any], by: str) -> Ack:
        order = {"task_id": str(args["task_id"]), "mode": str(args.get("mode", "kill")), "by": by}
        if why := args.get("why"):
            order["why"] = str(why)
        children = self._working()
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
        for child in self._working():
            if child.worker_id == worker_id:
                child.signal(signal.SIGKILL)
                await child.dead.wait()
                await self._node.cleaned_up(CLEANED_UP_S)
                return Ack(ok=True, text=f"{worker_id} is dead, its tasks are given back")
        return Ack(ok=False, text=f"no worker {worker_id!r} here")

    async def _stacks(self, worker_id: object) -> Ack:
        children = [child for child in self._working() if worker_id in (None, child.worker_id)]
        texts = await asyncio.gather(*(child.stacks(timeout_s=STACKS_TIMEOUT_S) for child in children))
        data = {child.worker_id: text for child, text in zip(children, texts, strict=True)}
        return Ack(ok=bool(data), text=f"{len(data)} workers", data=data)

    async def _log_level(self, level: str) -> Ack:
        if level not in LEVELS:
            return Ack(ok=False, text=f"the level must be one of {', '.join(LEVELS)}")
        self._node.log_level = level
        self._node.log.set_level(level)
        return _summary(await self._order_all("log_level", level=level), f"log level {level}")


def _summary(answers: list[tuple[WorkerChild, bool, str]], done: str) -> Ack:
    failed = [f"{child.worker_id}: {text}" for child, ok, text in answers if not ok]
    if failed:
        return Ack(ok=False, text="; ".join(failed))
    return Ack(ok=True, text=done)
