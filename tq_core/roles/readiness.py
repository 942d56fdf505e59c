"""Whether the broker is fit for use: it takes a write, it will not throw tasks away, it has room.

A server that answers PING may still refuse writes (a full disk, a replica, no memory), so a write is tried. What it
does with its memory is read from INFO, because managed servers forbid CONFIG; what it does not tell is a warning.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tq_core.errors import BrokerError
from tq_core.keyspace import keys
from tq_core.transport.steps import Command, Flow

KEPT_MS = 10_000
HARMLESS_POLICIES = frozenset({"noeviction", "volatile-lru", "volatile-lfu", "volatile-ttl", "volatile-random"})
"""Our tasks have no time to live, so policies that take only keys with one leave them alone."""
FULL_SHARE = 0.9


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a broker that took a write."""

    version: str = ""
    """Empty where the server does not tell."""
    policy: str = ""
    used_bytes: int | None = None
    max_bytes: int | None = None
    """None = no limit, or not told."""
    problems: tuple[str, ...] = ()
    """Tasks may be lost: must be put right."""
    warnings: tuple[str, ...] = ()


def check() -> Flow[Readiness]:
    """Writes something and reads what the server says of itself.

    Raises:
        BrokerError: it cannot be reached or refuses the write; the text says why.
    """
    yield Command(("SET", keys.READINESS, "1", "PX", KEPT_MS))
    try:
        info = yield Command(("INFO",))
    except BrokerError:
        info = {}
    return judge(info if isinstance(info, dict) else {})


def judge(info: dict[str, Any]) -> Readiness:
    """What INFO's fields mean for tasks."""
    problems, warnings = [], []
    policy = str(info.get("maxmemory_policy", ""))
    used, limit = _number(info.get("used_memory")), _number(info.get("maxmemory")) or None
    if policy and policy not in HARMLESS_POLICIES:
        problems.append(f"its maxmemory-policy is {policy}: when memory is full it deletes tasks; set it to noeviction")
    elif not policy:
        warnings.append("it does not tell its maxmemory-policy: make sure that it is noeviction")
    if used is not None and limit is not None and used > FULL_SHARE * limit:
        warnings.append(f"{used * 100 // limit}% of its memory is used: when it is full, new tasks are refused")
    is_appending = _number(info.get("aof_enabled"))
    if any(str(info.get(field, "ok")) != "ok" for field in ("aof_last_write_status", "rdb_last_bgsave_status")):
        problems.append("its last write to disk failed: look at its log and at the free space of its disk")
    elif is_appending == 0:
        warnings.append("appendonly is off: tasks of the last minutes are lost when the server dies")
    return Readiness(
        version=str(info.get("redis_version", "")),
        policy=policy,
        used_bytes=used,
        max_bytes=limit,
        problems=tuple(problems),
        warnings=tuple(warnings),
    )


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None
