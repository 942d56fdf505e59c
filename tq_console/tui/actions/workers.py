"""Plans for nodes and workers: scale, pause, resume, stop, kill. Each waits for the node's answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tq_console.tui.actions.plan import Level, Plan, Progress, Told, command_line
from tq_console.view.formats import plural
from tq_core.roles import registry
from tq_core.roles.registry import Ack, NodeInfo, WorkerInfo
from tq_core.transport.steps import Flow
from tq_core.worker_bounds import Bounds

ACK_TIMEOUT_S = 10.0
RELOAD_TIMEOUT_S = 55.0
"""Answers are kept for a minute."""
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
        inverse=lambda: _scale_back(node, processes, slots, actor=actor),
    )


def _scale_back(node: NodeInfo, processes: int, slots: int | None, *, actor: str) -> Plan:
    """As it was, also where it set its number itself."""
    if node.autoscale is not None:
        return autoscale(node, Bounds(node.autoscale.least, node.autoscale.most), actor=actor)
    now = msgspec.structs.replace(node, processes=processes, slots=slots or node.slots)
    return scale(now, node.processes, slots=None if slots is None else node.slots, actor=actor)


def autoscale(node: NodeInfo, bounds: Bounds | None, *, actor: str) -> Plan:
    """Has a node set its number of worker processes itself, or no more."""
    args = {} if bounds is None else {"least": bounds.least, "most": bounds.most}
    said = "off" if bounds is None else f"{bounds.least}:{bounds.most}"
    text = "keeps its number" if bounds is None else f"sets its processes between {bounds.least} and {bounds.most}"
    return Plan(
        title=f"Autoscale {node.node_id} {said}",
        command=command_line("workers", "autoscale", node.node_id, said),
        level=Level.NONE,
        flow=_order(node.node_id, "autoscale", args, actor),
        tell=_tell(f"{node.node_id} {text}"),
        inverse=lambda: _autoscale_back(node, actor=actor),
    )


def _autoscale_back(node: NodeInfo, *, actor: str) -> Plan:
    if node.autoscale is not None:
        return autoscale(node, Bounds(node.autoscale.least, node.autoscale.most), actor=actor)
    return scale(node, node.processes, actor=actor)


def reload(node: NodeInfo, *, actor: str) -> Plan:
    """Replaces each worker of a node by one with the code as it is now."""
    return Plan(
        title=f"Reload the code of {node.node_id}",
        command=command_line("workers", "reload", node.node_id),
        level=Level.BAR,
        flow=_order(node.node_id, "reload", {}, actor, timeout_s=RELOAD_TIMEOUT_S),
        tell=_tell(f"{node.node_id}: every worker has the code of now", timeout_s=RELOAD_TIMEOUT_S),
        facts=(
            f"{plural(node.processes, 'worker process', 'worker processes')} in turn; running tasks finish",
            "where the code cannot be loaded all stay as they are",
        ),
        word=node.node_id,
    )


def pause(node: NodeInfo, *, actor: str) -> Plan:
    """Stops a node from claiming tasks."""
    return Plan(
        title=f"Pause {node.node_id}",
        command=command_line("workers", "pause", node.node_id),
        level=Level.NONE,
        flow=_order(node.node_id, "pause", {}, actor),
        tell=_tell(f"{node.node_id} is paused; running tasks go on"),
        inverse=lambda: resume(node, actor=actor),
    )


def resume(node: NodeInfo, *, actor: str) -> Plan:
    """Lets a paused node claim tasks again."""
    return Plan(
        title=f"Resume {node.node_id}",
        command=command_line("workers", "resume", node.node_id),
        level=Level.NONE,
        flow=_order(node.node_id, "resume", {}, actor),
        tell=_tell(f"{node.node_id} goes on"),
        inverse=lambda: pause(node, actor=actor),
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


def _order(
    node_id: str, do: str, args: dict[str, Any], actor: str, *, timeout_s: float = ACK_TIMEOUT_S
) -> Callable[[Progress], Flow[Ack | None]]:
    def flow(told: Progress) -> Flow[Ack | None]:
        del told
        command_id = yield from registry.send_command(node_id, do, actor=actor, args=args)
        return (yield from registry.await_ack(command_id, timeout_s=timeout_s))

    return flow


def _tell(text: str, *, timeout_s: float = ACK_TIMEOUT_S) -> Callable[[Ack | None], Told]:
    def tell(ack: Ack | None) -> Told:
        if ack is None:
            return Told(f"no answer within {timeout_s:g} s; it may still be obeyed for some seconds", is_good=False)
        if not ack.ok:
            return Told(f"refused: {ack.text or 'no reason given'}", is_good=False)
        return Told(text)

    return tell
