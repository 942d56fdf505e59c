"""What is wrong with a broker, its queues and its workers, and what to do about each.

Everything is read, nothing is written. The cost is bounded whatever the queues hold: INFO, SLOWLOG, a few round trips
of TIME, the fleet, the length of each node's inbox, and of each queue its numbers and a sample of SAMPLE tasks a state.
What a server does not tell, as managed ones and stand-ins do not, becomes a note.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tq_core import names
from tq_core.errors import BrokerError, BrokerUnreachableError
from tq_core.keyspace import keys, script_loader
from tq_core.model import TaskState
from tq_core.roles import inspector, readiness, registry
from tq_core.roles.inspector import QueueStats
from tq_core.roles.registry import Fleet, Member, NodeInfo
from tq_core.roles.serving import Serving, serving_of
from tq_core.roles.spans import span
from tq_core.transport.steps import Batch, Command, Flow, Script

PROBLEM, WARNING, NOTE = "problem", "warning", "note"

SAMPLE = 100
QUEUES_A_TRIP = 20
ROUND_TRIPS = 7
SLOW_ENTRIES = 64

OLDEST_REDIS = (6, 2)
NEARLY_FULL_SHARE = 0.8
FRAGMENTED_RATIO = 1.5
FRAGMENTED_FROM_BYTES = 100 * 2**20
"""Below this a ratio says little: the server itself takes some."""
SKEW_MS = 2_000
SLOW_TRIP_MS = 50.0
SLOW_SCRIPT_MS = 50
OVERDUE_MS = 30_000
UNTOLD_MS = 30_000
"""How long a message to another queue may wait; it takes milliseconds, or a second."""
PAUSED_LONG_MS = 3_600_000
HELD_LONG_MS = 3_600_000
"""How long a task may wait for a limit before somebody should look at that limit."""
LARGE_BYTES = 256 * 1024
CAP_SHARE = 0.9
KEPT = 100_000
"""What a queue keeps of each ended state unless it is told otherwise: maintenance.KEEP_COUNT."""
RESTARTS_MIN = 3
RESTART_EVERY_MS = 600_000
"""A worker that dies more often than this, on average, does not do so by chance."""
INBOX_MAX = 20


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it should be."""

    code: str
    """One of CODES; stable."""
    severity: str
    """problem: tasks are or will be lost or not run. warning: it may come to that. note: it could not be found out."""
    what: str
    cure: str
    subject: str = ""
    """The queue, node or script that it is about; empty for the server."""


CODES = {
    "eviction": "the server deletes tasks when its memory is full",
    "not_persistent": "tasks do not outlive the server",
    "disk_failed": "the server cannot write to its disk",
    "memory_nearly_full": "the server's memory is nearly full",
    "fragmented": "the server holds far more memory than it uses",
    "version_too_old": "the server is older than the oldest that tq runs on",
    "replica": "the address leads to a replica",
    "clock_skew": "this machine and the server disagree about the time",
    "slow_broker": "round trips to the broker are slow",
    "slow_script": "one of our scripts held up the server",
    "not_told": "the server does not tell something",
    "schema_too_new": "a newer tq wrote the queue",
    "schema_old": "an older tq wrote the queue, and some of what is newer is missing",
    "number_conflict": "a queue's number is not the one on the register",
    "no_worker": "tasks wait and no live worker serves their queue",
    "no_handler": "tasks wait and no live worker of their queue knows their type",
    "nodes_paused": "tasks wait and all nodes of their queue are paused or leaving",
    "breaker_open": "the tasks of a type are held back, since too many of them failed",
    "held_long": "a limit has held tasks back for long",
    "paused_long": "a queue has been paused for long",
    "leases_overdue": "running tasks whose lease ran out are not taken back",
    "untold": "other queues are not told what happened",
    "ghosts": "a queue lists tasks of which nothing is kept",
    "dlq_full": "failed tasks are dropped",
    "dlq_nearly_full": "failed tasks will soon be dropped",
    "results_short_lived": "results go before their time",
    "queue_full": "a queue takes no new tasks",
    "large_payloads": "tasks carry large arguments",
    "node_lost": "a node is silent",
    "node_late": "a node's heartbeat is late",
    "node_unreadable": "what a node says cannot be read",
    "crash_loop": "a node's workers die again and again",
    "versions_differ": "nodes of one queue run different code",
    "inbox_grows": "a node does not take its commands",
}
"""Every code there is, with what it means."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What `examine` found in one queue."""

    queue: str
    schema: str
    number: str
    overdue: int
    oldest_overdue_ms: int | None
    ghosts: tuple[str, ...]
    """ID STATE of each."""
    pending_types: dict[str, int]
    large: dict[str, int]
    untold: int
    """Messages to other queues."""
    untold_since_ms: int | None
    held: int
    """Tasks that wait for a limit key or breaker."""
    held_since_ms: int | None
    """When the oldest of some that wait for a limit key was enqueued."""
    held_key: str


def examine(
    *, wall_clock: Callable[[], float] = time.time, stopwatch: Callable[[], float] = time.perf_counter
) -> Flow[list[Finding]]:
    """All findings, problems first.

    Args:
        wall_clock: Seconds since the epoch by this machine, which is compared with the server's.

    Raises:
        BrokerError: it cannot be reached, or does not let us read its keys.
    """
    findings = yield from _trips(wall_clock, stopwatch)
    info = yield from _told("INFO")
    findings += judge_server(info) if isinstance(info, dict) else [_not_told("INFO")]
    slow = yield from _told("SLOWLOG", "GET", SLOW_ENTRIES)
    findings += judge_slow_log(slow) if isinstance(slow, list) else [_not_told("SLOWLOG")]
    fleet = yield from registry.fleet()
    findings += judge_fleet(fleet)
    lengths = yield Batch([Command(("LLEN", keys.inbox(node.id))) for node in fleet.nodes])
    findings += judge_inboxes({node.id: int(n) for node, n in zip(fleet.nodes, lengths, strict=True)})
    numbers = yield from registry.queue_numbers()
    queues = list(numbers)
    for first in range(0, len(queues), QUEUES_A_TRIP):
        some = queues[first : first + QUEUES_A_TRIP]
        stats = yield from inspector.stats(some, minutes=1)
        replies = yield Batch(
            [Script("examine", keys.queue_prefix(q), (SAMPLE, OVERDUE_MS, LARGE_BYTES)) for q in some]
        )
        for queue, reply in zip(stats, replies, strict=True):
            findings += judge_queue(queue, _sample(queue.queue, reply), fleet, number=numbers[queue.queue])
    order = (PROBLEM, WARNING, NOTE)
    return sorted(findings, key=lambda f: order.index(f.severity))


def _told(*command: str | int) -> Flow[Any]:
    try:
        return (yield Command(command))
    except BrokerUnreachableError:
        raise
    except BrokerError:
        return None


def _trips(wall_clock: Callable[[], float], stopwatch: Callable[[], float]) -> Flow[list[Finding]]:
    took_ms, skews_ms = [], []
    yield Command(("TIME",))  # connects, which is not what is measured
    for _ in range(ROUND_TRIPS):
        before_ms, started = wall_clock() * 1000, stopwatch()
        server_ms = yield from registry.server_time_ms()
        took_ms.append((stopwatch() - started) * 1000)
        skews_ms.append(server_ms - (before_ms + took_ms[-1] / 2))
    return judge_trips(statistics.median(took_ms), statistics.median(skews_ms))


def judge_trips(median_ms: float, skew_ms: float) -> list[Finding]:
    """What the time of a round trip, and the server's clock less this machine's, mean."""
    found = []
    if median_ms > SLOW_TRIP_MS:
        found.append(
            Finding(
                code="slow_broker",
                severity=WARNING,
                what=f"a round trip takes {median_ms:.0f} ms (median of {ROUND_TRIPS})",
                cure="bring programs and broker closer together, or find out what keeps the server busy",
            )
        )
    if abs(skew_ms) > SKEW_MS:
        way = "ahead of" if skew_ms > 0 else "behind"
        found.append(
            Finding(
                code="clock_skew",
                severity=WARNING,
                what=f"the server's clock is {abs(skew_ms) / 1000:.1f} s {way} this machine's: `--at` is off by that",
                cure="run NTP on both machines",
            )
        )
    return found


def judge_server(info: Mapping[str, Any]) -> list[Finding]:
    """What INFO's fields mean for tasks."""
    found: list[Finding] = []

    def add(code: str, severity: str, what: str, cure: str) -> None:
        found.append(Finding(code=code, severity=severity, what=what, cure=cure))

    policy = str(info.get("maxmemory_policy", ""))
    if not policy:
        found.append(_not_told("its maxmemory-policy"))
    elif policy not in readiness.HARMLESS_POLICIES:
        what = f"maxmemory-policy is {policy}: when memory is full the server deletes tasks"
        add("eviction", PROBLEM, what, "CONFIG SET maxmemory-policy noeviction, and in its configuration file")
    if any(str(info.get(field, "ok")) != "ok" for field in ("aof_last_write_status", "rdb_last_bgsave_status")):
        cure = "free space on its disk and look at its log: it refuses writes, or loses them when it dies"
        add("disk_failed", PROBLEM, "the server's last write to its disk failed", cure)
    if _number(info.get("aof_enabled")) == 0:
        what = "appendonly is off: the tasks of the last minutes are lost when the server dies"
        add("not_persistent", WARNING, what, "CONFIG SET appendonly yes, and in its configuration file")
    used, limit = _number(info.get("used_memory")), _number(info.get("maxmemory"))
    if used is not None and limit and used >= NEARLY_FULL_SHARE * limit:
        what = f"{used * 100 // limit}% of maxmemory is used: when it is full, new tasks are refused"
        add("memory_nearly_full", WARNING, what, "raise maxmemory, purge, or keep fewer ended tasks: `tq queues limit`")
    resident = _number(info.get("used_memory_rss"))
    if used and resident and resident > FRAGMENTED_RATIO * used and resident - used > FRAGMENTED_FROM_BYTES:
        what = f"the server holds {resident / used:.1f} times the memory that it uses"
        add("fragmented", WARNING, what, "CONFIG SET activedefrag yes, or restart it in a quiet hour")
    version = str(info.get("redis_version", ""))
    numbers = version.split(".")[:2]
    if len(numbers) == 2 and all(n.isdigit() for n in numbers) and tuple(map(int, numbers)) < OLDEST_REDIS:
        add("version_too_old", PROBLEM, f"the server is Redis {version}; tq needs 6.2", "upgrade the server")
    if info.get("role") not in (None, "master"):
        what = f"the address leads to a replica of {info.get('master_host', '?')}, which takes no writes"
        add("replica", PROBLEM, what, "connect to the primary")
    return found


def judge_slow_log(entries: Sequence[Any]) -> list[Finding]:
    """Which of our scripts are among the server's slow commands."""
    by_sha = {script_loader.source(name).sha: name for name in script_loader.script_names()}
    slowest: dict[str, int] = {}
    for entry in entries:
        took_us, words = entry[2:4] if isinstance(entry, (list, tuple)) and len(entry) > 3 else (0, ())
        sha = words[1].decode("ascii", "replace").lower() if len(words) > 1 and isinstance(words[1], bytes) else ""
        if sha in by_sha and took_us >= SLOW_SCRIPT_MS * 1000:
            slowest[by_sha[sha]] = max(slowest.get(by_sha[sha], 0), int(took_us))
    return [
        Finding(
            code="slow_script",
            severity=WARNING,
            subject=name,
            what=f"the script {name} held up the server for {us // 1000} ms",
            cure="look for large payloads, a busy machine or swap; SLOWLOG RESET forgets what is over",
        )
        for name, us in sorted(slowest.items())
    ]


def judge_fleet(fleet: Fleet) -> list[Finding]:
    """What the heartbeats of the nodes say."""
    found: list[Finding] = []

    def add(code: str, severity: str, node: Member, words: tuple[str, str]) -> None:
        what, cure = words
        found.append(Finding(code=code, severity=severity, subject=node.id, what=f"node {node.id} {what}", cure=cure))

    for node in fleet.nodes:
        silent = f"has been silent for {node.silent_ms // 1000} s"
        if node.health == "lost":
            cure = "look after its machine; its tasks are taken back by the others, and an hour later it is forgotten"
            add("node_lost", PROBLEM, node, (silent, cure))
            continue
        if node.health == "late":
            add("node_late", WARNING, node, (silent, "see whether its machine or network is overloaded"))
        if not isinstance(node.info, NodeInfo):
            cure = "upgrade the older one of tq-worker and this program"
            add("node_unreadable", WARNING, node, ("says something that this program cannot read", cure))
            continue
        up_ms = max(1, fleet.now_ms - node.info.started_at_ms)
        if node.info.trouble:
            what = f"cannot keep its workers: {node.info.trouble}"
            add("crash_loop", PROBLEM, node, (what, "see its log; it goes on trying, ever more slowly"))
        elif node.info.restarts >= RESTARTS_MIN and up_ms / node.info.restarts < RESTART_EVERY_MS:
            what = f"had to restart its workers {node.info.restarts} times in {span(up_ms)}"
            add("crash_loop", PROBLEM, node, (what, "see its log and `tq dlq groups` for what takes them down"))
    return [*found, *_versions(_live(fleet))]


def _versions(nodes: Sequence[NodeInfo]) -> Iterator[Finding]:
    for queue in sorted({name for node in nodes for name in node.queues}):
        for what in ("code_version", "tq_version"):
            there = sorted({str(getattr(n, what)) or "?" for n in nodes if queue in n.queues})
            if len(there) > 1:
                yield Finding(
                    code="versions_differ",
                    severity=WARNING,
                    subject=queue,
                    what=f"the nodes of {queue} differ in their {what}: {', '.join(there[:5])}",
                    cure="finish the rollout: stop the nodes of the old version, see `tq workers list`",
                )


def judge_inboxes(lengths: Mapping[str, int]) -> list[Finding]:
    """Which nodes do not take their commands."""
    return [
        Finding(
            code="inbox_grows",
            severity=WARNING,
            subject=node,
            what=f"{length} commands wait in the inbox of node {node}",
            cure="restart that node: its supervisor does not listen",
        )
        for node, length in lengths.items()
        if length > INBOX_MAX
    ]


def judge_queue(queue: QueueStats, sample: Sample, fleet: Fleet, *, number: int) -> list[Finding]:
    """What the numbers of a queue and a sample of its tasks say."""
    name = queue.queue
    return [
        Finding(code=code, severity=severity, subject=name, what=f"queue {name} {what}", cure=cure)
        for code, severity, what, cure in (
            *_registered(sample, number),
            *_served(queue, sample, fleet),
            *_stuck(queue, sample),
            *_kept(queue),
        )
    ]


_Words = tuple[str, str, str, str]


def _registered(sample: Sample, number: int) -> Iterable[_Words]:
    if sample.schema.isdigit() and int(sample.schema) > keys.SCHEMA_VERSION:
        what = f"was written by a newer tq (schema {sample.schema}, this one knows {keys.SCHEMA_VERSION})"
        yield "schema_too_new", PROBLEM, what, "upgrade this program"
    elif sample.number and int(sample.schema if sample.schema.isdigit() else 1) < keys.SCHEMA_VERSION:
        what = f"has the keys of an older tq (schema {sample.schema or 1}, this one writes {keys.SCHEMA_VERSION})"
        yield "schema_old", WARNING, what, "`tq broker migrate`, once all workers are of this version"
    if sample.number and sample.number != str(number):
        what = f"is number {number} on the register, and {sample.number} by its own keys and its tasks' ids"
        yield "number_conflict", PROBLEM, what, f"HSET {keys.QUEUES} {sample.queue} {sample.number}, unless taken"


def _served(queue: QueueStats, sample: Sample, fleet: Fleet) -> Iterable[_Words]:
    name, pending = queue.queue, queue.depths[TaskState.PENDING]
    who, serving = serving_of(name, fleet), [node for node in _live(fleet) if name in node.queues]
    if queue.paused:
        since_ms = queue.now_ms - queue.paused.at_ms
        if since_ms > PAUSED_LONG_MS:
            why = f" ({queue.paused.why})" if queue.paused.why else ""
            what = f"has been paused by {queue.paused.by} for {since_ms // 3_600_000} h{why}"
            yield "paused_long", WARNING, what, f"`tq queues resume {name}`, if it was forgotten"
    elif pending and who is Serving.NOBODY:
        what = f"has {pending} pending tasks and no live worker"
        yield "no_worker", PROBLEM, what, f"start one with `tq-worker MODULE --queues {name}`"
    elif pending and who in (Serving.PAUSED, Serving.LEAVING):
        what = f"has {pending} pending tasks, and all of its nodes are paused or leaving"
        cure = f"`tq workers resume NODE`, or start another with `tq-worker MODULE --queues {name}`"
        yield "nodes_paused", WARNING, what, cure
    if serving and all(node.types for node in serving):
        known = {task_type for node in serving for task_type in node.types}
        for task_type, number in sorted(sample.pending_types.items()):
            if task_type not in known and task_type != "?":
                what = f"has pending tasks of the type {task_type} ({number} of the next {SAMPLE}) that no worker knows"
                yield "no_handler", PROBLEM, what, "deploy the code that has it, or cancel them: `tq tasks --help`"


def _stuck(queue: QueueStats, sample: Sample) -> Iterable[_Words]:
    for rule, state in queue.rules.items():
        if rule.startswith("breaker:") and state == "open":
            task_type = rule.removeprefix("breaker:")
            what = f"holds back all tasks of {task_type}: its breaker is open"
            cure = f"`tq queues breaker {queue.queue} {task_type}` says why: mend that, or `--close` it"
            yield "breaker_open", WARNING, what, cure
    yield from _held_long(queue, sample)
    if sample.overdue:
        ms = queue.now_ms - (sample.oldest_overdue_ms or queue.now_ms)
        what = f"has {sample.overdue} running tasks whose lease ran out up to {ms // 1000} s ago, and nobody takes them"
        yield "leases_overdue", PROBLEM, what, "start a worker of this queue: every node takes back what was lost"
    if sample.untold and queue.now_ms - (sample.untold_since_ms or 0) > UNTOLD_MS:
        since = (
            f"for {(queue.now_ms - sample.untold_since_ms) // 1000} s" if sample.untold_since_ms else "unreadable ones"
        )
        what = f"has {sample.untold} messages to other queues that nobody could tell them, {since}"
        cure = (
            f"start a worker of the newest version for this queue; `tq audit {queue.queue}` names what cannot be read"
        )
        yield "untold", PROBLEM, what, cure
    if sample.ghosts:
        some = ", ".join(sample.ghosts[:3])
        what = f"lists tasks of which nothing is kept ({some}): keys were deleted by hand or evicted"
        yield "ghosts", PROBLEM, what, f"`tq audit {queue.queue}` names them all; `tq tasks delete` removes them"
    if sample.large:
        largest = max(sample.large, key=lambda task_id: sample.large[task_id])
        kib = sample.large[largest] // 1024
        what = f"holds tasks with large arguments: {len(sample.large)} of a sample, up to {kib} KiB ({largest})"
        yield "large_payloads", WARNING, what, "store the data elsewhere and send a reference"


def _held_long(queue: QueueStats, sample: Sample) -> Iterable[_Words]:
    cure = f"`tq queues limit {queue.queue}` shows and changes its limits"
    held_ms = queue.now_ms - (sample.held_since_ms or queue.now_ms)
    if held_ms > HELD_LONG_MS:
        who = f"of the limit key {sample.held_key!r}" if sample.held_key else "of a limit key"
        what = f"holds back {sample.held} tasks for limit keys, one {who} was enqueued {span(held_ms)} ago"
        yield "held_long", WARNING, what, cure
    pending, age_ms = queue.depths[TaskState.PENDING], queue.oldest_age_ms or 0
    of_all = [rule for rule in ("running", "rate") if rule in queue.rules]
    if of_all and pending and age_ms > HELD_LONG_MS and not queue.paused:
        what = (
            f"starts no more than its limit ({' and '.join(of_all)}) lets it, and its oldest task waits {span(age_ms)}"
        )
        yield "held_long", WARNING, what, cure


def _kept(queue: QueueStats) -> Iterable[_Words]:
    name, limits = queue.queue, queue.limits
    failed, keep_failed = queue.depths[TaskState.FAILED], limits.get("keep_failed", KEPT)
    cure = f"retry or discard them (`tq dlq groups`), or `tq queues limit {name}`"
    if failed >= keep_failed:
        yield "dlq_full", PROBLEM, f"keeps {failed} failed tasks, all it may: the oldest are dropped", cure
    elif failed >= CAP_SHARE * keep_failed:
        what = f"keeps {failed} failed tasks of {keep_failed}: at the limit the oldest are dropped"
        yield "dlq_nearly_full", WARNING, what, cure
    keep = limits.get("keep_completed", KEPT)
    if keep and queue.depths[TaskState.COMPLETED] >= keep and "keep_completed" not in limits:
        what = f"keeps {keep} results, all it may: they go before their time"
        yield "results_short_lived", NOTE, what, f"`tq queues limit {name}`, where results are read late"
    limit = limits.get("max_size")
    if limit is not None and queue.waiting >= limit:
        what = f"is full: {queue.waiting} of {limit} waiting tasks"
        yield "queue_full", PROBLEM, what, f"add workers, or raise it with `tq queues limit {name}`"


def _live(fleet: Fleet) -> list[NodeInfo]:
    return [node.info for node in fleet.nodes if node.health != "lost" and isinstance(node.info, NodeInfo)]


def _not_told(what: str) -> Finding:
    return Finding(
        code="not_told",
        severity=NOTE,
        subject=what,
        what=f"the server does not tell {what}: what follows from it was not checked",
        cure="give this user the command, or look into your provider's console",
    )


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _sample(queue: str, reply: list[Any]) -> Sample:
    _, schema, number, overdue, oldest, ghosts, types, large, untold, since, held, held_since, held_key = reply
    ids, states = ghosts[::2], ghosts[1::2]
    return Sample(
        queue=queue,
        schema=_text(schema),
        number=_text(number),
        overdue=int(overdue),
        oldest_overdue_ms=int(float(oldest)) if oldest else None,
        ghosts=tuple(f"{_text(i)} {_text(s)}" for i, s in zip(ids, states, strict=True)),
        pending_types={_text(t): int(n) for t, n in zip(types[::2], types[1::2], strict=True)},
        large={_text(i): int(n) for i, n in zip(large[::2], large[1::2], strict=True)},
        untold=int(untold),
        untold_since_ms=_number(since),
        held=int(held),
        held_since_ms=_number(held_since),
        held_key=names.decode_unique_key(_text(held_key)),
    )


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
