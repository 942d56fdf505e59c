"""The broker goes away and comes back: running tasks go on, results are kept, the node resumes by itself."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon.site import Site
from tests.redis_servers import PrivateServer
from tests.waiting import wait_until


@pytest.fixture
def server(new_redis_server: Callable[..., PrivateServer]) -> PrivateServer:
    return new_redis_server(is_durable=True)


@pytest.fixture
def site(server: PrivateServer, tmp_path: Path) -> Iterator[Site]:
    site = Site(server.url, tmp_path)
    yield site
    server.start()
    site.close()


def test_results_wait_for_the_broker_and_work_resumes_within_five_seconds(site: Site, server: PrivateServer) -> None:
    gate = site.gate()
    node = site.started("--lease", "60", "--slots", "4")
    ids = [site.put("wait", gate=str(gate)) for _ in range(4)]
    for task_id in ids:
        site.wait_started(task_id)

    server.kill()
    gate.touch()
    wait_until(lambda: [word for word, _, _ in site.trace()].count("end") == 4, 10, "the handlers to end")
    wait_until(lambda: "trying again" in node.log, 15, "the node to notice")
    server.start()
    back_at = time.monotonic()

    assert site.all_ended() == {"completed": 4}
    assert site.ended(site.put("count", n=1)).state == "completed"
    assert time.monotonic() - back_at < 5, node.log
    assert site.runs() == {**dict.fromkeys(ids, 1), **{i: 1 for i in site.runs() if i not in ids}}
    assert site.counters()["completed"] == 5
    assert node.process.poll() is None


@pytest.mark.slow
def test_a_broker_that_answers_late_costs_no_task(site: Site, server: PrivateServer) -> None:
    site.started("--lease", "60", "--slots", "4")
    ids = site.put_many("wait_then_count", 40, seconds=0.05)
    wait_until(lambda: len(site.trace()) >= 8, 10, "some to run")

    server.freeze()
    time.sleep(2)  # noqa: TID251 - the broker is to be away for that long
    server.thaw()

    assert site.all_ended() == {"completed": 40}
    assert site.runs() == dict.fromkeys(ids, 1)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_minute_without_a_broker_costs_nothing_that_has_a_lease(site: Site, server: PrivateServer) -> None:
    away_s = 65.0
    gate = site.gate()
    node = site.started("--lease", "300", "--slots", "4")
    kinds = ["wait", "wait_in_python", "wait_isolated"]
    ids = [site.put(kind, gate=str(gate)) for kind in kinds]
    for task_id in ids:
        site.wait_started(task_id)
    worker = site.worker_of(node)

    server.kill()
    killed_at = time.monotonic()
    gate.touch()
    wait_until(lambda: [word for word, _, _ in site.trace()].count("end") == 1, 10, "the async handler to end")
    wait_until(lambda: time.monotonic() - killed_at > away_s, away_s + 5, "a minute to pass")
    assert node.process.poll() is None
    server.start()
    back_at = time.monotonic()

    assert site.all_ended() == {"completed": 3}
    assert site.ended(site.put("count", n=1)).state == "completed"
    assert time.monotonic() - back_at < 10, node.log
    assert [site.runs_of(task_id) for task_id in ids] == [1] * 3
    wait_until(lambda: {w.pid for w in site.workers_of(node)} == {worker.pid}, 5, "the same worker to beat again")
    assert site.node_info(node).restarts == 0
    assert node.log.count("trying again") < 20, node.log


def test_a_result_whose_lease_ran_out_meanwhile_is_not_taken_twice(site: Site, server: PrivateServer) -> None:
    gate = site.gate()
    node = site.started("--lease", "1", "--heartbeat", "0.3")
    task_id = site.put("wait_tidily", gate=str(gate))
    site.wait_started(task_id)

    server.kill()
    wait_until(lambda: "LOST" in node.log, 15, "the worker to give its task up")
    wait_until(lambda: "tidied" in [word for word, _, _ in site.trace()], 10, "the handler to be stopped")
    gate.touch()
    server.start()

    assert site.ended(task_id).state == "completed"
    assert site.runs_of(task_id) == 2
    counters = site.counters()
    assert counters["completed"] == 1
    assert "failures" not in counters


def test_a_broker_that_forgot_everything_is_served_on(site: Site) -> None:
    gate = site.gate()
    node = site.started("--lease", "60")
    task_id = site.put("wait", gate=str(gate))
    site.wait_started(task_id)

    site.driver.raw.flushall()
    site.accepted.clear()
    gate.touch()
    wait_until(lambda: "the task is gone" in node.log, 10, "the result to be refused")

    wait_until(lambda: len(site.fleet().workers) == 1, 5, "the worker to register again")
    assert site.ended(site.put("count", n=1)).state == "completed"


@pytest.mark.slow
def test_a_node_stops_in_time_although_the_broker_is_away(site: Site, server: PrivateServer) -> None:
    node = site.started("--lease", "60", "--drain-timeout", "0.3")
    task_id = site.put("wait", gate=str(site.gate()))
    site.wait_started(task_id)
    server.kill()
    node.signal(signal.SIGTERM)

    assert node.wait(25) == 0
