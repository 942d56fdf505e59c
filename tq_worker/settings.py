"""What a node is told, by flags or by the environment, with its defaults."""

from __future__ import annotations

import os
import re
import secrets
import socket

import msgspec

DEFAULT_SLOTS = 10
MAX_SLOTS = 1000
MAX_PROCESSES = 256
MOST_DEFAULT_PROCESSES = 4
DEFAULT_QUEUE = "default"
LEASE_S = 30.0
HEARTBEAT_S = 5.0
DRAIN_TIMEOUT_S = 25.0
ORDERS = ("fair", "strict")


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One node as it was asked for."""

    apps: tuple[str, ...]
    app_dir: str
    url: str | None = None
    context: str | None = None
    queues: tuple[str, ...] | None = None
    order: str = "fair"
    processes: int = 1
    slots: int = DEFAULT_SLOTS
    name: str = ""
    lease_s: float = LEASE_S
    heartbeat_s: float = HEARTBEAT_S
    drain_timeout_s: float = DRAIN_TIMEOUT_S
    log_format: str = "text"
    log_level: str = "info"


def default_processes() -> int:
    """One worker per CPU that this process may use, at most MOST_DEFAULT_PROCESSES."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(usable, MOST_DEFAULT_PROCESSES))


def new_node_id(name: str) -> str:
    """A node's id, never used again: name or host, pid and a random part; no '~', '|' or '.' at its end."""
    bare = re.sub(r"[^A-Za-z0-9_-]+", "-", name or socket.gethostname()).strip("-")[:40] or "node"
    return f"{bare}-{os.getpid()}-{secrets.token_hex(2)}"
