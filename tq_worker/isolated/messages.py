"""What a worker and the process of one task say to each other: one JSON object a line, over a socket pair of their own.

Nothing of this touches the standard streams: what a handler prints is its own affair.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

MAX_LINE_BYTES = 64 * 1024 * 1024


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="is"):
    """One line."""


# --- worker -> zygote ---


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Which code to load; the first thing a zygote is told."""

    apps: tuple[str, ...]
    app_dir: str
    url: str | None
    """The broker that the worker was told, for task queues of the code; None = their own."""
    tracing: str = "auto"
    """One of trace_export.MODES."""
    cpu: int | None = None
    """The one to run on; None = any."""


# --- zygote -> worker ---


class Loaded(_Message, frozen=True, tag="loaded"):
    """The code is loaded."""

    can_fork: bool
    """Whether each task gets a fork of this process; else it runs one task itself and ends."""
    problem: str = ""
    """Why nothing can be run."""


class Ready(_Message, frozen=True, tag="ready"):
    """A fork waits for the next task."""

    pid: int


class Died(_Message, frozen=True, tag="died"):
    """A fork has ended."""

    pid: int
    exit_code: int
    """Negative for a signal."""


# --- worker -> task ---


class Spec(_Message, frozen=True, tag="spec"):
    """The task to run."""

    task_id: str
    task_type: str
    queue: str
    attempt: int
    max_attempts: int
    token: str
    worker_id: str
    timeout_s: float | None
    soft_timeout_s: float | None
    payload: bytes
    retry: dict[str, Any] | None
    """The task's own policy."""
    traceparent: str | None = None
    """Of its run, where that is recorded; else of its producer."""
    tracestate: str | None = None


class Stop(_Message, frozen=True, tag="stop"):
    """Somebody wants it to end."""

    why: str
    is_firm: bool
    """Whether the handler is interrupted, or only asked."""


# --- task -> worker ---


class Begun(_Message, frozen=True, tag="begun"):
    """The process is there."""

    pid: int


class Progress(_Message, frozen=True, tag="progress"):
    """The handler says how far it is."""

    fraction: float
    text: str


class Said(_Message, frozen=True, tag="said"):
    """A line of the handler."""

    text: str


class Succeeded(_Message, frozen=True, tag="succeeded"):
    """The handler returned."""

    result: bytes


class Failed(_Message, frozen=True, tag="failed"):
    """The handler raised; judged where the exception is."""

    verdict: str
    reason: str
    detail: dict[str, Any]
    delay_ms: int


ToTask: TypeAlias = Spec | Stop
FromTask: TypeAlias = Begun | Progress | Said | Succeeded | Failed
FromZygote: TypeAlias = Loaded | Ready | Died

encoder = msgspec.json.Encoder()
to_task: msgspec.json.Decoder[ToTask] = msgspec.json.Decoder(Spec | Stop)
from_task: msgspec.json.Decoder[FromTask] = msgspec.json.Decoder(Begun | Progress | Said | Succeeded | Failed)
from_zygote: msgspec.json.Decoder[FromZygote] = msgspec.json.Decoder(Loaded | Ready | Died)


def line(message: _Message) -> bytes:
    """A message as it is sent."""
    return encoder.encode(message) + b"\n"
