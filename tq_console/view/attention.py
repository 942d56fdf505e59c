"""What somebody should look at, as facts: what is wrong, how urgent it is, and where to go about it."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tq_console.view.formats import age, percent, plural
from tq_console.view.limits import breakers
from tq_core.model import TaskState, TaskView
from tq_core.roles.inspector import QueueStats
from tq_core.roles.registry import Fleet, NodeInfo
from tq_core.roles.serving import UNSERVED, Serving, served_queues

RECENT_S = 300
"""What counts as just now: failures, crashes and lost tasks of so many past seconds."""
FAILING_SHARE = 0.05
FAILING_MIN = 3
"""Fewer failed attempts than these are no share of anything."""
LOST_NAMED = 3
"""More lost nodes than these are one fact: a whole site that is away must not hide what else is wrong."""
OLD_AGE_MS = 120_000
"""A pending task that has waited longer is worth a word."""


class Urgency(enum.IntEnum):
    """How soon somebody should look."""

    NOW = 0
    """Tasks are not being done, or go wrong."""
    SOON = 1
    """Tasks will not be done, or somebody has stopped them on purpose."""
    SOME_TIME = 2
    """Nothing gets worse."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that somebody should know."""

    kind: str
    subject: str
    """The queue, node or worker; with the kind it says which fact this is, from one look to the next."""
    text: str
    """In words; may hold names from outside, so it is made safe where it is shown."""
    urgency: Urgency
    screen: str
    """The screen of the console to go to."""
    queue: str | None = None
    state: TaskState | None = None
    hint: str = ""
    """What follows the words for somebody at a shell."""

    @property
    def id(self) -> str:
        """The same for the same fact, whatever its numbers are now."""
        return f"{self.kind}:{self.subject}"


def standing_facts(stats: Sequence[QueueStats], fleet: Fleet) -> list[Fact]:
    """What is so now: silent or crashing nodes, queues that are stopped, unserved or full, the dead letter queue."""
    facts: list[Fact] = []
    lost = [node for node in fleet.nodes if node.health == "lost"]
    if len(lost) > LOST_NAMED:
        some = ", ".join(node.id for node in lost[:LOST_NAMED])
        text = f"{len(lost)} nodes have been silent for {age(min(node.silent_ms for node in lost))} or more: {some}, …"
        facts.append(Fact("lost", "", text, Urgency.NOW, "workers", hint=": see `tq workers list`"))
    for node in fleet.nodes:
        if node.health == "lost" and len(lost) <= LOST_NAMED:
            text = f"node {node.id} has been silent for {age(node.silent_ms)}"
            facts.append(Fact("lost", node.id, text, Urgency.NOW, "workers"))
        elif isinstance(node.info, NodeInfo) and node.health == "late":
            text = f"node {node.id} is late: silent for {age(node.silent_ms)}"
            facts.append(Fact("late", node.id, text, Urgency.SOON, "workers"))
        if isinstance(node.info, NodeInfo) and node.info.trouble and node.health != "lost":
            text = f"node {node.id} cannot keep its workers: {node.info.trouble}"
            facts.append(Fact("trouble", node.id, text, Urgency.NOW, "workers"))
    served = served_queues(fleet)
    for queue in stats:
        facts += _queue_facts(queue, served.get(queue.queue, UNSERVED).serving)
    failed = sum(queue.depths[TaskState.FAILED] for queue in stats)
    if failed:
        text = f"{plural(failed, 'task')} in the dead letter queue"
        facts.append(Fact("dlq", "", text, Urgency.SOME_TIME, "dlq", hint=": see `tq dlq list`"))
    return facts


def _queue_facts(queue: QueueStats, who: Serving) -> Iterable[Fact]:
    name, pending = queue.queue, queue.depths[TaskState.PENDING]
    if queue.paused:
        why = f": {queue.paused.why}" if queue.paused.why else ""
        since = age(queue.now_ms - queue.paused.at_ms)
        text = f"queue {name} was paused {since} ago by {queue.paused.by}{why}"
        yield Fact("paused", name, text, Urgency.SOON, "queues", name)
    elif pending and who is Serving.NOBODY:
        text = f"queue {name} has {plural(pending, 'pending task')} and no live worker"
        yield Fact("unserved", name, text, Urgency.NOW, "queues", name)
    elif pending and who is not Serving.TAKEN:
        are = "all of its nodes are paused" if who is Serving.PAUSED else "all of its nodes are leaving"
        is_fresh = who is Serving.PAUSED and (queue.oldest_age_ms or 0) < OLD_AGE_MS
        urgency = Urgency.SOON if is_fresh else Urgency.NOW
        yield Fact(
            "nodes_paused", name, f"queue {name} has {plural(pending, 'pending task')}, and {are}", urgency, "workers"
        )
    for task_type in breakers(queue, "open"):
        text = f"the breaker of {task_type} in {name} is open: its tasks are held back"
        yield Fact("breaker", f"{name}:{task_type}", text, Urgency.NOW, "queues", name)
    limit = queue.limits.get("max_size")
    if limit is not None and queue.waiting >= limit:
        text = f"queue {name} is full: {queue.waiting:,} of {limit:,} waiting tasks"
        yield Fact("full", name, text, Urgency.NOW, "queues", name)


def recent_facts(stats: Sequence[QueueStats], fleet: Fleet, running: Sequence[TaskView] = ()) -> list[Fact]:
    """What got worse lately, and what is stuck; for a screen that looks all the time.

    Args:
        stats: With at least the minutes of RECENT_S.
        running: Running tasks that were read, some or all: those whose lease ran out are told.
    """
    facts: list[Fact] = []
    served = served_queues(fleet)
    for queue in stats:
        facts += _stuck(queue, served.get(queue.queue, UNSERVED).serving, running)
        facts += _went_wrong(queue)
    for kind, members in (("node", fleet.nodes), ("worker", fleet.workers)):
        facts += [
            Fact("unreadable", member.id, f"what {kind} {member.id} says cannot be read", Urgency.SOON, "workers")
            for member in members
            if member.info is None and member.health != "lost"
        ]
    return facts


def _stuck(queue: QueueStats, who: Serving, running: Sequence[TaskView]) -> Iterable[Fact]:
    name = queue.queue
    runs = queue.depths[TaskState.RUNNING]
    if runs and who is Serving.NOBODY:
        text = f"{plural(runs, 'running task')} of {name} and no live worker: they wait for one to be given back"
        yield Fact("orphaned", name, text, Urgency.NOW, "tasks", name, TaskState.RUNNING)
    else:
        ran_out = [
            t for t in running if t.queue == name and t.lease_end_ms is not None and t.lease_end_ms < queue.now_ms
        ]
        if ran_out:
            longest = max(queue.now_ms - (t.lease_end_ms or queue.now_ms) for t in ran_out)
            leases = "its lease" if len(ran_out) == 1 else "their leases"
            verb = "has" if len(ran_out) == 1 else "have"
            text = f"{plural(len(ran_out), 'running task')} of {name} {verb} not renewed {leases} for {age(longest)}"
            yield Fact("frozen", name, text, Urgency.NOW, "tasks", name, TaskState.RUNNING)
    oldest = queue.oldest_age_ms
    if oldest is not None and oldest >= OLD_AGE_MS and who is Serving.TAKEN and not queue.paused:
        done = queue.rate_per_s("completed", window_s=60)
        speed = "" if done else ", and nothing was completed in the last minute"
        text = f"the oldest pending task of {name} has waited {age(oldest)}{speed}"
        urgency = Urgency.SOON if done else Urgency.NOW
        yield Fact("old", name, text, urgency, "tasks", name, TaskState.PENDING)


def _went_wrong(queue: QueueStats) -> Iterable[Fact]:
    name = queue.queue
    failed = recently(queue, "failed")
    if failed:
        text = f"{plural(failed, 'task')} of {name} failed for good in the last {RECENT_S // 60} minutes"
        yield Fact("failed", name, text, Urgency.NOW, "dlq", name)
    failures, completed = recently(queue, "failures"), recently(queue, "completed")
    share = failures / (failures + completed) if failures else 0.0
    if failures >= FAILING_MIN and share >= FAILING_SHARE:
        text = f"{percent(share)} of the attempts of {name} fail: {failures:,} in the last {RECENT_S // 60} minutes"
        yield Fact("failing", name, text, Urgency.NOW, "tasks", name, TaskState.RETRYING)
    for counter, words in (("lost", "lost their worker"), ("crashed", "took their process down")):
        number = recently(queue, counter)
        if number:
            text = f"{plural(number, 'task')} of {name} {words} in the last {RECENT_S // 60} minutes"
            yield Fact(counter, name, text, Urgency.SOON, "queues", name)


def recently(queue: QueueStats, counter: str) -> int:
    """What was counted in the whole minutes of RECENT_S, the present one included."""
    begin_ms = queue.now_ms // 60_000 * 60_000 - (RECENT_S // 60 - 1) * 60_000
    return sum(minute.counts.get(counter, 0) for minute in queue.minutes if minute.start_ms >= begin_ms)


def all_facts(stats: Sequence[QueueStats], fleet: Fleet, running: Sequence[TaskView] = ()) -> list[Fact]:
    """Everything, the most urgent first; what stands still there in its place from one look to the next."""
    facts = [*standing_facts(stats, fleet), *recent_facts(stats, fleet, running)]
    return sorted(facts, key=lambda fact: fact.urgency)
