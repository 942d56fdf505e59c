"""Real Sentinels and a failover in the midst of work: the primary dies, its replica takes over, the queue goes on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.daemon.site import Site
from tests.topologies.servers import SentinelSet, client
from tests.waiting import wait_until
from tq_core.errors import BrokerConfigError, BrokerUnreachableError
from tq_core.model import TaskState
from tq_core.roles import inspector, producer
from tq_core.settings import resolve_broker
from tq_core.transport import connection
from tq_core.transport.runner import SyncRunner

pytestmark = [pytest.mark.server, pytest.mark.slow]


def test_work_goes_on_with_the_replica_when_the_primary_dies(sentinels: SentinelSet, tmp_path: Path) -> None:
    site = Site(sentinels.url, tmp_path)
    try:
        for _ in range(2):
            site.started("--slots", "4")
        before = site.put_many("wait_then_count", 40, seconds=0.05)
        wait_until(lambda: len(site.trace()) >= 8, 10, "some to run")
        primary, old_port = sentinels.primary, sentinels.primary_port()
        with client(primary) as one:
            # What the replica has not got by then is lost with the primary: Redis replicates after it has answered.
            assert one.execute_command("WAIT", 1, 5000) == 1
        primary.kill()
        killed_at = time.monotonic()

        patient = SyncRunner(site.driver.endpoint, retry_for_s=30.0)
        task = producer.new_task("count", {"n": 1}, max_attempts=3)
        after = patient.run(producer.enqueue_one("default", task))
        wait_until(lambda: patient.run(inspector.show_one(after)).state == "completed", 30, site.logs())
        assert time.monotonic() - killed_at < 20, site.logs()
        assert sentinels.primary_port() != old_port
        for task_id in before:
            wait_until(lambda i=task_id: patient.run(inspector.show_one(i)).state.is_terminal, 30, site.logs())  # type: ignore[misc]
        states = {patient.run(inspector.show_one(i)).state.value for i in before}
        patient.close()
        # A task whose completion was lost with the primary runs again, and one that was claimed and not yet replicated.
        assert states == {"completed"}

        primary.start()  # it comes back, first as a primary that nobody must write to, then as a replica
        wait_until(lambda: _is_replica(sentinels), 30, "the old primary to follow")
        assert site.ended(site.put("count", n=1)).state == "completed"
    finally:
        site.close()


def _is_replica(sentinels: SentinelSet) -> bool:
    now = sentinels.primary_port()
    (old,) = [server for server in sentinels.data if server.port != now]
    with client(old) as one:
        role = one.execute_command("ROLE")
    return bool(role[0] == b"slave" and role[3] == b"connected")


def test_a_failover_that_is_asked_for_costs_a_caller_no_error(sentinels: SentinelSet) -> None:
    runner = SyncRunner(connection.endpoint(sentinels.url, display="s"), retry_for_s=20.0)
    (first,) = runner.run(producer.enqueue("mail", [producer.new_task("work", {})]))
    old_port = sentinels.primary_port()
    with client(sentinels.sentinels[0]) as one:
        one.execute_command("SENTINEL FAILOVER", "main")
    count = 1
    while sentinels.primary_port() == old_port or count < 50:
        runner.run(producer.enqueue("mail", [producer.new_task("work", {})]))
        count += 1
    (numbers,) = runner.run(inspector.stats(["mail"]))
    assert runner.run(inspector.show_one(first.task_id)).id == first.task_id
    # Those that the old primary took while it was being replaced may be lost, as with any asynchronous replica.
    assert numbers.depths[TaskState.PENDING] <= count
    runner.close()


def test_a_service_that_no_sentinel_knows_and_sentinels_that_are_down_are_named(sentinels: SentinelSet) -> None:
    unknown = sentinels.url.replace("/main", "/other")
    runner = SyncRunner(connection.endpoint(unknown, display="shown"), retry_for_s=0.1)
    with pytest.raises(BrokerUnreachableError, match=r"shown .*No master found for 'other'"):
        runner.run(inspector.stats())
    runner.close()

    for sentinel in sentinels.sentinels[:2]:
        sentinel.stop()
    runner = SyncRunner(connection.endpoint(sentinels.url, display="shown"), retry_for_s=0.1)
    assert runner.run(inspector.stats()) == []
    runner.close()
    with pytest.raises(BrokerConfigError, match="names no service"):
        resolve_broker("redis+sentinel://h:1")
