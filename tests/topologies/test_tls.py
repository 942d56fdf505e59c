"""A server that speaks TLS and asks for its clients' certificates, alone and as a cluster's node."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.queue_driver import QueueDriver
from tests.redis_servers import PrivateServer, free_port, name_of, real_binaries
from tests.topologies.servers import Certificates
from tq_core.errors import BrokerConfigError, BrokerUnreachableError
from tq_core.roles import inspector, producer
from tq_core.settings import resolve_broker
from tq_core.transport import backend, connection
from tq_core.transport.runner import AsyncRunner, SyncRunner

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command to make certificates with: install openssl")
    return Certificates(tmp_path)


@pytest.fixture
def tls(certificates: Certificates) -> Iterator[tuple[PrivateServer, int]]:
    """A server and the port on which it speaks TLS."""
    port = free_port()
    for binary in reversed(real_binaries()):
        server = PrivateServer(binary, options=certificates.options(port))
        try:
            server.start()
        except RuntimeError:
            server.remove()
            continue
        yield server, port
        server.remove()
        return
    names = ", ".join(map(name_of, real_binaries()))
    pytest.skip(f"no server here was built with TLS ({names}): install a redis-server that was")


def test_certificates_of_both_sides_are_checked(tls: tuple[PrivateServer, int], certificates: Certificates) -> None:
    _, port = tls
    ours = f"ssl_certfile={certificates.certificate}&ssl_keyfile={certificates.key}"
    whole = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificates.authority}&{ours}"
    with backend.open_endpoint(resolve_broker(whole)) as broker:
        sync = SyncRunner(broker.endpoint)
        (sent,) = sync.run(producer.enqueue("mail", [producer.new_task("work", {})]))

        async def look() -> None:
            runner = AsyncRunner(broker.endpoint)
            assert (await runner.run(inspector.show_one(sent.task_id))).id == sent.task_id
            await runner.aclose()

        asyncio.run(look())
        sync.close()

    for url, cure in (
        (f"rediss://127.0.0.1:{port}/0?{ours}", "ssl_ca_certs=FILE"),
        (f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificates.authority}", "does it speak TLS"),
        (f"redis://127.0.0.1:{port}/0", "write rediss://"),
    ):
        runner = SyncRunner(connection.endpoint(url, display=url), retry_for_s=0)
        with pytest.raises(BrokerUnreachableError, match=cure):
            runner.run(inspector.stats())
        runner.close()
    with pytest.raises(BrokerConfigError, match="works with rediss:// only"):
        resolve_broker(f"redis://127.0.0.1:{port}/0?{ours}")


def test_a_queue_lives_behind_tls_as_anywhere(tls: tuple[PrivateServer, int], certificates: Certificates) -> None:
    _, port = tls
    options = (
        f"ssl_ca_certs={certificates.authority}&ssl_certfile={certificates.certificate}&ssl_keyfile={certificates.key}"
    )
    q = QueueDriver(f"rediss://127.0.0.1:{port}/0?{options}", has_clock=False)
    q.put_many(3)
    done, bad = q.take(2)
    assert q.complete(done) == ["K"]
    assert q.fail(bad, verdict="fatal").word == "failed"
    assert q.depths() == {"pending": 1, "completed": 1, "failed": 1}
    assert q.findings() == []
    q.close()
