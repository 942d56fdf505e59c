"""The worker's side of a queue: claim, complete, fail, release, extend. Every write carries the claim's token."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tq_core import names
from tq_core.errors import InvalidInputError
from tq_core.keyspace import keys, wire
from tq_core.transport.steps import Arg, Batch, Flow, Script

LEASE_MS = 30_000
EXTEND_EVERY_MS = 10_000
PROMOTE_MAX = 200
UNKNOWN_DELAY_MS = 10_000
UNKNOWN_MAX = 3
LATENCY_BUCKETS = 24
_BUCKETS = "".join(chr(65 + i) for i in range(LATENCY_BUCKETS))


class ClaimedTask(msgspec.Struct, frozen=True, gc=False):
    """A task that this worker holds until its lease ends."""

    queue: str
    id: str
    token: bytes
    header: wire.Header | None
    """None when the body cannot be read: fail it with reason `corrupt`."""
    payload: bytes
    trail: wire.Trail
    claimed_at_ms: int
    """By the server's clock."""

    @property
    def attempt(self) -> int:
        """This attempt's number, from 1."""
        return self.trail.failures + 1


class Claim(msgspec.Struct, frozen=True):
    """The answer to one claim."""

    tasks: tuple[ClaimedTask, ...] = ()
    is_paused: bool = False
    next_due_ms: int | None = None
    """Server time at which to ask again, where fewer came than were asked for: the next delayed task is due, or a limit
    lets the next one start."""
    too_new: int | None = None
    """The version of the queue's keys, when a newer tq wrote them: nothing can be claimed."""


class Ack(msgspec.Struct, frozen=True, gc=False):
    """One task that succeeded."""

    task: ClaimedTask
    result: bytes
    """JSON."""
    duration_ms: int
    started_wait_ms: int = 0
    """How long it had been ready before its handler started."""


def new_nonce() -> str:
    """What finds a claim whose answer was lost: `release_claim`."""
    return secrets.token_hex(6)


def claim_step(queue: str, *, worker_id: str, nonce: str, limit: int, lease_ms: int = LEASE_MS) -> Script:
    """Claims up to `limit` tasks; decode the reply with `decode_claim`. Never sent twice."""
    return Script(
        "claim", keys.queue_prefix(queue), (worker_id, nonce, limit, lease_ms, PROMOTE_MAX), is_idempotent=False
    )


def decode_claim(queue: str, reply: list[Any]) -> Claim:
    """What the reply to a claim means."""
    word = reply[0]
    if word == b"PAUSED":
        return Claim(is_paused=True)
    if word == b"SCHEMA":
        return Claim(too_new=int(reply[1]))
    if word == b"EMPTY":
        return Claim(next_due_ms=int(float(reply[1])) if reply[1] else None)
    _, token, _, task_ids, bodies, trails, again = reply
    parsed = wire.parse_token(token)
    claimed_at_ms = parsed.claimed_at_ms if parsed else 0
    tasks = []
    for i, (task_id, body) in enumerate(zip(task_ids, bodies, strict=True)):
        if body is None:
            continue
        header: wire.Header | None
        try:
            header, payload = wire.split_body(body)
        except InvalidInputError:
            header, payload = None, body
        trail = wire.parse_trail(trails[i]) if trails else wire.NO_TRAIL
        tasks.append(ClaimedTask(queue, task_id.decode(), token, header, payload, trail, claimed_at_ms))
    return Claim(tuple(tasks), next_due_ms=int(float(again)) if again else None)


def claim(queue: str, *, worker_id: str, nonce: str, limit: int, lease_ms: int = LEASE_MS) -> Flow[Claim]:
    """Claims up to `limit` tasks of one queue."""
    reply = yield claim_step(queue, worker_id=worker_id, nonce=nonce, limit=limit, lease_ms=lease_ms)
    return decode_claim(queue, reply)


def complete_step(queue: str, acks: Sequence[Ack]) -> Script:
    """Records successes of one queue in one call; decode the reply with `decode_complete`."""
    buckets = "".join([_bucket(a.duration_ms) + _bucket(a.started_wait_ms) for a in acks])
    uniques = {
        str(i): names.encode_unique_key(a.task.header.unique_key)
        for i, a in enumerate(acks, 1)
        if a.task.header and a.task.header.unique_key
    }
    args: list[Arg] = [buckets, sum(a.duration_ms for a in acks), msgspec.json.encode(uniques) if uniques else ""]
    for a in acks:
        record = wire.record(a.task.token, "ok", attempt=a.task.attempt, duration_ms=a.duration_ms, detail=a.result)
        args += (a.task.id, record)
    return Script("complete", keys.queue_prefix(queue), args)


def decode_complete(reply: list[bytes], count: int) -> list[str]:
    """Per acknowledgement: K recorded, S stale, G gone."""
    return ["K"] * count if reply[0] == b"OK" else [word.decode() for word in reply[1:]]


def complete(queue: str, acks: Sequence[Ack]) -> Flow[list[str]]:
    """Records successes; returns per acknowledgement K recorded (now or before), S stale, G gone."""
    if not acks:
        return []
    reply = yield complete_step(queue, acks)
    return decode_complete(reply, len(acks))


class Outcome(msgspec.Struct, frozen=True):
    """What became of a task whose run did not succeed."""

    word: str
    """retrying, failed, cancelled, pending, stale, gone."""
    attempt: int = 0
    due_at_ms: int | None = None


def fail_step(
    task: ClaimedTask, *, verdict: str, reason: str, delay_ms: int, duration_ms: int, detail: dict[str, Any]
) -> Script:
    """Records a run without a result; decode the reply with `decode_outcome`.

    Args:
        verdict: retry (again while attempts are left), fatal (to the DLQ) or cancel (it was asked to stop).
        reason: One word for people and counters: error, timeout, fatal, corrupt, bad_arguments, cancelled, killed.
        detail: type, message, traceback, code_version, host; cut to wire.MAX_DETAIL_BYTES.
    """
    told = wire.encode_detail(detail), wire.alike(detail)
    args = (task.id, task.token, verdict, reason, delay_ms, duration_ms, *told)
    return Script("fail", keys.queue_prefix(task.queue), args)


def decode_outcome(reply: list[Any]) -> Outcome:
    """What the reply to `fail` or `crash` means."""
    if reply[0] != b"OK":
        return Outcome(reply[0].decode().lower())
    attempt = int(reply[2]) if len(reply) > 2 else 0
    due = int(reply[3]) if len(reply) > 3 and reply[3] else None
    return Outcome(reply[1].decode(), attempt, due)


def fail(
    task: ClaimedTask, *, verdict: str, reason: str, delay_ms: int, duration_ms: int, detail: dict[str, Any]
) -> Flow[Outcome]:
    """Records a run without a result: see `fail_step`."""
    reply = yield fail_step(
        task, verdict=verdict, reason=reason, delay_ms=delay_ms, duration_ms=duration_ms, detail=detail
    )
    return decode_outcome(reply)


def crash(task: ClaimedTask, *, detail: dict[str, Any]) -> Flow[Outcome]:
    """Records that a task running alone took its process down: pending (again alone), failed (poison), cancelled."""
    told = wire.encode_detail(detail), wire.alike(detail)
    reply = yield Script("crash", keys.queue_prefix(task.queue), (task.id, task.token, *told))
    return decode_outcome(reply)


def release(tasks: Sequence[ClaimedTask]) -> Flow[list[str]]:
    """Gives tasks back that were not run to their end, at the place they had; costs them nothing.

    Args:
        tasks: All of one queue.

    Returns:
        Per task: pending, cancelled, or S when another claim holds or ended it.
    """
    return (yield from _release(tasks, "unstarted", 0, 0))


def release_unknown(
    tasks: Sequence[ClaimedTask], *, delay_ms: int = UNKNOWN_DELAY_MS, limit: int = UNKNOWN_MAX
) -> Flow[list[str]]:
    """Gives tasks back whose type this worker does not know; failed as unknown_type after `limit` times."""
    return (yield from _release(tasks, "unknown", delay_ms, limit))


def _release(tasks: Sequence[ClaimedTask], kind: str, delay_ms: int, limit: int) -> Flow[list[str]]:
    if not tasks:
        return []
    args: list[Arg] = [kind, delay_ms, limit]
    for task in tasks:
        args += (task.id, task.token)
    reply = yield Script("release", keys.queue_prefix(tasks[0].queue), args)
    return [word.decode() for word in reply]


class Extended(msgspec.Struct, frozen=True):
    """What a renewal of leases found out."""

    lost_ids: tuple[str, ...] = ()
    """Held by another claim, or ended: stop them, and do not acknowledge."""
    asked: tuple[tuple[str, dict[str, Any]], ...] = ()
    """Tasks somebody asked to stop, with by, why and mode (cancel or kill)."""


def extend(tasks: Sequence[tuple[str, str, bytes]], *, lease_ms: int = LEASE_MS) -> Flow[Extended]:
    """Renews leases, of several queues in one round trip.

    Args:
        tasks: (queue, id, token) of each.
    """
    by_queue: dict[str, list[Arg]] = {}
    for queue, task_id, token in tasks:
        by_queue.setdefault(queue, [lease_ms]).extend((task_id, token))
    if not by_queue:
        return Extended()
    replies = yield Batch([Script("extend", keys.queue_prefix(q), args) for q, args in by_queue.items()])
    lost: list[str] = []
    asked: list[tuple[str, dict[str, Any]]] = []
    for _, _, lost_ids, asked_ids, details in replies:
        lost += (i.decode() for i in lost_ids)
        asked += ((i.decode(), wire.json_object(d)) for i, d in zip(asked_ids, details, strict=True))
    return Extended(tuple(lost), tuple(asked))


class GivenBack(msgspec.Struct, frozen=True):
    """What a dead worker's tasks became."""

    unstarted: int
    crashed: tuple[tuple[str, str], ...]
    """(id, pending | failed | cancelled) of those that were running in company."""


def give_back(
    queues: Iterable[str], worker_id: str, *, started_ids: Sequence[str], detail: dict[str, Any]
) -> Flow[GivenBack]:
    """Returns all that a dead worker holds, at once; those it was running in company go on alone.

    Args:
        started_ids: Tasks that ran in the worker's own process when it died. A task that had a process of its own, or
            had not started, is given back at no cost.
        detail: What is known of the death: exit_code, signal, host.
    """
    return (yield from _give_back(queues, f"~{worker_id}|", started_ids, detail))


def release_claim(queue: str, nonce: str) -> Flow[int]:
    """Gives back what a claim took whose answer never came; returns how many tasks."""
    given = yield from _give_back([queue], f"-{nonce}~", (), {})
    return given.unstarted


def _give_back(
    queues: Iterable[str], needle: str, started_ids: Sequence[str], detail: dict[str, Any]
) -> Flow[GivenBack]:
    unstarted, crashed = 0, []
    told = wire.encode_detail(detail), wire.alike(detail)
    replies = yield Batch([Script("give_back", keys.queue_prefix(q), (needle, *told, *started_ids)) for q in queues])
    for _, count, task_ids, words in replies:
        unstarted += int(count)
        crashed += [(i.decode(), w.decode()) for i, w in zip(task_ids, words, strict=True)]
    return GivenBack(unstarted, tuple(crashed))


def _bucket(duration_ms: int) -> str:
    """The log2 bucket as one character: A below 1 ms, B below 2 ms, C below 4 ms, ..."""
    return _BUCKETS[min(duration_ms.bit_length(), LATENCY_BUCKETS - 1)] if duration_ms > 0 else "A"
