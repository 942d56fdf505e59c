"""What the supervisor may have a worker do. Each order is answered after it took effect."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tq_worker import frames
from tq_worker.lifecycle_log import LEVELS
from tq_worker.worker import log_records, stacks
from tq_worker.worker.run import Ending, Run, Stage

if TYPE_CHECKING:
    from tq_worker.worker.process import WorkerProcess


class Orders:
    """Obeys the supervisor of one worker."""

    def __init__(self, process: WorkerProcess) -> None:
        self._process = process

    def receive(self, frame: frames.FromSupervisor) -> None:
        """Obeys an order; called on the channel's thread, which does itself what must work while the loop hangs."""
        process = self._process
        if not isinstance(frame, frames.Order):
            return
        if frame.do == "stacks":
            self._answer(frame, text=stacks.describe(list(process.hold.runs.values())))
        elif frame.do == "log_level":
            level = str(frame.args.get("level", ""))
            if level in LEVELS:
                process.log.set_level(level)
                log_records.follow(level)
            self._answer(frame, ok=level in LEVELS, text=f"log level {level}")
        else:
            if frame.do == "end_task" and frame.args.get("mode") == "kill":
                run = process.hold.runs.get(str(frame.args.get("task_id")))
                if run is not None and run.kill_asked is None:
                    run.kill_asked = time.monotonic()
            if frame.do in ("drain", "stop"):
                process.leaving.leave_by(time.monotonic() + float(frame.args.get("deadline_s", 0)))
            process.soon(self._obey, frame)

    def _obey(self, order: frames.Order) -> None:
        process = self._process
        match order.do:
            case "pause":
                process.spawn(self._pause(order))
            case "resume":
                self._resume(order)
            case "slots":
                process.set_slots(int(order.args["slots"]))
                self._answer(order, text=f"{process.hold.slots} slots")
            case "report":
                self._answer(order, data={"is_idle": process.is_idle, "taken": process.claiming.taken})
            case "drain" | "stop":
                process.leave(float(order.args.get("deadline_s", 0)), str(order.args.get("why", order.do)))
                if order.do == "stop":
                    process.leaving.hurry()
                process.spawn(self._answer_when_quiet(order))
            case "end_task":
                self._end_task(order)
            case _:
                self._answer(order, ok=False, text=f"unknown order {order.do!r}")

    async def _pause(self, order: frames.Order) -> None:
        process = self._process
        if not process.is_leaving:
            process.change_state("paused")
        await process.leaving.stop_claiming("the worker was paused")
        self._answer(order, text="paused")

    def _resume(self, order: frames.Order) -> None:
        process = self._process
        if process.is_leaving:
            self._answer(order, ok=False, text="draining")
            return
        process.change_state("running")
        process.claiming.open(process.pump.wake)
        self._answer(order, text="running")

    async def _answer_when_quiet(self, order: frames.Order) -> None:
        await self._process.pump.quiet()
        self._answer(order, text="draining")

    def _end_task(self, order: frames.Order) -> None:
        run = self._process.hold.runs.get(str(order.args["task_id"]))
        if run is None or run.stage in (Stage.ENDED, Stage.GONE):
            self._answer(order, ok=False, text="not here")
            return
        if run.stage is Stage.RUNNING:
            run.answer.append(lambda ended: self._answer(order, text=_how(ended)))
        else:
            self._answer(order, text="it had not started")
        self._process.floor.stop(run, wish(order.args))

    def _answer(
        self, order: frames.Order, *, ok: bool = True, text: str = "", data: dict[str, Any] | None = None
    ) -> None:
        self._process.channel.send(frames.Answer(number=order.number, ok=ok, text=text, data=data or {}))


def wish(asked: dict[str, Any]) -> Ending:
    """What somebody asked of a running task: by, why, mode."""
    kind = "kill" if asked.get("mode") == "kill" else "cancel"
    by, why = str(asked.get("by", "") or "somebody"), str(asked.get("why", ""))
    return Ending(kind, f"{kind} by {by}" + (f": {why}" if why else ""))


def _how(run: Run) -> str:
    if run.stage is Stage.RUNNING:
        return "it does not stop: its process ends for it"
    return "stopped" if run.ending is not None else "it had ended"
