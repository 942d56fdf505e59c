"""A network that is cut: the side without the broker stops in time, nothing is lost, nothing is accepted twice.

One node reaches the broker through a proxy that is cut in one direction or both, the other node directly. Handlers
write down when they start and when they have stopped, in one file: its order shows whether two ran a task at once.
Every test ends with all invariants (`Site.close`), among them: accepted = ended + live, and each id ends once.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon.site import Site
from tests.faulty_proxy import FaultyProxy
from tests.redis_servers import PrivateServer
from tests.waiting import wait_until

WAYS = {"both": {"to_server", "to_client"}, "requests": {"to_server"}, "answers": {"to_client"}}


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
    proxy.cut = frozenset()
    site.close()


def story(site: Site, task_id: str) -> list[tuple[str, int]]:
    """What the handlers of a task said, and in which process."""
    return [(word, pid) for word, traced, pid in site.trace() if traced == task_id]


def words(site: Site, task_id: str) -> list[str]:
    return [word for word, _ in story(site, task_id)]


@pytest.mark.parametrize(
    "way", ["both", pytest.param("requests", marks=pytest.mark.slow), pytest.param("answers", marks=pytest.mark.slow)]
)
def test_who_is_cut_off_stops_before_others_begin_and_is_not_heard_afterwards(
    site: Site, proxy: FaultyProxy, way: str
) -> None:
    gate = site.gate()
    cut_off = site.started("--url", proxy.url, "--lease", "1", "--slots", "4")
    kinds = ("wait_tidily", "wait_tidily", "wait_in_python")
    ids = [site.put(kind, gate=str(gate)) for kind in kinds]
    here = {site.wait_started(task_id) for task_id in ids}
    site.started("--lease", "1", "--slots", "4")

    proxy.cut = frozenset(WAYS[way])
    wait_until(lambda: all(site.runs_of(task_id) == 2 for task_id in ids), 20, f"others to take over {site.logs()}")
    for task_id in ids:
        (first, second, third) = story(site, task_id)
        assert (first[0], second[0], third[0]) == ("start", "tidied", "start"), "stopped before it began elsewhere"
        assert {first[1], second[1]} == here
        assert third[1] not in here
    proxy.cut = frozenset()
    gate.touch()

    assert site.all_ended() == {"completed": len(ids)}
    assert site.counters() == {"enqueued": 3, "completed": 3, "lost": 3}
    assert cut_off.log.count("LOST") == len(ids)
    assert cut_off.process.poll() is None
    wait_until(lambda: len(site.fleet().workers) == 2, 10, "both workers to be there again")


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_network_that_comes_and_goes_costs_no_task(site: Site, proxy: FaultyProxy, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(2):
        site.started("--url", proxy.url, "--lease", "2", "--slots", "4")
    site.started("--lease", "2", "--slots", "2")
    ids = site.put_many("sleep_tidily", 300, seconds=0.5)
    until = time.monotonic() + 25
    while time.monotonic() < until:
        for cut in (frozenset(WAYS[chance.choice(list(WAYS))]), frozenset()):
            proxy.cut = cut
            time.sleep(chance.uniform(0.05, 4.0))  # noqa: TID251 - it is cut for that long

    assert site.all_ended(60) == {"completed": len(ids)}
    at_once = [task_id for task_id in ids if words(site, task_id) != ["start", "tidied"] * site.runs_of(task_id)]
    assert at_once == [], [story(site, task_id) for task_id in at_once]
    assert site.counters()["completed"] == len(ids)
