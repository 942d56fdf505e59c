"""One action on all tasks that a filter fits, a part at a time, by whoever has time: workers, or who asked for it.

A job lies with the queue. Who does a part of it holds a short lease; its fence keeps one that comes back late from
writing how far the job is. A part that is done twice does nothing the second time, since a task that was acted on has
left the state or is as it should be, and what was done is counted by the action itself, in its own step. The id of the
job is the op of everything that it does, so an undo of the job is one of its tasks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from tq_core import ids, names
from tq_core.errors import InvalidInputError, NotFoundError, RefusedError
from tq_core.keyspace import keys, wire
from tq_core.model import TERMINAL_STATES, WAITING_STATES, TaskState, TaskView, parse_priority
from tq_core.query.query import TaskQuery, parse_query
from tq_core.roles import inspector, moves, operator, registry
from tq_core.roles.operator import Done
from tq_core.transport.steps import Batch, Command, Flow, Pause, Script

Action = Literal["cancel", "kill", "retry", "delete", "reprioritise", "move"]
ALL_STATES: dict[str, tuple[TaskState, ...]] = {
    # In the order in which tasks go from one to the next, so that none slips past.
    "cancel": (*(s for s in TaskState if s in WAITING_STATES and s is not TaskState.PENDING), TaskState.PENDING),
    "kill": (*(s for s in TaskState if s in WAITING_STATES and s is not TaskState.PENDING), TaskState.PENDING),
    "retry": tuple(s for s in TaskState if s in TERMINAL_STATES),
    "delete": tuple(s for s in TaskState if s is not TaskState.RUNNING),
    "reprioritise": tuple(s for s in TaskState if s in WAITING_STATES),
    "move": (*(s for s in TaskState if s in WAITING_STATES), TaskState.FAILED),
}
ALL_STATES["cancel"] += (TaskState.RUNNING,)
ALL_STATES["kill"] += (TaskState.RUNNING,)
PAGE = 200
LEASE_MS = 10_000
OPEN_MAX = 100
KEPT = 50
IDLE_S = 0.05
_ID = re.compile(r"[0-9a-f]{6,32}")


class Query(msgspec.Struct, frozen=True):
    """A filter that versions before the query language would read as something else; they cannot read this at all."""

    query: str


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is done to which tasks; as JSON in Redis."""

    action: Action
    states: tuple[TaskState, ...]
    filter: str | Query = ""
    """Text of a query (tq_core.query); empty for all tasks of the states. `start` makes it a Query where it must."""
    by: str = ""
    why: str = ""
    priority: int | None = None
    to: str = ""
    """Of a move: the queue."""

    @property
    def words(self) -> str:
        """The filter as it was typed."""
        return self.filter.query if isinstance(self.filter, Query) else self.filter


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A job on one queue, and how far it is."""

    job_id: str
    queue: str
    job: Job | None
    """None where it cannot be read: a newer version wrote it."""
    status: str
    """open, done, cancelled, failed."""
    begun_at_ms: int
    changed_at_ms: int
    done: int
    looked: int
    skipped: int
    is_held: bool


_decode_job = msgspec.json.Decoder(Job).decode


def check(job: Job) -> TaskQuery | None:
    """The filter of a job that can be done.

    Raises:
        InvalidInputError: its states do not go with its action, its filter cannot be read, or it lacks a priority.
    """
    allowed = ALL_STATES[job.action]
    for state in job.states:
        if state not in allowed:
            raise InvalidInputError(f"{state} tasks cannot be chosen to {job.action}: use {', '.join(allowed)}")
    if not job.states:
        raise InvalidInputError(f"no state to {job.action}: use {', '.join(allowed)}")
    if (job.priority is not None) != (job.action == "reprioritise"):
        raise InvalidInputError("a priority goes with reprioritise, and that needs one")
    if bool(job.to) != (job.action == "move"):
        raise InvalidInputError("a queue to go to goes with move, and that needs one")
    if job.to:
        names.check_queue(job.to)
    if job.priority is not None:
        parse_priority(job.priority)
    return parse_query(job.words) if job.words else None


def start(queues: Sequence[str], job: Job) -> Flow[str]:
    """Puts a job on queues, which workers do from then on; returns its id. Tasks that come later are not touched.

    Raises:
        InvalidInputError: the job cannot be done.
        RefusedError: a queue has too many open jobs.
    """
    query = check(job)
    if query is not None:
        job = msgspec.structs.replace(job, filter=query.text if query.is_plain else Query(query.text))
    # A state that is named twice would be gone through for ever: where a part goes on is known by the state alone.
    job = msgspec.structs.replace(job, states=tuple(dict.fromkeys(job.states)))
    job_id, spec = operator.new_op(), msgspec.json.encode(job)
    # No step reaches two queues: all are asked before the first is written.
    open_jobs = yield Batch([Command(("ZCARD", keys.queue_prefix(queue) + "job_leases")) for queue in queues])
    for queue, count in zip(queues, open_jobs, strict=True):
        if count >= OPEN_MAX:
            raise _too_many(queue)
    for at, queue in enumerate(queues):
        word, *_ = yield Script(
            "put_job",
            keys.queue_prefix(queue),
            (job_id, spec, _cursor(job.states[0], _first_score(job.states[0])), OPEN_MAX, KEPT),
        )
        if word == b"FULL":
            yield from _withdraw(queues[:at], job_id, job.by)
            raise _too_many(queue)
    return job_id


def _too_many(queue: str) -> RefusedError:
    return RefusedError(f"{queue!r} has {OPEN_MAX} open jobs: wait, or cancel one; see `tq jobs list`")


def _withdraw(queues: Sequence[str], job_id: str, actor: str) -> Flow[None]:
    detail = operator.encode_audit_detail({"by": actor, "why": "another queue has too many", "job": job_id})
    for queue in queues:
        yield Script("cancel_job", keys.queue_prefix(queue), (job_id, actor, operator.new_op(), detail))


def _cursor(state: TaskState, score: str, task_id: str = "") -> str:
    return f"{state}|{score}|{task_id}"


def _first_score(state: TaskState) -> str:
    # Blocked ones from the last on: a child that its parent's part made give up would be ended instead of acted on.
    return "+inf" if state is TaskState.BLOCKED else "-inf"


def due(queues: Sequence[str], *, limit: int = 5) -> Flow[list[tuple[str, str]]]:
    """The open jobs of queues that nobody is busy with, as (queue, job id)."""
    replies = yield Batch([Script("due_jobs", keys.queue_prefix(q), (limit,)) for q in queues])
    return [(q, i.decode("ascii", "replace")) for q, found in zip(queues, replies, strict=True) for i in found]


def advance(queue: str, job_id: str, *, parts: int = 1) -> Flow[bool]:
    """Does the next parts of a job, pages of tasks, unless somebody else is at it; returns whether more is left."""
    prefix = keys.queue_prefix(queue)
    word, *rest = yield Script("lease_job", prefix, (job_id, LEASE_MS), is_idempotent=False)
    if word != b"OK":
        return False
    held, spec, cursor, until_ms = rest
    try:
        job = _decode_job(spec)
    except wire.UNREADABLE:
        return False
    state_name, score, task_id = [*cursor.decode("utf-8", "replace").split("|", 2), "", ""][:3]
    try:
        query, state = _checked(job), TaskState(state_name)
    except (InvalidInputError, ValueError):
        yield Script("advance_job", prefix, (job_id, held, cursor, 0, 0, "failed", 0))
        return False
    # Ages are those at which the job began: what grows old while it goes on was not meant.
    fits = query.matcher(int(until_ms)) if query else None
    for left in range(parts, 0, -1):
        page, is_last = yield from _page(queue, state, score, task_id)
        chosen = [
            task.id
            for place, task in page
            if _is_meant(task, place, int(until_ms), job_id) and (fits is None or fits(task))
        ]
        # What no program of ours wrote must not end the job, nor whoever does it.
        named = [task_id for task_id in chosen if ids.is_id(task_id)]
        acted: list[Done] = (yield from _act(job, named, int(until_ms), job_id)) if named else []
        skipped = len(chosen) - len(named)
        skipped += sum(not d.is_done and d.word not in ("gone", "same") for d in acted)
        status = ""
        if page and not is_last:
            score, task_id = page[-1][0], page[-1][1].id
        else:
            place = job.states.index(state) + 1
            status = "done" if place == len(job.states) else ""
            state = job.states[min(place, len(job.states) - 1)]
            score, task_id = _first_score(state), ""
        lease_ms = LEASE_MS if left > 1 else 0
        (word,) = yield Script(
            "advance_job",
            prefix,
            (job_id, held, _cursor(state, score, task_id), len(page), skipped, status, lease_ms),
            is_idempotent=False,
        )
        if status or word != b"OK":
            return False
    return True


def do_all(
    queues: Sequence[str], job: Job, *, told: Callable[[int], None], is_stopped: Callable[[], bool]
) -> Flow[list[Part]]:
    """Starts a job and does it to its end; returns what became of it on each queue. Workers go on where it is left.

    Args:
        told: Is told how many tasks were looked at so far.
        is_stopped: Asked between two parts; where it says so the job is cancelled, and what was done stays.

    Raises:
        InvalidInputError: the job cannot be done.
        RefusedError: a queue has too many open jobs.
    """
    job_id = yield from start(queues, job)
    while True:
        parts = yield from jobs(queues, job_id=job_id)
        told(sum(part.looked for part in parts))
        open_parts = [part for part in parts if part.status == "open"]
        if not open_parts:
            return parts
        if is_stopped():
            return (yield from cancel_job(job_id, actor=job.by, why="stopped"))
        is_more = False
        for part in open_parts:
            is_more = (yield from advance(part.queue, job_id)) or is_more
        if not is_more:
            # Its last parts are done, or somebody else is at it.
            yield Pause(IDLE_S)


def _checked(job: Job) -> TaskQuery | None:
    """The filter of a job as it was meant.

    Raises:
        InvalidInputError: as `check`, or a version before the language wrote it and meant something else.
    """
    query = check(job)
    if query is not None and isinstance(job.filter, str) and not query.is_plain:
        raise InvalidInputError(f"{job.filter!r} was written before it had the meaning that it has now")
    return query


def _page(queue: str, state: TaskState, score: str, task_id: str) -> Flow[tuple[list[tuple[str, TaskView]], bool]]:
    """The tasks of a state after a place, each with its score, and whether these are the last."""
    order = "desc" if state is TaskState.BLOCKED else "asc"
    _, _, _, _, views, *_ = yield Script(
        "around",
        keys.queue_prefix(queue),
        (state, order, score, task_id, "after", 0, PAGE, inspector.SHOW_BYTES),
    )
    found = []
    for raw in views:
        view = wire.View(*raw)
        task = wire.task_view(queue, view)
        if task.id != task_id:
            found.append((view.score.decode(), task))
    return found, len(views) < PAGE


def _is_meant(task: TaskView, score: str, until_ms: int, job_id: str) -> bool:
    """Whether it was there, in its state, when the job began, and was not asked to stop by the job itself."""
    if task.state.is_terminal and float(score) > until_ms:
        return False
    return task.created_at_ms <= until_ms and (task.cancel_asked or {}).get("job") != job_id


def _act(job: Job, task_ids: list[str], until_ms: int, job_id: str) -> Flow[list[Done]]:
    as_who: dict[str, Any] = {"actor": job.by, "why": job.why, "job": job_id}
    match job.action:
        case "cancel" | "kill":
            return (yield from operator.cancel(task_ids, kill=job.action == "kill", **as_who))
        case "retry":
            return (yield from operator.requeue(task_ids, until_ms=until_ms, **as_who))
        case "delete":
            return (yield from operator.discard(task_ids, action="delete", **as_who))
        case "reprioritise":
            return (yield from operator.reprioritise(task_ids, job.priority or 0, **as_who))
        case "move":
            try:
                return (yield from moves.move(task_ids, job.to, **as_who))
            except (NotFoundError, RefusedError) as error:
                # They are left and counted as skipped; the pages after them may find room again.
                return [Done(task_id, error.code) for task_id in task_ids]


def jobs(queues: Sequence[str] | None = None, *, job_id: str = "") -> Flow[list[Part]]:
    """The jobs of queues (all when None) that are open or ended lately, the latest first.

    Raises:
        InvalidInputError: `job_id` is none.
    """
    if job_id and not _ID.fullmatch(job_id):
        raise InvalidInputError(f"{job_id!r} is no job: `tq jobs list` shows them")
    if queues is None:
        queues = list((yield from registry.queue_numbers()))
    replies = yield Batch([Script("jobs", keys.queue_prefix(q), (job_id,)) for q in queues])
    found = [_part(q, raw) for q, (_, *entries) in zip(queues, replies, strict=True) for raw in entries]
    return sorted(found, key=lambda part: (-part.begun_at_ms, part.job_id, part.queue))


def _part(queue: str, raw: list[bytes]) -> Part:
    job_id, spec, status, begun, changed, done, looked, skipped, lease_end = raw
    try:
        job: Job | None = _decode_job(spec)
    except wire.UNREADABLE:
        job = None
    return Part(
        job_id=job_id.decode("ascii", "replace"),
        queue=queue,
        job=job,
        status=status.decode("ascii", "replace") or "open",
        begun_at_ms=int(begun),
        changed_at_ms=int(changed),
        done=int(done),
        looked=int(looked),
        skipped=int(skipped),
        is_held=lease_end not in (b"", b"0"),
    )


def cancel_job(job_id: str, *, actor: str, why: str = "") -> Flow[list[Part]]:
    """Ends a job on all of its queues; what it has done stays, and a part that is being done is still done.

    Raises:
        NotFoundError: there is no such job.
        RefusedError: it has ended already.
    """
    found = yield from jobs(job_id=job_id)
    if not found:
        raise NotFoundError(f"there is no job {job_id} (any more): see `tq jobs list`")
    open_parts = [part for part in found if part.status == "open"]
    if not open_parts:
        raise RefusedError(f"the job {job_id} has ended: {found[0].status}")
    detail, op = operator.encode_audit_detail({"by": actor, "why": why, "job": job_id}), operator.new_op()
    for part in open_parts:
        yield Script("cancel_job", keys.queue_prefix(part.queue), (job_id, actor, op, detail))
    return (yield from jobs([part.queue for part in found], job_id=job_id))
