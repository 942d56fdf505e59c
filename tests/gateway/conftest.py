"""A gateway in this process on a broker in this process, asked as a server would ask it; and a node that obeys."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.cli.conftest import Tq
from tests.queue_driver import QueueDriver
from tests.waiting import wait_until
from tq_console.gateway.app import new_app
from tq_console.gateway.link import Link
from tq_console.gateway.services import Services
from tq_console.gateway.settings import GatewaySettings
from tq_core.roles import inspector, operator, registry
from tq_core.roles.registry import Ack, NodeInfo, WorkerInfo
from tq_core.transport.runner import AsyncRunner

HERE = "127.0.0.1"
ELSEWHERE = "192.0.2.7"


class Gateway:
    """A gateway, and what is behind it."""

    def __init__(self, queue: QueueDriver, settings: GatewaySettings, refusal: str = "") -> None:
        self.queue, self.settings = queue, settings
        self.services = Services(Link(queue.endpoint, refusal=refusal), settings)
        self.app = new_app(self.services)
        self._clients: list[httpx.AsyncClient] = []

    def client(self, remote: str = HERE, **headers: str) -> httpx.AsyncClient:
        """A client that asks from an address."""
        transport = httpx.ASGITransport(self.app, client=(remote, 50_000))
        client = httpx.AsyncClient(transport=transport, base_url="http://localhost:8000", headers=headers)
        self._clients.append(client)
        return client

    def depths(self) -> dict[str, int]:
        """The tasks of all queues by state."""
        found: dict[str, int] = {}
        for queue in self.queue.run(inspector.stats(minutes=1)):
            for state, depth in queue.depths.items():
                found[str(state)] = found.get(str(state), 0) + depth
        return {state: depth for state, depth in found.items() if depth}

    def audit(self) -> list[tuple[str, str]]:
        """Who did what, the latest first."""
        return [(entry.by, entry.action) for entry in self.queue.run(operator.audit_log())]

    async def aclose(self) -> None:
        for client in self._clients:
            await client.aclose()
        await self.services.link.aclose()
        self.queue.close()


@pytest.fixture
async def new_gateway() -> AsyncIterator[Callable[..., Gateway]]:
    """Makes gateways, each with a broker of its own unless they are given one."""
    made: list[Gateway] = []

    def make(refusal: str = "", **settings: Any) -> Gateway:
        queue = QueueDriver(f"memory://{uuid.uuid4().hex}", queue="default", has_clock=False)
        made.append(Gateway(queue, GatewaySettings(**settings), refusal))
        return made[-1]

    yield make
    for gateway in made:
        await gateway.aclose()


@pytest.fixture
def gateway(new_gateway: Callable[..., Gateway]) -> Gateway:
    """One gateway, as it is without any settings."""
    return new_gateway()


@pytest.fixture
def http(gateway: Gateway) -> httpx.AsyncClient:
    """A client of it on this machine, without a key."""
    return gateway.client()


class Node:
    """A node that obeys every order and writes it down."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        self.id, self.orders = f"{name}-1-a", list[tuple[str, dict[str, Any], str]]()
        self.refuses = ""
        self.runner = AsyncRunner(gateway.queue.endpoint)
        self.processes = 2

    async def beat(self) -> None:
        info = NodeInfo(node_id=self.id, host="h", pid=1, processes=self.processes, slots=5, queues=("default",))
        await self.runner.run(registry.heartbeat(info))
        worker = WorkerInfo(worker_id=f"{self.id}.1", node_id=self.id, pid=2, completed=3, failed=1)
        await self.runner.run(registry.heartbeat(worker))

    async def live(self) -> None:
        while True:
            command = await self.runner.run(registry.next_command(self.id, timeout_s=1.0))
            if command is None:
                continue
            self.orders.append((command.do, command.args, command.by))
            self.processes = command.args.get("processes", self.processes)
            await self.beat()
            ack = Ack(ok=not self.refuses, text=self.refuses or "done")
            await self.runner.run(registry.acknowledge(command.id, ack))


@pytest.fixture
async def node(gateway: Gateway) -> AsyncIterator[Node]:
    """A node beside the gateway."""
    found = Node(gateway, "host")
    await found.beat()
    living = asyncio.ensure_future(found.live())
    yield found
    living.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await living
    await found.runner.aclose()


@pytest.fixture
def tq(monkeypatch: pytest.MonkeyPatch) -> Tq:
    """The command, in this process."""
    return Tq(monkeypatch)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Served:
    """A gateway process."""

    def __init__(self, url: str, *words: str, **environ: str) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [*Tq.command("gateway", "--url", url, *words)],
            env={**os.environ, "PORT": str(self.port), **environ},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=20)
        wait_until(self._answers, 20, "the gateway to answer")

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()
        try:
            return self.http.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def stop(self) -> tuple[int, str]:
        """Asks it to stop; its exit code and what it said."""
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, said

    def close(self) -> None:
        self.http.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


@pytest.fixture
def serve(redis_url: str) -> Iterator[Callable[..., Served]]:
    """Starts gateways on an empty Redis."""
    made: list[Served] = []

    def start(*words: str, **environ: str) -> Served:
        made.append(Served(redis_url, *words, **environ))
        return made[-1]

    yield start
    for served in made:
        served.close()
