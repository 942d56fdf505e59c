"""Everything goes wrong at random, again and again; in the end every task has completed once and the books balance."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon.site import Node, Site
from tests.redis_servers import PrivateServer
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SEEDS = [int(seed) for seed in os.environ.get("CHAOS_SEEDS", "1,2,3").split(",")]
FAULTS_S = 20.0
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

    def __init__(self, site: Site, server: PrivateServer, seed: int) -> None:
        self.site, self.server, self.chance = site, server, random.Random(seed)
        self.nodes: list[Node] = [site.start(*OPTIONS), site.start(*OPTIONS)]
        self.frozen: list[int] = []
        self.done: list[str] = []

    def strike(self) -> None:
        workers = (self.kill_worker, self.stop_worker, self.freeze_worker, self.freeze_isolated)
        others = (self.kill_node, self.drain_node, self.freeze_broker, self.restart_broker)
        fault = self.chance.choice((*workers, *others))
        self.done.append(fault.__name__)
        fault()

    def end(self) -> None:
        for pid in self.frozen:
            self._signal(pid, signal.SIGCONT)

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
        self.nodes.append(self.site.start(*OPTIONS))

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
