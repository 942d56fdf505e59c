"""What a server says of itself, and what that means for tasks."""

from __future__ import annotations

from typing import Any

import pytest

from tq_core.roles.readiness import judge

GOOD: dict[str, Any] = {
    "redis_version": "7.0.15",
    "maxmemory_policy": "noeviction",
    "used_memory": 1000,
    "maxmemory": 0,
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
    "rdb_last_bgsave_status": "ok",
}


def test_a_server_as_it_should_be_has_nothing_to_say() -> None:
    ready = judge(GOOD)
    assert (ready.problems, ready.warnings) == ((), ())
    assert (ready.version, ready.used_bytes, ready.max_bytes) == ("7.0.15", 1000, None)


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random", "something-new"])
def test_a_server_that_may_delete_tasks_is_a_problem(policy: str) -> None:
    (problem,) = judge({**GOOD, "maxmemory_policy": policy}).problems
    assert policy in problem


def test_policies_that_only_take_keys_with_a_time_to_live_are_harmless() -> None:
    assert judge({**GOOD, "maxmemory_policy": "volatile-lru"}).problems == ()


@pytest.mark.parametrize("field", ["aof_last_write_status", "rdb_last_bgsave_status"])
def test_a_failed_write_to_disk_is_a_problem(field: str) -> None:
    assert "disk" in judge({**GOOD, field: "err"}).problems[0]


def test_what_is_risky_is_a_warning() -> None:
    assert "appendonly" in judge({**GOOD, "aof_enabled": 0}).warnings[0]
    assert "95%" in judge({**GOOD, "used_memory": 95, "maxmemory": 100}).warnings[0]
    assert judge({**GOOD, "used_memory": 50, "maxmemory": 100}).warnings == ()


def test_a_server_that_tells_nothing_is_a_warning() -> None:
    ready = judge({})
    assert ready.problems == ()
    assert "does not tell" in ready.warnings[0]
