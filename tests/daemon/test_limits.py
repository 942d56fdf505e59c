"""Limits on real workers: never more at once than may be, none lost, and no waiting longer than it must."""

from __future__ import annotations

import time

from tests.daemon.site import Site
from tq_core.model import TaskOptions, TaskView
from tq_core.roles import limits
from tq_core.roles.limits import Rate


def overlaps(tasks: list[TaskView]) -> int:
    """How many of the tasks ran at once at most, by the server's clock: from claim to record."""
    # An end and a start of the same millisecond are one after the other: the end is told first.
    edges = sorted([(t.started_at_ms or 0, 1) for t in tasks] + [(t.finished_at_ms or 0, 0) for t in tasks])
    most = now = 0
    for _, is_start in edges:
        now += 1 if is_start else -1
        most = max(most, now)
    return most


def test_tasks_of_one_key_run_one_after_the_other_and_those_of_two_side_by_side(site: Site) -> None:
    site.driver.run(limits.set_limits("default", {"key_running": 1}, actor="ann"))
    kinds = ("count", "count_plain", "count_isolated")
    ids = {
        key: [site.put_with({"options": TaskOptions(limit_key=key)}, kinds[n % 3], n=n) for n in range(10)]
        for key in ("ann", "bob")
    }

    site.start("--processes", "2", "--slots", "4")

    assert site.all_ended() == {"completed": 20}
    for key, of_key in ids.items():
        assert overlaps([site.view(i) for i in of_key]) == 1, key
    assert set(site.runs().values()) == {1}
    assert not any(site.driver.raw.exists(site.driver.key(name)) for name in ("parked", "slots", "holders"))


def test_a_rate_is_kept_and_used_up_by_several_workers(site: Site) -> None:
    site.driver.run(limits.set_limits("default", {"rate": Rate(starts=20, period_ms=1000, burst=1)}, actor="ann"))
    ids = site.put_many("count", 30, n=1)
    node = site.started("--processes", "2")
    began = time.monotonic()

    assert site.all_ended() == {"completed": 30}

    starts = [site.view(i).started_at_ms or 0 for i in ids]
    # A handler begins a moment after its claim, which is what the rate spreads: the first may be that late.
    assert max(starts) - min(starts) >= 29 * 50 - 500
    assert time.monotonic() - began < 10, node.log
