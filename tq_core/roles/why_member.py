"""Why a node or a worker does what it does, or nothing: lost, crashing, paused, leaving, busy, or without work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from tq_core.errors import NotFoundError
from tq_core.model import TaskState, TaskView
from tq_core.roles import inspector, operator, registry, workload
from tq_core.roles.operator import Audited
from tq_core.roles.registry import Fleet, Member, NodeInfo, SlotInfo, WorkerInfo
from tq_core.roles.spans import span
from tq_core.roles.why import Answer, Cure, Held
from tq_core.roles.workload import Workload
from tq_core.transport.steps import Flow

ACTS_READ = 100
"""Latest acts on nodes among which is looked for who paused or stopped this one."""
TASKS_READ = 100
LAG_MS = 1_000
"""A loop that is so late lets its heartbeats and leases wait, too."""
_ORDERS = {"paused": ("pause",), "draining": ("drain", "stop", "reload", "scale")}


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a member."""

    member: Member
    node: Member | None
    """Its node; itself, where it is one."""
    workers: tuple[Member, ...]
    """Itself, or the workers of the node."""
    acts: tuple[Audited, ...]
    """What people told its node, the latest first."""
    held: tuple[TaskView, ...]
    """lost: the tasks that it still holds."""
    work: tuple[Workload, ...]
    """What there is to do in its queues."""
    now_ms: int

    @property
    def running(self) -> list[SlotInfo]:
        return [
            slot
            for worker in self.workers
            if isinstance(worker.info, WorkerInfo) and (worker.health != "lost" or self.member.health == "lost")
            for slot in worker.info.running
        ]

    @property
    def slots(self) -> int:
        return sum(w.info.slots for w in self.workers if isinstance(w.info, WorkerInfo) and w.health != "lost")


def why_member(member_id: str) -> Flow[Answer]:
    """Why a node or worker is as it is.

    Raises:
        NotFoundError: nobody of this id is on the register.
    """
    fleet = yield from registry.fleet()
    found = yield from _found(member_id, fleet)
    is_node = isinstance(found.member.info, NodeInfo) or found.node is found.member
    held = _held(found)
    return Answer(
        kind="node" if is_node else "worker",
        name=member_id,
        code=held.code,
        what=held.words,
        facts=tuple(_facts(found)),
        cures=tuple(_cures(found, held)),
    )


def _found(member_id: str, fleet: Fleet) -> Flow[Found]:
    member = next((m for m in (*fleet.nodes, *fleet.workers) if m.id == member_id), None)
    if member is None:
        raise NotFoundError(f"no node or worker has the id {member_id!r}: see `tq workers list`")
    is_node = member in fleet.nodes
    node_id = member_id if is_node else member_id.rpartition(".")[0]
    node = member if is_node else next((n for n in fleet.nodes if n.id == node_id), None)
    workers = tuple(w for w in fleet.workers if w.id.rpartition(".")[0] == node_id) if is_node else (member,)
    acts = yield from operator.audit_log([], limit=ACTS_READ)
    held: list[TaskView] = []
    if member.health == "lost":
        named = [s.task_id for w in workers if isinstance(w.info, WorkerInfo) for s in w.info.running][:TASKS_READ]
        views = (yield from inspector.show(named, payload_max=0)) if named else []
        ids = {w.id for w in workers}
        held = [v for v in views if v is not None and v.state is TaskState.RUNNING and v.worker_id in ids]
    queues = _queues(member) or (_queues(node) if node is not None else ())
    work = (yield from workload.workload(queues)) if queues and member.health != "lost" else []
    return Found(
        member=member,
        node=node,
        workers=workers,
        acts=tuple(act for act in acts if act.target == node_id),
        held=tuple(held),
        work=tuple(work),
        now_ms=fleet.now_ms,
    )


def _queues(member: Member) -> tuple[str, ...]:
    return member.info.queues if isinstance(member.info, (NodeInfo, WorkerInfo)) else ()


def _held(found: Found) -> Held:
    member, info = found.member, found.member.info
    if member.health == "lost":
        return Held("lost", f"silent for {span(member.silent_ms)}: it is taken for dead{_leases(found)}")
    if info is None:
        return Held("unreadable", "what it says of itself cannot be read: another version of tq wrote it")
    node = found.node.info if found.node is not None and isinstance(found.node.info, NodeInfo) else None
    if node is not None and node.trouble:
        return Held("crash_loop", f"its workers do not stay: {node.trouble}")
    state = info.state
    if state == "draining":
        running = len(found.running)
        left = f"it ends when its {running:,} running tasks have" if running else "it has nothing left to run"
        return Held("draining", f"on its way out{_by_whom(found, 'draining')}: {left}")
    if state == "paused" or (node is not None and node.state == "paused"):
        return Held("paused", f"paused{_by_whom(found, 'paused')}: it claims nothing, what runs goes on")
    if isinstance(info, NodeInfo) and not found.slots:
        wanted = f"{info.processes} wanted" if info.processes else "it is scaled to none"
        return Held("no_processes", f"none of its worker processes is up: {wanted}")
    if isinstance(info, WorkerInfo) and info.loop_lag_ms >= LAG_MS:
        return Held("loop_blocked", f"its event loop is {span(info.loop_lag_ms)} late: a handler holds it up")
    running = len(found.running)
    if running >= found.slots:
        return Held("busy", f"all of its {found.slots:,} slots are busy: {_kinds(found.running)}")
    return _with_room(found, running)


def _with_room(found: Found, running: int) -> Held:
    """Why slots are free."""
    free = f"{found.slots - running:,} of {found.slots:,} slots are free"
    waiting = [work for work in found.work if work.claimable > 0]
    if waiting:
        named = ", ".join(f"{work.queue} ({work.ready:,})" for work in waiting[:3])
        return Held("claims", f"{free}, and it claims from {named}")
    reasons = [reason for work in found.work if (reason := _why_nothing(work))]
    because = "; ".join(reasons[:3]) or "nothing waits in its queues"
    return Held("no_work" if not running else "running", f"{free}: {because}")


def _why_nothing(work: Workload) -> str:
    if work.newer:
        return f"a newer tq wrote {work.queue}"
    if work.paused:
        return f"{work.queue} is paused ({work.paused:,} wait)"
    if work.ready and work.room <= 0:
        return f"the limit of {work.queue} is reached ({work.ready:,} wait)"
    if work.held:
        return f"a limit or breaker of {work.queue} holds {work.held:,} back"
    if work.later:
        return f"{work.later:,} of {work.queue} are not due yet"
    if work.waiting:
        return f"{work.waiting:,} of {work.queue} wait for other tasks"
    return ""


def _leases(found: Found) -> str:
    """What becomes of the tasks that a lost one held."""
    if not found.held:
        return "; it holds no task any more"
    latest = max((task.lease_end_ms or 0) for task in found.held)
    left = latest - found.now_ms
    when = f"within {span(left)}, as their leases end" if left > 0 else "at the next upkeep, for their leases are over"
    return f"; {len(found.held):,} tasks that it held run again {when}"


def _by_whom(found: Found, state: str) -> str:
    act = next((act for act in found.acts if act.action in _ORDERS[state]), None)
    if act is None:
        return ""
    reason = f", {act.detail['why']}" if act.detail.get("why") else ""
    return f" by {act.by} ({act.action}) {span(found.now_ms - act.at_ms)} ago{reason}"


def _kinds(running: Iterable[SlotInfo]) -> str:
    counted = Counter(slot.type or "?" for slot in running)
    return ", ".join(f"{n:,} {name}" for name, n in counted.most_common(4))


def _facts(found: Found) -> Iterator[tuple[str, str]]:
    now, info = found.now_ms, found.member.info
    yield "heard", f"{span(found.member.silent_ms)} ago ({found.member.health})"
    if isinstance(info, NodeInfo):
        yield "node", f"{info.processes:,} processes of {info.slots:,} slots on {info.host}, pid {info.pid}"
        yield "queues", ", ".join(info.queues) or "none"
        if info.started_at_ms:
            yield "up", f"for {span(now - info.started_at_ms)}, {info.restarts:,} restarts of workers"
        if info.autoscale is not None:
            scale = info.autoscale
            last = f"; {span(now - scale.at_ms)} ago it chose {scale.processes:,}: {scale.why}" if scale.at_ms else ""
            yield "autoscale", f"between {scale.least:,} and {scale.most:,}{last}"
    elif isinstance(info, WorkerInfo):
        yield "worker", f"{info.slots:,} slots, pid {info.pid}, {info.completed:,} done, {info.failed:,} failed"
        if info.started_at_ms:
            yield "up", f"for {span(now - info.started_at_ms)}"
    longest = sorted((slot for slot in found.running if slot.started_at_ms), key=lambda slot: slot.started_at_ms)[:3]
    if found.member.health != "lost":
        for slot in longest:
            yield "runs", f"{slot.type or '?'} {slot.task_id} for {span(now - slot.started_at_ms)}"
    for act in found.acts[:3]:
        yield "told", f"{act.action} by {act.by} {span(now - act.at_ms)} ago"


def _cures(found: Found, held: Held) -> Iterator[Cure]:
    node_id = found.node.id if found.node is not None else found.member.id.rpartition(".")[0]
    match held.code:
        case "lost":
            yield Cure("look after its machine; nobody need act, the others take its tasks back")
        case "unreadable":
            yield Cure("upgrade the older one of tq-worker and this program")
        case "crash_loop":
            yield Cure("see its log; once the code is mended", ("workers", "reload", node_id))
        case "paused":
            yield Cure("let it go on", ("workers", "resume", node_id))
        case "draining":
            yield Cure("do not wait for what it runs, give it back", ("workers", "stop", node_id, "--now"))
        case "no_processes":
            yield Cure("give it some", ("workers", "scale", node_id, "1"))
        case "busy" | "loop_blocked":
            yield Cure("see where it is in its code", ("workers", "stacks", found.member.id))
            if isinstance(found.member.info, NodeInfo):
                more = str(found.member.info.processes + 1)
                yield Cure("give it one process more", ("workers", "scale", node_id, more))
        case "no_work":
            for queue in _stopped(found.work)[:2]:
                yield Cure(f"why {queue} does not move", ("why", "queue", queue))


def _stopped(work: Sequence[Workload]) -> list[str]:
    return [each.queue for each in work if _why_nothing(each)]
