"""Schedules on real nodes: no leader, no fire twice, none lost when nodes die."""

from __future__ import annotations

import signal

import pytest

from tests.daemon.site import Site
from tests.waiting import wait_until
from tq_core.model import TaskState
from tq_core.roles import inspector, schedules

SECOND = 1000


def fired(site: Site) -> list[int]:
    """The fires that tasks were made of, in order."""
    page = site.driver.run(inspector.list_tasks(["default"], list(TaskState), limit=200))
    return sorted(int(task.id.split(".")[2].partition("@")[0]) for task in page.tasks)


def wait_for_fires(site: Site, count: int) -> list[int]:
    wait_until(lambda: len(fired(site)) >= count, 20, f"{count} fires: {fired(site)}\n{site.logs()}")
    return fired(site)


@pytest.mark.slow
def test_every_fire_makes_one_task_whichever_nodes_live_and_die(site: Site) -> None:
    first = site.started(app="scheduled_tasks")
    second = site.started(app="scheduled_tasks")
    seen = wait_for_fires(site, 4)
    first.signal(signal.SIGKILL)
    first.wait()
    seen = wait_for_fires(site, len(seen) + 3)
    second.signal(signal.SIGTERM)
    assert second.wait() == 0
    seen = fired(site)
    (view,) = site.driver.run(schedules.schedules())
    assert view.next_at_ms == seen[-1] + SECOND
    # Nobody is there. What comes due meanwhile is less than a minute late when a node is: not missed yet.
    wait_until(lambda: site.driver.run(schedules.schedules())[0].now_ms > seen[-1] + 3 * SECOND, 10, "three seconds")
    assert fired(site) == seen

    site.started(app="scheduled_tasks")
    found = wait_for_fires(site, len(seen) + 4)

    assert found == list(range(found[0], found[0] + len(found) * SECOND, SECOND))
    wait_until(lambda: site.driver.depths().get("completed", 0) >= len(found), 20, f"their ends\n{site.logs()}")
    assert "failed" not in site.driver.depths()
    assert "cannot fire" not in site.logs()


@pytest.mark.slow
def test_a_fire_that_is_held_up_is_said_once_in_the_log(site: Site) -> None:
    node = site.started(app="scheduled_tasks")
    (view,) = site.driver.run(schedules.schedules())
    site.driver.raw.hset(site.driver.key("schedules"), "newer", b'{"phase":"full moon"}')
    site.driver.raw.zadd(site.driver.key("fires"), {"newer": 1})

    wait_until(lambda: "newer@default is due and cannot fire: it cannot be read" in node.log, 10, "the line")
    wait_for_fires(site, len(fired(site)) + 3)

    assert node.log.count("newer@default is due") == 1
    assert view.seen_at_ms is not None
