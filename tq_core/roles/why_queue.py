"""Why a queue does or does not move: what stops it, who did that, its rates, and when it is empty at this pace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tq_core import names
from tq_core.errors import BrokerError, NotFoundError
from tq_core.keyspace import keys
from tq_core.model import TaskState, TaskView
from tq_core.roles import inspector, limits, readiness, registry, why
from tq_core.roles.inspector import QueueStats
from tq_core.roles.registry import Fleet
from tq_core.roles.spans import span
from tq_core.roles.why import Answer, Cure, Held, Start
from tq_core.roles.why_task import MINUTES, RATE_S, ended_per_s, per_s, slots_of
from tq_core.transport.steps import Command, Flow
from tq_core.transport.together import together

SAMPLE = 50
"""Pending tasks whose types are compared with what the workers know."""


def why_queue(queue: str) -> Flow[Answer]:
    """Why a queue is as it is, in a few round trips.

    Raises:
        NotFoundError: there is no such queue.
        InvalidInputError: this can be no queue.
    """
    known = yield from registry.queue_numbers()
    if names.check_queue(queue) not in known:
        near = names.nearest(queue, known)
        hint = f": did you mean {' or '.join(near)}?" if near else ": see `tq queues list`"
        raise NotFoundError(f"there is no queue {queue!r}{hint}")
    (numbers,), fleet, rules, sample, versions = yield from together(
        [
            inspector.stats([queue], minutes=MINUTES),
            registry.fleet(),
            limits.read(queue),
            inspector.page(queue, TaskState.PENDING, limit=SAMPLE, payload_max=0),
            registry.schemas([queue]),
        ]
    )
    # By itself: where a server has no INFO, nothing else must fail with it.
    trouble = yield from _refusal()
    held = _held(numbers, fleet, rules, sample.tasks, schema=versions.get(queue, 1), trouble=trouble)
    return Answer(
        kind="queue",
        name=queue,
        code=held.code,
        what=held.words,
        facts=tuple(_facts(numbers, fleet, rules)),
        start=_drained(numbers, held),
        cures=tuple(_cures(held, numbers, fleet, rules)),
    )


def _refusal() -> Flow[str]:
    """Why the server takes no writes, or takes no more tasks; "" where it does not say so."""
    try:
        info = yield Command(("INFO",))
    except BrokerError:
        return ""
    if not isinstance(info, dict):
        return ""
    ready = readiness.judge(info)
    if str(info.get("role", "master")) in ("slave", "replica"):
        return "the address leads to a replica, which takes no writes"
    if any("last write to disk failed" in problem for problem in ready.problems):
        return "the broker's last write to its disk failed, and it may refuse all others"
    if ready.used_bytes is not None and ready.max_bytes is not None and ready.used_bytes >= ready.max_bytes:
        return "the broker's memory is full: it takes no new tasks"
    return ""


def _held(
    numbers: QueueStats,
    fleet: Fleet,
    rules: limits.Limits,
    sample: tuple[TaskView, ...],
    *,
    schema: int,
    trouble: str,
) -> Held:
    queue, now, depths = numbers.queue, numbers.now_ms, numbers.depths
    pending, running = depths[TaskState.PENDING], depths[TaskState.RUNNING]
    if schema > keys.SCHEMA_VERSION:
        return Held("newer", f"a newer tq wrote this queue (version {schema}): workers of this one leave it alone")
    if trouble:
        return Held("broker", trouble)
    if numbers.paused:
        reason = f" ({numbers.paused.why})" if numbers.paused.why else ", and gave no reason"
        return Held("paused", f"{numbers.paused.by} paused it {span(now - numbers.paused.at_ms)} ago{reason}")
    limit = numbers.limits.get("max_size")
    if limit is not None and numbers.waiting >= limit:
        return Held("full", f"it is full: {numbers.waiting:,} tasks wait, max size is {limit:,}; new ones are refused")
    serving = why.serving_nodes(queue, fleet)
    if not serving:
        return Held("no_worker", "no live worker serves it")
    if all(node.state != "running" for node in serving):
        return Held("nodes_paused", "every node that serves it is paused or draining")
    unknown = _without_handler(sample, serving)
    if unknown and len(unknown) == len({task.type for task in sample}):
        return Held("no_handler", f"no live worker knows the type {', '.join(unknown[:3])} of what waits first")
    if opened := [view for view in rules.breakers if view.state != "closed" and view.waiting]:
        view = opened[0]
        since = f" {span(now - view.since_ms)} ago" if view.since_ms else ""
        return Held("breaker", f"the breaker of {view.type} opened{since}: {view.waiting:,} tasks wait ({view.why})")
    if rules.running is not None and running >= rules.running and pending + depths[TaskState.BLOCKED]:
        return Held("limit", f"its limit is reached: {running:,} of at most {rules.running:,} tasks run")
    if not pending:
        later = depths[TaskState.SCHEDULED] + depths[TaskState.RETRYING]
        next_ms = numbers.next_due_at_ms
        due = f"; the next of {later:,} is due in {span(next_ms - now)}" if later and next_ms else ""
        busy = f"{running:,} run" if running else "nothing runs"
        return Held("idle", f"nothing waits: {busy}{due}")
    slots, taken = slots_of(queue, fleet)
    if not slots:
        nodes = "node" if len(serving) == 1 else f"{len(serving):,} nodes"
        return Held("no_processes", f"no worker process of its {nodes} is up: {pending:,} tasks wait")
    if taken >= slots:
        return Held("slots_full", f"all {slots:,} slots that serve it are busy: {pending:,} tasks wait their turn")
    if unknown:
        return Held("moves", f"it moves, but no live worker knows the type {', '.join(unknown[:3])}")
    return Held("moves", f"nothing stops it: {pending:,} wait, {slots - taken:,} of {slots:,} slots are free")


def _without_handler(sample: tuple[TaskView, ...], serving: list[registry.NodeInfo]) -> list[str]:
    """The types among what waits first that no node of the queue knows, the most frequent first."""
    counted = Counter(task.type for task in sample if task.type != "?")
    return [name for name, _ in counted.most_common() if all(n.types and name not in n.types for n in serving)]


def _facts(numbers: QueueStats, fleet: Fleet, rules: limits.Limits) -> Iterator[tuple[str, str]]:
    depths = numbers.depths
    parts = [f"{depths[state]:,} {state}" for state in TaskState if depths[state]]
    yield "tasks", ", ".join(parts) or "none"
    if depths[TaskState.PENDING] and numbers.oldest_age_ms is not None:
        yield "oldest", f"waits for {span(numbers.oldest_age_ms)}"
    came = numbers.rate_per_s("enqueued", window_s=RATE_S)
    yield "rates", f"{per_s(came)} in, {per_s(ended_per_s(numbers))} out, over the last {span(RATE_S * 1000)}"
    slots, busy = slots_of(numbers.queue, fleet)
    nodes = len(why.serving_nodes(numbers.queue, fleet))
    yield "slots", f"{busy:,} of {slots:,} busy, on {nodes:,} live node{'' if nodes == 1 else 's'}"
    said = [f"{rules.running:,} running" if rules.running is not None else "", str(rules.rate or "")]
    said += [f"{rules.each_key.running:,} running a key" if rules.each_key.running is not None else ""]
    said += [f"{rules.each_key.rate} a key" if rules.each_key.rate else ""]
    said += [f"{numbers.limits['max_size']:,} waiting" if "max_size" in numbers.limits else ""]
    if any(said):
        yield "limits", ", ".join(filter(None, said))
    for view in rules.breakers[:3]:
        yield "breaker", f"{view.type}: {view.state}, {view.failed:,} of {view.ok + view.failed:,} runs failed"


def _drained(numbers: QueueStats, held: Held) -> Start | None:
    """When what waits now has begun, at the measured pace."""
    pending = numbers.depths[TaskState.PENDING]
    if not pending:
        return None
    if held.code not in ("moves", "slots_full", "limit", "full"):
        return Start(in_ms=None, words="unknown: nothing starts while this holds")
    rate, came = ended_per_s(numbers), numbers.rate_per_s("enqueued", window_s=RATE_S)
    if rate <= 0:
        return Start(in_ms=None, words="unknown: no run of it has ended lately")
    in_ms = round(pending * 1000 / rate)
    grows = f"; it grows meanwhile, {per_s(came)} come in" if came > rate else ""
    return Start(in_ms=in_ms, words=f"what waits now has begun in about {span(in_ms)}, at {per_s(rate)} out{grows}")


def _cures(held: Held, numbers: QueueStats, fleet: Fleet, rules: limits.Limits) -> Iterator[Cure]:
    queue = numbers.queue
    serving = why.serving_nodes(queue, fleet)
    match held.code:
        case "newer":
            yield Cure("upgrade this program and the workers")
        case "broker":
            yield Cure("see what is wrong with it", ("doctor",))
        case "paused":
            yield Cure("let it go on", ("queues", "resume", queue))
        case "full":
            yield Cure(
                "raise its max size", ("queues", "limit", queue, "--max-size", str(2 * numbers.limits["max_size"]))
            )
        case "no_worker":
            yield Cure(f"start a worker: tq-worker MODULE --queues {queue}")
        case "nodes_paused":
            for node in serving[:3]:
                if node.state == "paused":
                    yield Cure(f"let {node.node_id} go on", ("workers", "resume", node.node_id))
        case "no_processes":
            for node in serving[:2]:
                yield Cure(f"see why {node.node_id} has none", ("why", "worker", node.node_id))
        case "no_handler":
            yield Cure("deploy the code that has it, then", ("workers", "reload", "--all"))
        case "breaker":
            for view in rules.breakers:
                if view.state != "closed" and view.waiting:
                    yield Cure("see what failed", ("dlq", "groups", "--queue", queue))
                    yield Cure("close it, once that is mended", ("queues", "breaker", queue, view.type, "--close"))
                    break
        case "limit":
            yield Cure("see or raise the limit", ("queues", "limit", queue))
        case "slots_full":
            for node in [node for node in serving if node.state == "running"][:1]:
                yield Cure("give it more slots", ("workers", "scale", node.node_id, str(node.processes + 1)))
        case _:
            if numbers.depths[TaskState.FAILED]:
                yield Cure("see what failed", ("dlq", "groups", "--queue", queue))
