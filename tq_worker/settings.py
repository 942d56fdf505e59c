"""What a node is told, by flags or by the environment, with its defaults."""

from __future__ import annotations

import os
import re
import secrets
import socket
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from tq_core.worker_bounds import Bounds

DEFAULT_SLOTS = 10
MAX_SLOTS = 1000
MOST_DEFAULT_PROCESSES = 4
DEFAULT_QUEUE = "default"
LEASE_S = 30.0
HEARTBEAT_S = 5.0
MAX_HEARTBEAT_S = 10.0
"""Who says nothing for longer counts as late, soon as lost, and then gets no commands."""
DRAIN_TIMEOUT_S = 25.0
HTTP_PORT = 9464
MAX_PORT = 65_535
ORDERS = ("fair", "strict")
START_METHODS = ("fork", "spawn")
EVENT_LOOPS = ("auto", "asyncio", "uvloop")


MAX_TAGS = 32
MAX_TASKS = 1_000_000_000


class HttpAddress(NamedTuple):
    """Where to answer over HTTP."""

    host: str
    """Empty for every address of the machine."""
    port: int
    """0 for any that is free."""

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One node as it was asked for."""

    apps: tuple[str, ...]
    app_dir: str
    url: str | None = None
    context: str | None = None
    queues: tuple[str, ...] | None = None
    weights: dict[str, int] = {}
    """Shares of the queues that were given one; the others have 1."""
    order: str = "fair"
    processes: int = 1
    slots: int = DEFAULT_SLOTS
    max_tasks: int | None = None
    """About how many tasks a worker process takes before a fresh one replaces it; None = no such limit."""
    is_burst: bool = False
    """Whether the node ends when its queues are empty."""
    autoscale: Bounds | None = None
    name: str = ""
    tags: tuple[str, ...] = ()
    lease_s: float = LEASE_S
    heartbeat_s: float = HEARTBEAT_S
    drain_timeout_s: float = DRAIN_TIMEOUT_S
    start_method: str = "fork"
    event_loop: str = "auto"
    max_memory_mb: int | None = None
    """A worker that uses more MiB is replaced once its tasks have ended; None = never."""
    is_pinned: bool = False
    """Whether each worker runs on one CPU."""
    log_format: str = "text"
    log_level: str = "info"
    http: HttpAddress | None = None
    tracing: str = "auto"
    """One of trace_export.MODES."""


def http_address(text: str) -> HttpAddress:
    """Reads HOST, HOST:PORT or :PORT; a host with colons, an IPv6 address, in brackets where a port follows.

    Raises:
        ValueError: it is none of these; says why.
    """
    text = text.strip()
    host, colon, port = text, "", ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or rest[:1] not in ("", ":"):
            raise ValueError(f"{text!r} is not [ADDRESS]:PORT")
        colon, port = rest[:1], rest[1:]
    elif text.count(":") == 1:
        host, colon, port = text.partition(":")
    if host.isdigit():
        raise ValueError(f"{text!r} has no host: say :{host} for that port on every address")
    if not (text.isprintable() and text) or "/" in text or any(map(str.isspace, text)):
        raise ValueError(f"{text!r} is not HOST:PORT")
    if colon and not (port.isascii() and port.isdigit() and int(port) <= MAX_PORT):
        raise ValueError(f"{text!r} has no port from 0 to {MAX_PORT} behind its colon")
    return HttpAddress(host, int(port) if port else HTTP_PORT)


def default_processes() -> int:
    """One worker per CPU that this process may use, at most MOST_DEFAULT_PROCESSES."""
    usable = len(usable_cpus()) or os.cpu_count() or 1
    return max(1, min(usable, MOST_DEFAULT_PROCESSES))


def usable_cpus() -> tuple[int, ...]:
    """The numbers of the CPUs that this process may use; none where the system does not say."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


def least_taken_cpu(taken: Sequence[int | None]) -> int | None:
    """The usable CPU that stands there least often: scaled above the number of CPUs, several workers share one."""
    return min(usable_cpus(), key=taken.count, default=None)


def new_node_id(name: str) -> str:
    """A node's id, never used again: name or host, pid and a random part; no '~', '|' or '.' at its end."""
    bare = re.sub(r"[^A-Za-z0-9_-]+", "-", name or socket.gethostname()).strip("-")[:40] or "node"
    return f"{bare}-{os.getpid()}-{secrets.token_hex(2)}"
