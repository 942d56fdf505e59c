"""Which queues, task types, nodes and workers there are, and the control channel to the nodes."""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tq_core import names
from tq_core.errors import BrokerError, NotFoundError, SchemaTooNewError
from tq_core.keyspace import keys, wire
from tq_core.transport.steps import Arg, Batch, Block, Command, Flow, Script

LATE_AFTER_MS = 10_000
LOST_AFTER_MS = 30_000
FORGET_AFTER_MS = 3_600_000
TYPE_KEPT_MS = 7 * 86_400_000
COMMAND_VALID_MS = 15_000
SHORTEST_BLOCK_S = 0.01
"""To BLPOP a timeout of 0 means for ever."""
COMMANDS = frozenset(
    {
        *("pause", "resume", "scale", "autoscale", "drain", "stop", "reload"),
        *("kill_task", "kill_worker", "stacks", "log_level"),
    }
)


# --- queues ---


def register_queue(queue: str) -> Flow[int]:
    """Gives the queue its number, or finds the one it has.

    Raises:
        SchemaTooNewError: a newer tq wrote this queue.
    """
    names.check_queue(queue)
    wanted = ""
    for _ in range(3):
        word, *rest = yield Script("register_queue", keys.QUEUES, (queue, wanted))
        if word == b"TAKEN":
            break
        number = rest[0].decode()
        word, *rest = yield Script("adopt_queue", keys.queue_prefix(queue), (number, keys.SCHEMA_VERSION))
        if word == b"OK":
            return int(number)
        if word == b"SCHEMA":
            raise too_new(queue, int(rest[0]))
        # The queue's own keys know another number than the register: its tasks' ids carry that one, so it counts.
        wanted = rest[0].decode()
        yield Command(("HDEL", keys.QUEUES, queue))
    raise BrokerError(f"the queue {queue!r} cannot be given the number {wanted or '(none left)'}: run `tq doctor`")


def too_new(queue: str, version: int) -> SchemaTooNewError:
    """The error that says that a newer tq wrote a queue."""
    return SchemaTooNewError.of(queue, version, keys.SCHEMA_VERSION)


def schemas(queues: Iterable[str]) -> Flow[dict[str, int]]:
    """The version of each queue's keys; queues that were never written to are left out."""
    names_ = list(queues)
    found = yield Batch([Command(("HMGET", keys.queue_prefix(q) + "meta", "number", "schema")) for q in names_])
    return {
        queue: int(version) if version and version.isdigit() else 1
        for queue, (number, version) in zip(names_, found, strict=True)
        if number
    }


def queue_numbers() -> Flow[dict[str, int]]:
    """All queues there have ever been, with their numbers."""
    found = yield Command(("HGETALL", keys.QUEUES))
    numbers = {}
    for name, number in sorted(found.items()):
        # What no program of ours wrote must not hide the queues beside it.
        if not name.startswith(b"#") and number.isdigit():
            numbers[name.decode("utf-8", "replace")] = int(number)
    return numbers


# --- task types ---


class PublishedType(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task type as its workers publish it, for submit, forms and the gateway."""

    name: str
    queue: str
    schema: dict[str, Any] = {}
    """JSON schema of the arguments: an object."""
    doc: str = ""
    max_attempts: int = 4
    timeout_s: float | None = None
    is_isolated: bool = False
    memory_limit_mb: int | None = None
    expires_in_s: float | None = None
    limit_key: str = ""
    """What the limit key of its tasks is made of."""
    breaker: str = ""
    """As it lies in Redis (tq_core.roles.limits)."""
    seen_at_ms: int = 0


def publish_types(types: Iterable[PublishedType]) -> Flow[None]:
    """Makes task types known; those not seen for a week are forgotten by readers."""
    now = yield from server_time_ms()
    fields: list[Arg] = []
    for published in types:
        fields += [published.name, msgspec.json.encode(msgspec.structs.replace(published, seen_at_ms=now))]
    if fields:
        yield Script("publish_types", keys.TYPES, fields)


def published_types() -> Flow[dict[str, PublishedType]]:
    """The task types that workers have published within the last week, by name."""
    now = yield from server_time_ms()
    found = yield Command(("HGETALL", keys.TYPES))
    out = {}
    for raw in found.values():
        try:
            published = msgspec.json.decode(raw, type=PublishedType)
        except wire.UNREADABLE:
            continue
        if now - published.seen_at_ms <= TYPE_KEPT_MS:
            out[published.name] = published
    return dict(sorted(out.items()))


def server_time_ms() -> Flow[int]:
    """The server's clock."""
    seconds, micros = yield Command(("TIME",))
    return int(seconds) * 1000 + int(micros) // 1000


# --- nodes and workers ---


class SlotInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one slot of a worker runs."""

    task_id: str
    type: str = ""
    queue: str = ""
    started_at_ms: int = 0
    is_alone: bool = False
    progress: float | None = None
    """0 to 1, where the handler says."""


class WorkerInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a worker says of itself with each heartbeat."""

    worker_id: str
    node_id: str
    pid: int
    state: str = "running"
    """running, paused, draining."""
    slots: int = 1
    running: tuple[SlotInfo, ...] = ()
    queues: tuple[str, ...] = ()
    completed: int = 0
    failed: int = 0
    started_at_ms: int = 0
    loop_lag_ms: int = 0
    rss_bytes: int = 0
    cpu_percent: float = 0.0


class Autoscale(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Between which bounds a node sets its number of workers itself, and what it decided last."""

    least: int
    most: int
    at_ms: int = 0
    """When it decided; 0 = it has not changed anything yet."""
    processes: int = 0
    """How many workers it wanted then."""
    why: str = ""


class NodeInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a node's supervisor says of itself with each heartbeat."""

    node_id: str
    host: str
    pid: int
    state: str = "running"
    """running, paused, draining."""
    processes: int = 1
    """Wanted number of workers."""
    slots: int = 1
    """Slots of each worker."""
    worker_ids: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    started_at_ms: int = 0
    tq_version: str = ""
    code_version: str = ""
    python: str = ""
    restarts: int = 0
    trouble: str = ""
    """Why its workers do not stay, where they do not; a text of the node and its users' code."""
    schema: int = 1
    """The newest version of a queue's keys that it knows; those of before it was said know 1."""
    tags: tuple[str, ...] = ()
    weights: dict[str, int] = {}
    """Shares of its queues that are not 1."""
    order: str = "fair"
    """fair or strict."""
    max_tasks: int | None = None
    is_burst: bool = False
    autoscale: Autoscale | None = None


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A node or worker with the age of its last heartbeat."""

    id: str
    seen_at_ms: int
    silent_ms: int
    info: NodeInfo | WorkerInfo | None
    """None where what it said cannot be read."""

    @property
    def health(self) -> str:
        """live, late or lost."""
        return "lost" if self.silent_ms > LOST_AFTER_MS else "late" if self.silent_ms > LATE_AFTER_MS else "live"


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """All nodes and workers on the register, lost ones included."""

    now_ms: int
    nodes: tuple[Member, ...]
    workers: tuple[Member, ...]


def heartbeat(info: NodeInfo | WorkerInfo) -> Flow[int]:
    """Says that a node or worker lives; returns the server's time in ms."""
    kind, member_id = ("node", info.node_id) if isinstance(info, NodeInfo) else ("worker", info.worker_id)
    _, now_ms, _ = yield Script("heartbeat", keys.FLEET, (kind, member_id, msgspec.json.encode(info)))
    return int(now_ms)


def depart(kind: str, ids: Iterable[str], reason: str = "stopped") -> Flow[None]:
    """Takes nodes (`node`) or workers (`worker`) off the register."""
    yield Script("depart", keys.FLEET, (kind, reason, *ids))


def fleet(known: Fleet | None = None) -> Flow[Fleet]:
    """Who is there, live, late and lost.

    Args:
        known: As it was a moment ago: then only what was said since is read, in one round trip, or in two where
            somebody is there who is neither known nor new.
    """
    if known is not None:
        node_infos, worker_infos = _said(known.nodes), _said(known.workers)
        since_ms = known.now_ms
        _, now_raw, nodes, workers = yield Script("fleet", keys.FLEET, (since_ms,))
        now_ms = int(now_raw)
        is_whole = _are_told(nodes, node_infos, since_ms) and _are_told(workers, worker_infos, since_ms)
        if is_whole and now_ms >= since_ms:
            return Fleet(
                now_ms=now_ms,
                nodes=_members(nodes, now_ms, _decode_node, node_infos),
                workers=_members(workers, now_ms, _decode_worker, worker_infos),
            )
    _, now_raw, nodes, workers = yield Script("fleet", keys.FLEET, (0,))
    now_ms = int(now_raw)
    return Fleet(
        now_ms=now_ms,
        nodes=_members(nodes, now_ms, _decode_node),
        workers=_members(workers, now_ms, _decode_worker),
    )


_Info = NodeInfo | WorkerInfo
_decode_node = msgspec.json.Decoder(NodeInfo).decode
_decode_worker = msgspec.json.Decoder(WorkerInfo).decode


def _said(members: Iterable[Member]) -> dict[bytes, _Info | None]:
    return {member.id.encode(): member.info for member in members}


def _are_told(flat: list[bytes], known: Mapping[bytes, _Info | None], since_ms: int) -> bool:
    """Whether it is known what each of them said last."""
    return all(flat[i] in known or float(flat[i + 1]) >= since_ms for i in range(0, len(flat), 3))


def _members(
    flat: list[bytes], now_ms: int, decode: Callable[[bytes], _Info], known: Mapping[bytes, _Info | None] | None = None
) -> tuple[Member, ...]:
    out = []
    for i in range(0, len(flat), 3):
        seen = float(flat[i + 1])
        seen_at_ms = int(seen) if math.isfinite(seen) else 0
        info: _Info | None = None
        if flat[i + 2]:
            try:
                info = decode(flat[i + 2])
            except wire.UNREADABLE:
                info = None
        elif known is not None:
            info = known.get(flat[i])
        out.append(
            Member(
                id=flat[i].decode("utf-8", "replace"),
                seen_at_ms=seen_at_ms,
                silent_ms=max(0, now_ms - seen_at_ms),
                info=info,
            )
        )
    return tuple(out)


def nodes_by_queue() -> Flow[dict[str, int]]:
    """How many live nodes serve each queue; reads nodes only, not their workers."""
    now = yield from server_time_ms()
    ids = yield Command(("ZRANGEBYSCORE", keys.FLEET + "seen:node", now - LATE_AFTER_MS, "+inf"))
    found = (yield Command(("HMGET", keys.FLEET + "info:node", *ids))) if ids else []
    counts: dict[str, int] = {}
    for raw in found:
        try:
            served = msgspec.json.decode(raw or b"", type=NodeInfo).queues
        except wire.UNREADABLE:
            continue
        for queue in served:
            counts[queue] = counts.get(queue, 0) + 1
    return counts


def forget_lost(*, after_ms: int = FORGET_AFTER_MS) -> Flow[int]:
    """Takes members off the register that have been silent for so long; returns how many."""
    found = yield from fleet()
    gone = 0
    for kind, members in (("node", found.nodes), ("worker", found.workers)):
        ids = [m.id for m in members if m.silent_ms > after_ms]
        if ids:
            yield from depart(kind, ids, "forgotten")
            gone += len(ids)
    return gone


# --- control ---


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """A node's answer to a command."""

    ok: bool
    text: str = ""
    data: dict[str, Any] = {}


class NodeCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command as the node reads it from its inbox."""

    id: str
    do: str
    by: str = ""
    args: dict[str, Any] = {}


class _Bare(msgspec.Struct, frozen=True):
    """What is left of a command that cannot be read."""

    id: str


_COMMAND_ID = re.compile("[A-Za-z0-9-]{1,64}")


def send_command(node_id: str, do: str, *, actor: str, args: dict[str, Any] | None = None) -> Flow[str]:
    """Puts a command into a node's inbox and returns the command's id; `await_ack` waits for the answer.

    Raises:
        NotFoundError: no live node has this id.
    """
    assert do in COMMANDS, do
    command = NodeCommand(id=secrets.token_hex(8), do=do, by=actor, args=args or {})
    detail = wire.encode_detail({"by": actor, "node": node_id, **command.args})
    word, *_ = yield Script(
        "control",
        keys.FLEET,
        (
            *(node_id, actor, msgspec.json.encode(command), COMMAND_VALID_MS, LOST_AFTER_MS),
            *(do, command.id, detail),
        ),
        is_idempotent=False,
    )
    if word == b"GONE":
        raise NotFoundError(f"no live node has the id {node_id!r}: see `tq workers list`")
    return command.id


def await_ack(command_id: str, *, timeout_s: float = 10.0) -> Flow[Ack | None]:
    """Waits for a node's answer; None when there was none in time: the command may still be obeyed until it expires."""
    found = yield from await_any_ack([command_id], timeout_s=timeout_s)
    return found[1] if found is not None else None


def await_any_ack(command_ids: Sequence[str], *, timeout_s: float) -> Flow[tuple[str, Ack] | None]:
    """Waits for the answer to one of several commands; returns which and the answer, None when none came in time."""
    by_key = {keys.ack(command_id).encode(): command_id for command_id in command_ids}
    found = yield Block(("BLPOP", *by_key, max(timeout_s, SHORTEST_BLOCK_S)), timeout_s)
    if not found:
        return None
    key, said = found
    try:
        ack = msgspec.json.decode(said, type=Ack)
    except wire.UNREADABLE:
        ack = Ack(ok=False, text="the answer of the node cannot be read")
    return by_key[key], ack


def next_command(node_id: str, *, timeout_s: float = 5.0) -> Flow[NodeCommand | None]:
    """The node's side: waits for a command that is still valid; None when none came.

    What it is to do may be unknown, or empty where the command cannot be read but for its id: it can be answered then.
    """
    found = yield Block(("BLPOP", keys.inbox(node_id), max(timeout_s, SHORTEST_BLOCK_S)), timeout_s)
    if not found:
        return None
    valid_until, _, text = found[1].partition(b"|")
    now = yield from server_time_ms()
    if not valid_until.isdigit() or now > int(valid_until):
        return None
    try:
        command = msgspec.json.decode(text, type=NodeCommand)
    except wire.UNREADABLE:
        try:
            command = NodeCommand(id=msgspec.json.decode(text, type=_Bare).id, do="")
        except wire.UNREADABLE:
            return None
    # The answer goes to a key with this name.
    return command if _COMMAND_ID.fullmatch(command.id) else None


def acknowledge(command_id: str, ack: Ack) -> Flow[None]:
    """The node's side: answers a command."""
    yield Script("acknowledge", keys.FLEET, (command_id, msgspec.json.encode(ack)))
