"""What a supervisor and its workers say to each other: one JSON object a line, over a socket pair that nobody else has.

The worker's first frame is `Ready` or `Refused`; the supervisor's first is `Setup`. Orders carry a number, and each is
answered by one `Answer` after it took effect. The end of the stream means that the other side is gone.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from tq_core.roles.registry import PublishedType
from tq_core.roles.schedules import Schedule

MAX_FRAME_BYTES = 32 * 1024 * 1024


class _Frame(msgspec.Struct, frozen=True, kw_only=True, tag_field="frame"):
    """One line."""


# --- supervisor -> worker ---


class Setup(_Frame, frozen=True, tag="setup"):
    """Which code to run, and how."""

    worker_id: str
    node_id: str
    apps: tuple[str, ...]
    app_dir: str
    url: str | None
    """The broker, where the node was told one; else the task queue's own."""
    context: str | None
    queues: tuple[str, ...] | None
    """None = those of the loaded task types, and `default`."""
    order: str
    slots: int
    weights: dict[str, int]
    max_tasks: int | None
    """After about so many tasks it asks to be replaced."""
    lease_s: float
    heartbeat_s: float
    log_format: str
    log_level: str
    event_loop: str = "auto"
    counts: bool = False
    """Whether to say what the worker has counted."""
    tracing: str = "auto"
    """One of trace_export.MODES."""
    max_memory_mb: int | None = None
    cpu: int | None = None
    """The one to run on; None = any."""


class Go(_Frame, frozen=True, tag="go"):
    """The broker was reached and the node is registered: start to claim."""

    is_paused: bool = False
    slots: int | None = None
    """As they are now; None = as in `Setup`."""
    log_level: str | None = None


class Order(_Frame, frozen=True, tag="order"):
    """Something to do: pause, resume, slots, drain, stop, end_task, stacks, log_level, report."""

    number: int
    do: str
    args: dict[str, Any] = {}


# --- worker -> supervisor ---


class Ready(_Frame, frozen=True, tag="ready"):
    """The users' code is loaded."""

    url: str
    """The broker's address as it was resolved; may hold a password, so it is never shown."""
    display: str
    """The same with secrets masked."""
    notice: str
    """A line for people, where nobody chose the broker."""
    queues: tuple[str, ...]
    types: tuple[PublishedType, ...]
    schedules: tuple[Schedule, ...]
    code_version: str


class Refused(_Frame, frozen=True, tag="refused"):
    """The users' code cannot be run as it is."""

    message: str
    exit_code: int


class Alive(_Frame, frozen=True, tag="alive"):
    """Sent every second by a thread of its own: a process that holds still altogether does not send it."""

    loop_stalled_s: float
    running: int
    taken: int = 0
    """Tasks that it has claimed so far."""


class Counted(_Frame, frozen=True, tag="counted"):
    """What the worker has counted so far, where the node exposes metrics: about once a second, and as it leaves."""

    rows: list[tuple[str, str, list[float]]]
    """Queue, task type and a row (tq_worker.counted), of all that have changed."""


class Retiring(_Frame, frozen=True, tag="retiring"):
    """The process is about to end itself on purpose; its tasks are taken care of."""

    why: str


class Worn(_Frame, frozen=True, tag="worn"):
    """The process has run as many tasks as it should; it goes on until it is replaced."""

    why: str


class Answer(_Frame, frozen=True, tag="answer"):
    """What became of an order."""

    number: int
    ok: bool
    text: str = ""
    data: dict[str, Any] = {}


FromSupervisor: TypeAlias = Setup | Go | Order
FromWorker: TypeAlias = Ready | Refused | Alive | Counted | Retiring | Worn | Answer

_encoder = msgspec.json.Encoder()
_from_supervisor: msgspec.json.Decoder[FromSupervisor] = msgspec.json.Decoder(Setup | Go | Order)
_from_worker: msgspec.json.Decoder[FromWorker] = msgspec.json.Decoder(
    Ready | Refused | Alive | Counted | Retiring | Worn | Answer
)


def encode(frame: FromSupervisor | FromWorker) -> bytes:
    """One line."""
    return _encoder.encode(frame) + b"\n"


def decode_for_worker(line: bytes) -> FromSupervisor:
    """What the supervisor said."""
    return _from_supervisor.decode(line)


def decode_for_supervisor(line: bytes) -> FromWorker:
    """What the worker said."""
    return _from_worker.decode(line)
