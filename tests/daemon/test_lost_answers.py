"""Answers of the broker that never arrive: nothing is claimed or recorded twice, and nothing is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon.site import Site
from tests.faulty_proxy import FaultyProxy
from tests.redis_servers import PrivateServer
from tests.waiting import wait_until
from tq_core.keyspace import script_loader


@pytest.fixture
def server(new_redis_server: Callable[..., PrivateServer]) -> PrivateServer:
    return new_redis_server()


@pytest.fixture
def proxy(server: PrivateServer) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def site(server: PrivateServer, proxy: FaultyProxy, tmp_path: Path) -> Iterator[Site]:
    assert proxy.port
    site = Site(server.tcp_url, tmp_path)
    yield site
    site.close()


def sha(name: str) -> bytes:
    return script_loader.source(name).sha.encode()


def test_what_a_claim_took_whose_answer_was_lost_is_given_back_at_once(site: Site, proxy: FaultyProxy) -> None:
    node = site.started("--url", proxy.url, "--lease", "60")
    site.command(node, "pause")
    ids = site.put_many("count", 3)
    proxy.lose_answer(sha("claim"))

    site.command(node, "resume")

    assert site.all_ended() == {"completed": 3}
    assert proxy.unused_rules == []
    assert site.runs() == dict.fromkeys(ids, 1)
    assert site.counters() == {"enqueued": 3, "completed": 3, "released": 3}


def test_a_result_whose_acknowledgement_was_lost_is_recorded_once(site: Site, proxy: FaultyProxy) -> None:
    site.started("--url", proxy.url, "--lease", "60")
    proxy.lose_answer(sha("complete"))
    task_id = site.put("count", n=1)

    assert site.ended(task_id).result == 2
    wait_until(lambda: proxy.count(sha("complete")) >= 2, 10, "the second try")
    assert site.runs_of(task_id) == 1
    assert site.counters() == {"enqueued": 1, "completed": 1}


def test_a_failure_whose_acknowledgement_was_lost_counts_once(site: Site, proxy: FaultyProxy) -> None:
    site.started("--url", proxy.url, "--lease", "60")
    proxy.lose_answer(sha("fail"))
    task_id = site.put_with({"max_attempts": 3}, "fail_twice")

    view = site.ended(task_id)

    assert (view.state, view.failures) == ("completed", 2)
    assert site.runs_of(task_id) == 3


def test_a_queue_that_is_broken_does_not_hold_up_the_others(site: Site, proxy: FaultyProxy) -> None:
    site.is_audited = False
    node = site.started("--url", proxy.url, "--queues", "broken,default")
    site.driver.raw.set("tq:{broken}:pending", "not a sorted set")

    ids = site.put_many("count", 20)

    assert [site.ended(task_id).state for task_id in ids] == ["completed"] * 20
    wait_until(lambda: "cannot claim" in node.log, 10, "the complaint")
    site.driver.raw.delete("tq:{broken}:pending")
    late = site.put("count", queue="broken", n=1)
    wait_until(lambda: site.runs_of(late), 10, "the queue to be served again")
