"""Plans for nodes and workers: scale, pause, resume, stop, kill. Each waits for the node's answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tq_console.tui.actions.plan import Level, Plan, Progress, Told, command_line
from tq_console.view.formats import plural
from tq_core.roles import registry
from tq_core.roles.registry import Ack, NodeInfo, WorkerInfo
from tq_core.transport.steps import Flow

ACK_TIMEOUT_S = 10.0
PROCESSES_MAX = 256


def scale(node: NodeInfo, processes: int, *, actor: str, slots: int | None = None) -> Plan:
    """Sets how many worker processes a node runs."""
    args = {"processes": processes} | ({"slots": slots} if slots is not None else {})
    words = ["workers", "scale", node.node_id, str(processes), *(["--slots", str(slots)] if slots is not None else [])]
    is_down = processes < node.processes
    return Plan(
        title=f"Scale {node.node_id} to {plural(processes, 'worker process', 'worker processes')}",
        command=command_line(*words),
        level=Level.BAR if processes == 0 else Level.NONE,
        flow=_order(node.node_id, "scale", args, actor),
        tell=_tell(f"{node.node_id}: {node.processes} → {processes} worker processes"),
        facts=("surplus workers finish their tasks first",) if is_down else (),
    )


def pause(node: NodeInfo, *, actor: str) -> Plan:
    """Stops a node from claiming tasks."""
    return Plan(
        title=f"Pause {node.node_id}",
        command=command_line("workers", "pause", node.node_id),
        level=Level.NONE,
        flow=_order(node.node_id, "pause", {}, actor),
        tell=_tell(f"{node.node_id} is paused; running tasks go on"),
    )


def resume(node: NodeInfo, *, actor: str) -> Plan:
    """Lets a paused node claim tasks again."""
    return Plan(
        title=f"Resume {node.node_id}",
        command=command_line("workers", "resume", node.node_id),
        level=Level.NONE,
        flow=_order(node.node_id, "resume", {}, actor),
        tell=_tell(f"{node.node_id} goes on"),
    )


def stop(node: NodeInfo, running: int, *, actor: str) -> Plan:
    """Stops a node: it takes no more tasks, finishes those it has, and ends."""
    return Plan(
        title=f"Stop {node.node_id} for good",
        command=command_line("workers", "stop", node.node_id),
        level=Level.MODAL,
        flow=_order(node.node_id, "drain", {}, actor),
        tell=_tell(f"{node.node_id} takes no more tasks and ends when its own are done"),
        facts=(
            f"{plural(node.processes, 'worker process', 'worker processes')}, {plural(running, 'running task')}",
            "running tasks are finished first, and given back when that takes too long",
            "nothing starts it again: that is up to whoever started it",
        ),
        word=node.node_id,
    )


def kill(worker: WorkerInfo, *, actor: str) -> Plan:
    """Kills a worker process at once; its node starts another."""
    running = len(worker.running)
    return Plan(
        title=f"Kill the worker process {worker.worker_id}",
        command=command_line("workers", "kill", worker.worker_id),
        level=Level.BAR if running == 0 else Level.MODAL,
        flow=_order(worker.node_id, "kill_worker", {"worker_id": worker.worker_id}, actor),
        tell=_tell(f"{worker.worker_id} was killed; its node starts another"),
        facts=(f"{plural(running, 'running task')} will run again, no attempt is lost", "its node starts another"),
        word=worker.worker_id,
    )


def _order(node_id: str, do: str, args: dict[str, Any], actor: str) -> Callable[[Progress], Flow[Ack | None]]:
    def flow(told: Progress) -> Flow[Ack | None]:
        del told
        command_id = yield from registry.send_command(node_id, do, actor=actor, args=args)
        return (yield from registry.await_ack(command_id, timeout_s=ACK_TIMEOUT_S))

    return flow


def _tell(text: str) -> Callable[[Ack | None], Told]:
    def tell(ack: Ack | None) -> Told:
        if ack is None:
            return Told("no answer within 10 s; it may still be obeyed for some seconds", is_good=False)
        if not ack.ok:
            return Told(f"refused: {ack.text or 'no reason given'}", is_good=False)
        return Told(text)

    return tell
