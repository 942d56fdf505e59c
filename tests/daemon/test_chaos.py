"""Everything goes wrong at random, again and again; in the end every task has completed once and the books balance."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import invariants
from tests.daemon.site import Node, Site
from tests.faulty_proxy import FaultyProxy
from tests.redis_servers import PrivateServer
from tests.waiting import WaitedTooLongError, wait_until
from tq_core.model import TaskState
from tq_core.roles import inspector
from tq_core.roles.why import in_words
from tq_worker import exit_codes

pytestmark = pytest.mark.timeout(180)

SEEDS = [int(seed) for seed in os.environ.get("CHAOS_SEEDS", "1,2,3").split(",")]
FAULTS_S = 20.0
SOAK_SEED = int(os.environ.get("CHAOS_SEED", "1"))
SOAK_S = float(os.environ.get("CHAOS_MINUTES", "8")) * 60
ROUND_TASKS = 300
ROUND_FAULTS = 12
TOTAL = 1800
OPTIONS = ("--lease", "2", "--processes", "2", "--slots", "6", "--drain-timeout", "1")


@pytest.fixture
def server(new_redis_server: Callable[..., PrivateServer]) -> PrivateServer:
    return new_redis_server(is_durable=True)


@pytest.fixture
def site(server: PrivateServer, tmp_path: Path) -> Iterator[Site]:
    site = Site(server.url, tmp_path)
    yield site
    server.start()
    server.thaw()
    site.close()


class Chaos:
    """Breaks one thing at a time."""

    def __init__(self, site: Site, server: PrivateServer, seed: int, proxy: FaultyProxy | None = None) -> None:
        self.site, self.server, self.chance = site, server, random.Random(seed)
        self.options = (*OPTIONS, "--url", proxy.url) if proxy else OPTIONS
        self.nodes: list[Node] = [site.start(*self.options), site.start(*self.options)]
        self.frozen: list[int] = []
        self.proxy = proxy
        self.done: list[str] = []

    def strike(self) -> None:
        workers = (self.kill_worker, self.kill_zygote, self.stop_worker, self.freeze_worker, self.freeze_isolated)
        others = (self.kill_node, self.drain_node, self.freeze_broker, self.restart_broker)
        fault = self.chance.choice((*workers, *others))
        self.done.append(fault.__name__)
        fault()

    def strike_wider(self) -> None:
        """As `strike`, with what goes wrong between nodes and broker as well."""
        between = (self.cut_connections, self.drop_connections, self.forget_scripts, self.pause_broker)
        inside = (self.fill_memory, self.write_seldom, self.swallow_network)
        if self.chance.random() < 0.5:
            self.strike()
            return
        fault = self.chance.choice((*between, *inside))
        self.done.append(fault.__name__)
        fault()

    def end(self) -> None:
        for pid in self.frozen:
            self._signal(pid, signal.SIGCONT)

    def revive(self) -> None:
        """Does what a service manager would: starts nodes again that began while there was no broker."""
        for place, node in enumerate(self.nodes):
            if node.process.poll() == exit_codes.UNREACHABLE:
                self.nodes[place] = self.site.start(*self.options)

    def _pids(self, words: str) -> list[int]:
        return sorted(pid for pid, line in self.site.processes().items() if words in line)

    def _signal(self, pid: int, number: signal.Signals) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return

    def _some(self, words: str) -> list[int]:
        pids = self._pids(words)
        return [self.chance.choice(pids)] if pids else []

    def kill_worker(self) -> None:
        for pid in self._some("tq_worker.worker"):
            self._signal(pid, signal.SIGKILL)

    def kill_zygote(self) -> None:
        for pid in self._some("tq_worker.zygote"):
            self._signal(pid, signal.SIGKILL)

    def stop_worker(self) -> None:
        for pid in self._some("tq_worker.worker"):
            self._signal(pid, signal.SIGTERM)

    def freeze_worker(self) -> None:
        for pid in self._some("tq_worker.worker"):
            self._signal(pid, signal.SIGSTOP)
            self.frozen.append(pid)
        if len(self.frozen) > 1:
            self._signal(self.frozen.pop(0), signal.SIGCONT)

    def freeze_isolated(self) -> None:
        for pid in self._some("tq_worker.isolated"):
            self._signal(pid, signal.SIGSTOP)
            self.frozen.append(pid)

    def _replace(self, number: signal.Signals) -> None:
        node = self.nodes.pop(0)
        if node.process.poll() is None:
            node.signal(number)
        self.nodes.append(self.site.start(*self.options))

    def kill_node(self) -> None:
        self._replace(signal.SIGKILL)

    def drain_node(self) -> None:
        self._replace(signal.SIGTERM)

    def freeze_broker(self) -> None:
        self.server.freeze()
        time.sleep(self.chance.uniform(0.1, 1.0))  # noqa: TID251 - the broker is to be away for that long
        self.server.thaw()

    def restart_broker(self) -> None:
        self.server.kill()
        self.server.start()

    def _wait(self, longest_s: float) -> None:
        time.sleep(self.chance.uniform(0.1, longest_s))  # noqa: TID251 - the fault is to last that long

    def cut_connections(self) -> None:
        """Cuts some before and some after the server gets the request."""
        assert self.proxy is not None
        self.proxy.reset_share = 0.2
        self._wait(1.0)
        self.proxy.reset_share = 0.0

    def swallow_network(self) -> None:
        assert self.proxy is not None
        self.proxy.is_black_hole = True
        self._wait(1.5)
        self.proxy.is_black_hole = False
        self.proxy.cut_all()

    def drop_connections(self) -> None:
        self.site.driver.raw.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def forget_scripts(self) -> None:
        self.site.driver.raw.script_flush()

    def pause_broker(self) -> None:
        """Past the end of every lease."""
        self.site.driver.raw.execute_command("CLIENT", "PAUSE", 2500)

    def fill_memory(self) -> None:
        raw = self.site.driver.raw
        raw.config_set("maxmemory-policy", "noeviction")
        raw.config_set("maxmemory", 1)
        self._wait(1.5)
        raw.config_set("maxmemory", 0)

    def write_seldom(self) -> None:
        raw = self.site.driver.raw
        raw.config_set("appendfsync", "everysec")
        self._wait(1.0)
        raw.config_set("appendfsync", "always")


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_every_task_completes_whatever_dies(site: Site, server: PrivateServer, seed: int) -> None:
    kinds: list[tuple[str, int, dict[str, float]]] = [
        ("count", 3, {"n": 1}),
        ("count_plain", 2, {"n": 1}),
        ("wait_then_count", 6, {"seconds": 0.5}),
        ("count_isolated", 1, {"n": 1}),
    ]
    ids = [i for name, share, args in kinds for i in site.put_many(name, TOTAL * share // 12, **args)]
    chaos = Chaos(site, server, seed)
    until = time.monotonic() + FAULTS_S
    while time.monotonic() < until:
        time.sleep(chaos.chance.uniform(0.1, 0.8))  # noqa: TID251 - faults come at random times
        chaos.strike()
    chaos.end()
    site.start(*OPTIONS)

    def ended() -> bool:
        return site.driver.depths() == {"completed": TOTAL}

    wait_until(ended, 90, f"all to complete, seed {seed}: {chaos.done}")
    counters = site.counters()
    assert counters["completed"] == TOTAL
    assert "failures" not in counters
    assert set(site.runs()) == {i for i in ids if "count" in site.view(i).type}
    assert site.driver.findings() == []


def left_over(site: Site) -> str:
    """What there is to know of the tasks that did not complete."""
    states = [state for state in TaskState if state is not TaskState.COMPLETED]
    page = site.driver.run(inspector.list_tasks(None, states, limit=20))
    nodes = "\n".join(site.nodes[-2 + i].log[-3000:] for i in range(2))
    views = [site.view(task.id) for task in page.tasks]
    tasks = "\n".join(f"{view} {site.driver.run(in_words(view))}" for view in views)
    return f"{site.driver.depths()}\n{tasks}\n{site.fleet()}\n{site.processes()}\n{nodes}"


@pytest.mark.chaos
@pytest.mark.timeout(SOAK_S + 300)
def test_round_after_round_nothing_is_lost_and_nothing_ends_twice(site: Site, server: PrivateServer) -> None:
    """A round begins with tasks of every kind and ends, after its faults, when all have ended and the books balance."""
    proxy = FaultyProxy(server.port)
    chaos = Chaos(site, server, SOAK_SEED, proxy)
    until = time.monotonic() + SOAK_S
    rounds = 0

    def all_completed() -> bool:
        chaos.revive()
        return set(site.driver.depths()) <= {"completed"}

    try:
        while time.monotonic() < until or not rounds:
            rounds += 1
            ids = [
                *site.put_many("count", ROUND_TASKS // 2, n=1),
                *site.put_many("wait_then_count", ROUND_TASKS // 3, seconds=0.3),
                *site.put_many("count_isolated", ROUND_TASKS // 6, n=1),
            ]
            for _ in range(ROUND_FAULTS):
                time.sleep(chaos.chance.uniform(0.1, 1.0))  # noqa: TID251 - faults come at random times
                chaos.strike_wider()
            chaos.end()
            chaos.frozen.clear()
            told = f"round {rounds} of seed {SOAK_SEED}: {chaos.done[-ROUND_FAULTS:]}"
            try:
                wait_until(all_completed, 90, f"all to complete, {told}")
            except WaitedTooLongError:
                pytest.fail(f"not all completed, {told}\n{left_over(site)}")
            wrong = invariants.check(site.driver, accepted=site.accepted, runs=site.runs())
            assert wrong == [], told
            assert set(ids) <= set(site.runs()), told
            assert "failures" not in site.counters(), told
    finally:
        proxy.latency_s, proxy.reset_share, proxy.is_black_hole = 0.0, 0.0, False
        chaos.end()
        for node in site.nodes:
            if node.process.poll() is None:
                node.signal(signal.SIGQUIT)
        for node in site.nodes:
            node.wait()
        proxy.close()
