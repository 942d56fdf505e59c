"""Why a task waits, runs or has ended, with when it is expected to start and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from tq_core.model import TaskState, TaskView
from tq_core.roles import inspector, limits, why
from tq_core.roles.inspector import QueueStats
from tq_core.roles.registry import Fleet, WorkerInfo
from tq_core.roles.spans import span
from tq_core.roles.why import Answer, Cure, Held, Start
from tq_core.transport.steps import Flow

MINUTES = 5
RATE_S = 120
"""Over how much time the rate is measured by which a start is expected."""


def why_task(task_id: str) -> Flow[Answer]:
    """Why a task is where it is.

    Raises:
        NotFoundError: it is not there (any more).
        InvalidInputError: this is no task id.
    """
    task = yield from inspector.show_one(task_id, payload_max=0)
    numbers, fleet, homes = yield from why.facts_of(task, minutes=MINUTES)
    held = why.held_by(task, numbers, fleet, homes)
    return Answer(
        kind="task",
        name=task.id,
        code=held.code,
        what=why.explain(task, numbers, fleet, homes),
        facts=tuple(_facts(task, numbers, fleet)),
        start=_start(task, held, numbers, fleet),
        cures=tuple(_cures(task, held, fleet)),
    )


def ended_per_s(numbers: QueueStats) -> float:
    """Runs of a queue that end per second, well or not: as many slots become free."""
    return numbers.rate_per_s("completed", window_s=RATE_S) + numbers.rate_per_s("failures", window_s=RATE_S)


def slots_of(queue: str, fleet: Fleet) -> tuple[int, int]:
    """How many slots serve a queue, and how many of them are busy, with whatever.

    Counted are those of worker processes that live: what a node is told to run does nothing while it does not run.
    """
    names = {node.node_id for node in why.serving_nodes(queue, fleet) if node.state == "running"}
    live = [
        member.info
        for member in fleet.workers
        if member.health != "lost" and isinstance(member.info, WorkerInfo) and member.info.node_id in names
    ]
    return sum(worker.slots for worker in live), sum(len(worker.running) for worker in live)


def per_s(rate: float) -> str:
    """A measured rate in words."""
    if rate <= 0:
        return "none"
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s" if rate >= 0.1 else f"{rate * 60:.1f}/m"


def _facts(task: TaskView, numbers: QueueStats, fleet: Fleet) -> Iterator[tuple[str, str]]:
    now = numbers.now_ms
    yield "task", f"{task.type}, {task.state}, enqueued {span(now - task.created_at_ms)} ago"
    if task.options.submitted_by:
        yield "by", task.options.submitted_by
    if task.state in (TaskState.PENDING, TaskState.BLOCKED, TaskState.SCHEDULED, TaskState.RETRYING):
        if numbers.paused and task.state is not TaskState.PENDING:
            yield "queue", f"{task.queue} is paused by {numbers.paused.by} since {span(now - numbers.paused.at_ms)}"
        if task.position is not None:
            yield "position", f"{task.position + 1:,} of {numbers.depths[TaskState.PENDING]:,} in {task.queue}"
        elif task.gate is not None:
            yield "position", f"{task.gate.before + 1:,} of {task.gate.waiting:,} in the line of its limit"
        slots, busy = slots_of(task.queue, fleet)
        yield (
            "slots",
            f"{busy:,} of {slots:,} busy that take tasks of {task.queue}" if slots else "none serve the queue",
        )
        yield "rate", f"{per_s(ended_per_s(numbers))} end, over the last {span(RATE_S * 1000)}"
    if task.state is TaskState.RUNNING:
        yield "worker", task.worker_id or "-"
        if task.lease_end_ms is not None and task.lease_end_ms >= now:
            yield "lease", f"{span(task.lease_end_ms - now)} left, renewed while its worker lives"
        if task.options.timeout_s:
            left_ms = round(task.options.timeout_s * 1000) - (now - (task.started_at_ms or now))
            yield (
                "timeout",
                f"in {span(left_ms)}" if left_ms > 0 else f"over since {span(-left_ms)}: it is being stopped",
            )
        p95 = numbers.latency_ms("run", 0.95)
        if p95 is not None:
            yield "usual", f"95% of the runs of {task.queue} take at most {span(p95)}"
    if task.crashes or task.lost:
        yield "losses", f"its process died {task.crashes} times, its node vanished {task.lost} times"


def _start(task: TaskView, held: Held, numbers: QueueStats, fleet: Fleet) -> Start | None:
    now = numbers.now_ms
    if task.state in (TaskState.SCHEDULED, TaskState.RETRYING):
        left_ms = max(0, (task.due_at_ms or now) - now)
        tail = "; not before the queue is resumed" if numbers.paused else ", then it takes its turn"
        return Start(in_ms=None if numbers.paused else left_ms, words=f"due in {span(left_ms)}{tail}")
    if task.state not in (TaskState.PENDING, TaskState.BLOCKED):
        return None
    if held.code == "turn":
        return _turn(task, numbers, fleet)
    if held.code == "limit":
        return _limited(task)
    return Start(in_ms=None, words=_UNKNOWN.get(held.code, "unknown"))


_UNKNOWN = {
    "paused": "unknown: not before the queue is resumed",
    "no_worker": "unknown: not before a worker of the queue is started",
    "nodes_paused": "unknown: not before a node of the queue is resumed or started",
    "no_handler": "unknown: not before a worker that knows its type is started",
    "breaker": "unknown: when probes have succeeded, or somebody closes the breaker",
    "parents": "unknown: when the tasks that it waits for have ended",
}


def _turn(task: TaskView, numbers: QueueStats, fleet: Fleet) -> Start:
    slots, busy = slots_of(task.queue, fleet)
    before = task.position or 0
    if not slots:
        return Start(in_ms=None, words="unknown: no worker process of its nodes is up")
    if before < slots - busy:
        return Start(in_ms=0, words="with the next claim: a slot is free")
    rate = ended_per_s(numbers)
    if rate <= 0:
        return Start(in_ms=None, words="unknown: no run of the queue has ended lately")
    in_ms = round((before + 1) * 1000 / rate)
    return Start(in_ms=in_ms, words=f"in about {span(in_ms)}, if runs go on to end at {per_s(rate)}")


def _limited(task: TaskView) -> Start:
    gate = task.gate
    rate = limits.Rate.stored(gate.rate) if gate is not None else None
    if gate is None or rate is None or (gate.running_max is not None and gate.running >= gate.running_max):
        return Start(in_ms=None, words="unknown: when those that run have ended")
    wait_ms = (gate.before + 1) * rate.period_ms // max(1, rate.starts)
    return Start(in_ms=wait_ms, words=f"in about {span(wait_ms)}, as the rate {rate} lets {gate.before + 1:,} start")


def _cures(task: TaskView, held: Held, fleet: Fleet) -> Iterator[Cure]:
    queue, task_id = task.queue, task.id
    match held.code:
        case "paused":
            yield Cure("let the queue go on", ("queues", "resume", queue))
            yield Cure("run it elsewhere", ("tasks", "move", task_id, "--to", "QUEUE"))
        case "no_worker":
            yield Cure(f"start a worker of {queue}: tq-worker MODULE --queues {queue}")
        case "nodes_paused":
            for node in why.serving_nodes(queue, fleet)[:3]:
                if node.state == "paused":
                    yield Cure(f"let {node.node_id} go on", ("workers", "resume", node.node_id))
        case "no_handler":
            yield Cure(f"deploy the code that has {task.type}, then", ("workers", "reload", "--all"))
            yield Cure("or take it out", ("tasks", "cancel", task_id))
        case "limit":
            yield Cure("see or raise the limit", ("queues", "limit", queue))
        case "breaker":
            yield Cure(
                "see why it opened",
                ("queues", "breaker", queue, task.gate.task_type or task.type if task.gate else task.type),
            )
            yield Cure("close it, once the cause is mended", ("queues", "breaker", queue, task.type, "--close"))
        case "turn":
            yield Cure("let it overtake others", ("tasks", "reprioritise", task_id, "--priority", "high"))
            for node in why.serving_nodes(queue, fleet)[:1]:
                yield Cure("give the queue more slots", ("workers", "scale", node.node_id, str(node.processes + 1)))
        case "running":
            yield Cure("what it said", ("tasks", "logs", task_id, "--follow"))
            if task.worker_id:
                yield Cure("where it is in its code", ("workers", "stacks", task.worker_id))
            yield Cure("ask it to stop", ("tasks", "cancel", task_id))
        case "lease_overdue":
            yield Cure("see which nodes live; any of them takes it back", ("workers", "list"))
        case "parents":
            yield Cure("see what it waits for", ("tasks", "tree", task_id))
        case "failed" | "cancelled":
            yield Cure("see all of it", ("tasks", "show", task_id))
            yield Cure("run it again", ("tasks", "retry", task_id))
        case "completed":
            yield Cure("see its result", ("tasks", "show", task_id))
        case _:
            yield Cure("take it out", ("tasks", "cancel", task_id))
