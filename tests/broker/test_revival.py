"""Who uses the embedded broker goes on by itself after somebody killed it."""

from __future__ import annotations

import pytest

from tests.broker.processes_of_test import kill_hard
from tests.waiting import wait_until
from tq_core.broker import EmbeddedBroker
from tq_core.roles import producer, registry
from tq_core.settings import resolve_broker
from tq_core.transport.backend import open_endpoint
from tq_core.transport.runner import AsyncRunner, SyncRunner

pytestmark = pytest.mark.server


def kill_the_keeper() -> None:
    """Kill it and wait until the server has followed it."""
    status = EmbeddedBroker("default").status()
    assert status.keeper_pid is not None
    kill_hard(status.keeper_pid)
    wait_until(lambda: not EmbeddedBroker("default").status().is_answering, 10, "the server to follow its keeper")


@pytest.mark.usefixtures("real_server")
def test_a_flow_starts_the_server_again_and_finds_what_was_kept() -> None:
    with open_endpoint(resolve_broker("embedded://")) as broker:
        runner = SyncRunner(broker.endpoint)
        runner.run(producer.enqueue("mail", [producer.new_task("send", {})]))
        kill_the_keeper()

        assert runner.run(registry.queue_numbers()) == {"mail": 1}
        runner.close()


@pytest.mark.usefixtures("real_server")
async def test_a_flow_on_asyncio_starts_the_server_again() -> None:
    with open_endpoint(resolve_broker("embedded://")) as broker:
        runner = AsyncRunner(broker.endpoint)
        await runner.run(producer.enqueue("mail", [producer.new_task("send", {})]))
        kill_the_keeper()

        assert await runner.run(registry.queue_numbers()) == {"mail": 1}
        await runner.aclose()
