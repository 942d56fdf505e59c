"""The daemon's HTTP server: strict, bounded, and it ends every connection."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.waiting import wait_until_async
from tq_worker.lifecycle_log import LifecycleLog
from tq_worker.settings import HttpAddress
from tq_worker.supervisor import http_server
from tq_worker.supervisor.exposure import ListenError
from tq_worker.supervisor.http_server import Answer, HttpServer, listen


def answer(path: str) -> Answer:
    if path == "/fault":
        raise RuntimeError("ours")
    return Answer(200, f"you asked for {path}".encode())


@pytest_asyncio.fixture
async def port() -> AsyncIterator[int]:
    """A server; at the end no connection of it is left open."""
    null = os.open(os.devnull, os.O_WRONLY)
    log = LifecycleLog(null)
    server = HttpServer(listen(HttpAddress("127.0.0.1", 0)), answer, log)
    await server.start()
    yield int(server.url.rpartition(":")[2])
    server.close()
    await wait_until_async(lambda: not server._open, 5, "every connection to end")
    log.close()
    os.close(null)


async def said(port: int, raw: bytes) -> bytes:
    """All that the server answers until it ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    async with asyncio.timeout(5):
        try:
            return await reader.read()
        finally:
            writer.close()


@pytest.mark.parametrize(
    ("raw", "begins", "ends"),
    [
        (b"GET /x?y=1 HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200", b"you asked for /x"),
        (b"GET /x HTTP/1.0\r\n\r\n", b"HTTP/1.1 200", b"you asked for /x"),
        (b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200", b"\r\n\r\n"),
        (b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", b"HTTP/1.1 405", b"only GET and HEAD\n"),
        (b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200", b"for /a"),
        (b"GET /x HTTP/1.1\r\n\r\n", b"HTTP/1.1 400", b"no request\n"),
        (b"\x16\x03\x01\x00\xff garbage\r\n\r\n", b"HTTP/1.1 400", b"no request\n"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000, b"HTTP/1.1 431", b"no request\n"),
        (b"GET /fault HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 500", b"see its log\n"),
    ],
)
async def test_each_connection_gets_one_answer_and_its_end(port: int, raw: bytes, begins: bytes, ends: bytes) -> None:
    with contextlib.suppress(ConnectionError):  # where not all was read of what was sent
        found = await said(port, raw)
        assert found.startswith(begins)
        assert found.endswith(ends)
        assert found.count(b"HTTP/1.1") == 1
        assert b"\r\nconnection: close\r\n" in found.lower()


async def test_idle_callers_keep_nobody_out(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "MAX_CONNECTIONS", 3)
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]

    found = await said(port, b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")

    assert found.startswith(b"HTTP/1.1 200")
    async with asyncio.timeout(5):
        for reader, _ in idle[:2]:
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
    for _, writer in idle:
        writer.close()


async def test_a_slow_caller_is_cut_off(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "ANSWERED_WITHIN_S", 0.05)

    with contextlib.suppress(ConnectionError):
        assert await said(port, b"GET /x HTTP/1.1\r\nHost:") == b""


def test_an_address_that_cannot_be_listened_on_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=f"--http cannot listen on 127.0.0.1:{port}: Address already in use"):
            listen(HttpAddress("127.0.0.1", port))
    for host in ("203.0.113.7", "no-such-host.invalid", "a..b"):
        with pytest.raises(ListenError, match=f"cannot listen on {host}:0: .+; give another HOST:PORT"):
            listen(HttpAddress(host, 0))
