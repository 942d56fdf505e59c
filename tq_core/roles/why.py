"""Why a task is where it is: what holds it, who did that and when, when it will start, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tq_core import ids
from tq_core.model import TaskState, TaskView
from tq_core.roles import inspector, limits, registry
from tq_core.roles.inspector import QueueStats
from tq_core.roles.spans import span
from tq_core.transport.steps import Flow


class Cure(msgspec.Struct, frozen=True):
    """One thing to do about it."""

    text: str
    command: tuple[str, ...] = ()
    """The words of the `tq` command that does it, without `tq`; empty where none does."""


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """When a task is expected to start, and from what that is worked out."""

    in_ms: int | None
    """From now; None = it cannot be known."""
    words: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Why something is as it is."""

    kind: str
    """task, queue, node or worker."""
    name: str
    code: str
    """What holds it, stable: paused, no_worker, nodes_paused, no_handler, limit, breaker, turn, running, ..."""
    what: str
    """The same in one sentence."""
    facts: tuple[tuple[str, str], ...] = ()
    """Labels and texts: who, when, how much."""
    start: Start | None = None
    """Of tasks that have not begun, and of queues where something waits."""
    cures: tuple[Cure, ...] = ()


class Held(msgspec.Struct, frozen=True):
    """What holds a task, as a code and in words."""

    code: str
    words: str


def in_words(task: TaskView) -> Flow[str]:
    """One line: why a task is where it is."""
    numbers, fleet, homes = yield from facts_of(task, minutes=1)
    return explain(task, numbers, fleet, homes)


def facts_of(task: TaskView, *, minutes: int) -> Flow[tuple[QueueStats, registry.Fleet, dict[str, str]]]:
    """What says why a task is where it is: its queue, the fleet, the queues of its parents."""
    (numbers,) = yield from inspector.stats([task.queue], minutes=minutes)
    fleet = yield from registry.fleet()
    homes: dict[str, str] = {}
    if any(ids.home_of(parent) != task.queue for parent in task.blocked_by):
        homes = yield from inspector.locate(task.blocked_by)
    return numbers, fleet, homes


def explain(task: TaskView, numbers: QueueStats, fleet: registry.Fleet, homes: Mapping[str, str] | None = None) -> str:
    """The words of `why`, from facts that were read before.

    Args:
        homes: The queues of its parents, where they are known.
    """
    return held_by(task, numbers, fleet, homes).words + _expiry(task, numbers.now_ms)


def held_by(task: TaskView, numbers: QueueStats, fleet: registry.Fleet, homes: Mapping[str, str] | None = None) -> Held:
    """What holds a task, its expiry left aside."""
    if task.state is TaskState.PENDING:
        return _pending(task, numbers, fleet)
    if task.state is TaskState.RUNNING:
        return _running(task, numbers.now_ms)
    if task.state is TaskState.BLOCKED:
        if held := task.gate and limits.why_held(task.gate, now_ms=numbers.now_ms):
            return Held(_gate_code(task), held + (f"; {numbers.paused.by} paused the queue" if numbers.paused else ""))
        return Held("parents", _waits_for(task, homes or {}))
    return _otherwise(task, numbers.now_ms)


def _expiry(task: TaskView, now: int) -> str:
    if task.expires_at_ms is None:
        return ""
    left_ms = task.expires_at_ms - now
    if task.state is TaskState.RUNNING:
        return f"; not tried again from {span(left_ms)} on" if left_ms > 0 else "; its time is over: not tried again"
    return f"; expires in {span(left_ms)}" if left_ms > 0 else "; its time is over: it expires at the next upkeep"


def _how_far(task: TaskView) -> str:
    """What this attempt last said of its progress; what an earlier one said is no news."""
    said = task.progress
    if said is None or said.at_ms < (task.started_at_ms or 0):
        return ""
    return f"{said.fraction:.0%} done{': ' + said.text if said.text else ''}; "


def _pending(task: TaskView, numbers: QueueStats, fleet: registry.Fleet) -> Held:
    now = numbers.now_ms
    if numbers.paused:
        why_paused = f" ({numbers.paused.why})" if numbers.paused.why else ""
        ago = span(now - numbers.paused.at_ms)
        return Held("paused", f"waits: {numbers.paused.by} paused the queue {task.queue!r} {ago} ago{why_paused}")
    serving = serving_nodes(task.queue, fleet)
    if not serving:
        return Held("no_worker", f"waits: no live worker serves the queue {task.queue!r}")
    if all(n.state != "running" for n in serving):
        return Held("nodes_paused", f"waits: every worker of the queue {task.queue!r} is paused or draining")
    if task.type != "?" and all(n.types and task.type not in n.types for n in serving):
        return Held("no_handler", f"waits: no live worker of {task.queue!r} knows the type {task.type!r}")
    if held := task.gate and limits.why_held(task.gate, now_ms=now):
        return Held(_gate_code(task), held)
    before = "" if task.position is None else f"{task.position} before it, "
    slots = sum(n.processes * n.slots for n in serving if n.state == "running")
    alone = "; it runs alone next, because its process died with it" if task.runs_alone else ""
    return Held("turn", f"waits its turn: {before}{slots} slots serve the queue{alone}")


def serving_nodes(queue: str, fleet: registry.Fleet) -> list[registry.NodeInfo]:
    """What the live nodes that serve a queue say of themselves."""
    live = [m.info for m in fleet.nodes if m.health != "lost" and isinstance(m.info, registry.NodeInfo)]
    return [node for node in live if queue in node.queues]


def _gate_code(task: TaskView) -> str:
    return "breaker" if task.gate is not None and task.gate.task_type is not None else "limit"


def _running(task: TaskView, now: int) -> Held:
    ran = span(now - (task.started_at_ms or now))
    if task.lease_end_ms is not None and task.lease_end_ms < now:
        words = f"its worker {task.worker_id} has not renewed the lease: it goes back to pending at the next upkeep"
        return Held("lease_overdue", words)
    asked = f"; {task.cancel_asked.get('by', 'somebody')} asked it to stop" if task.cancel_asked else ""
    taken = f"taken {ran} ago by {task.worker_id}, attempt {task.attempt} of {task.max_attempts}{asked}"
    return Held("running", _how_far(task) + taken)


def _otherwise(task: TaskView, now: int) -> Held:
    if task.state is TaskState.SCHEDULED:
        return Held("due", f"due in {span((task.due_at_ms or now) - now)}")
    if task.state is TaskState.RETRYING:
        last = task.history[-1].detail.get("message", "") if task.history else ""
        tail = f": {last}" if last else ""
        due = span((task.due_at_ms or now) - now)
        return Held("retry", f"tries again in {due}; attempt {task.failures} of {task.max_attempts} failed{tail}")
    ended = span(now - (task.finished_at_ms or now))
    if task.state is TaskState.COMPLETED:
        return Held("completed", f"completed {ended} ago in {span(task.duration_ms or 0)} by {task.worker_id}")
    error = task.error or {}
    if task.state is TaskState.FAILED:
        reason = _REASONS.get(error.get("reason", ""), error.get("reason", ""))
        if error.get("not_retried") == "expired":
            reason = "not tried again, because its time was over"
        return Held("failed", f"failed {ended} ago ({reason}): {_first(error)}")
    if error.get("reason") in ("parent_failed", "expired"):
        return Held("cancelled", f"cancelled {ended} ago: {error.get('message', '')}")
    by = f"{error.get('by', 'its queue')}{': ' + error['why'] if error.get('why') else ''}"
    return Held("cancelled", f"cancelled {ended} ago by {by}")


_REASONS = {
    "error": "no attempts left",
    "timeout": "no attempts left, the last ran out of time",
    "memory_limit": "no attempts left, the last used more memory than it may",
    "fatal": "its handler said it can never succeed",
    "poison": "its process died with it again and again",
    "unknown_type": "no worker knows its type",
    "corrupt": "its record cannot be read",
    "parent_failed": "a task it waited for did not complete",
    "bad_arguments": "its arguments do not fit its handler",
    "payload_refused": "its arguments are sealed, and not so that its worker takes them",
    "bad_result": "it ran, but its result cannot be stored",
}


_NAMED_PARENTS = 5


def _waits_for(task: TaskView, homes: Mapping[str, str]) -> str:
    if not task.blocked_by:
        return "waits for other tasks"
    count = len(task.blocked_by)
    shown = [
        _with_home(parent, homes.get(parent, task.queue), task.queue) for parent in task.blocked_by[:_NAMED_PARENTS]
    ]
    named = ", ".join(shown) + (" and others" if count > _NAMED_PARENTS else "")
    ended = len(task.options.depends_on) - count
    before = f"; {ended} of its {count + ended} have ended" if ended > 0 else ""
    then = {"skip": "it is cancelled", "run": "it runs all the same"}.get(
        task.options.on_parent_failure or "", "it fails too"
    )
    what = "the task" if count == 1 else f"{count} tasks:"
    return f"waits for {what} {named}{before}; if one does not complete, {then}"


def _with_home(task_id: str, home: str, own: str) -> str:
    return task_id if home == own else f"{task_id} of the queue {home!r}"


def _first(error: Mapping[str, Any]) -> str:
    return f"{error.get('type', 'error')}: {error.get('message', '')}".strip()
