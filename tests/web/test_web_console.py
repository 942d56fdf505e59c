"""The console over HTTP: who is let in, what a visitor sees, and that nothing is left when it ends."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.queue_driver import QueueDriver
from tests.waiting import wait_until
from tests.web.browser import CHROMIUM, chromium
from tq_console.web.access import Access

aiohttp = pytest.importorskip("aiohttp")
pytestmark = pytest.mark.server
TOKEN = "a-token-of-24-characters"


class WebServer:
    """One `tq console --web`."""

    def __init__(self, url: str, folder: Path, *arguments: str) -> None:
        self.log_file = folder / "web.log"
        self.mark = f"{os.getpid()}-{folder.name}"
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).with_name("tq")), "console", "--web", "--port", "0", *arguments],
                env={**os.environ, "TQ_URL": url, "TQ_WEB_TOKEN": TOKEN, "TQ_ACTOR": "host", "WEB_TEST": self.mark},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.url = wait_until(self._address, 20, "the address")

    def _address(self) -> str:
        assert self.process.poll() is None, self.log_file.read_text()
        found = re.search(r"http://127\.0\.0\.1:\d+", self.log_file.read_text())
        return found[0] if found else ""

    def consoles(self) -> list[str]:
        """The pids of its consoles."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if f"WEB_TEST={self.mark}".encode() in (folder / "environ").read_bytes():
                    found.append(folder.name)
            except OSError:
                continue
        return [pid for pid in found if int(pid) != self.process.pid]

    @staticmethod
    def arguments(pid: str) -> str:
        return Path(f"/proc/{pid}/cmdline").read_text()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@pytest.fixture
def q(redis_url: str) -> Iterator[QueueDriver]:
    driver = QueueDriver(redis_url, has_clock=False)
    yield driver
    driver.close()


@pytest.fixture
def server(q: QueueDriver, tmp_path: Path) -> Iterator[WebServer]:
    found = WebServer(q.url, tmp_path)
    yield found
    if found.process.poll() is None:
        found.process.kill()
        found.process.wait()


async def drawn(socket: Any, words: str) -> bytes:
    """What was sent to the page, once some words are among it."""
    got, text = b"", b""
    try:
        async with asyncio.timeout(20):
            while words.encode() not in text:
                got += await socket.receive_bytes()
                text = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", got)
    except TimeoutError:
        raise AssertionError(f"{words!r} is not in {text.decode(errors='replace')}") from None
    return got


async def test_a_visitor_with_the_token_gets_a_console_and_nobody_else_anything(
    q: QueueDriver, server: WebServer
) -> None:
    q.put_many(3)
    async with aiohttp.ClientSession(server.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as web:

        async def status(path: str, **settings: Any) -> int:
            async with web.get(path, allow_redirects=False, **settings) as answer:
                return int(answer.status)

        host = server.url.removeprefix("http://")
        assert await status("/") == 401
        assert await status(f"/?token={TOKEN}x") == 401
        assert await status(f"/?token={TOKEN}", headers={"Host": "evil.example.org"}) == 421
        assert await status(f"/?token={TOKEN}", headers={"Origin": "http://evil.example.org"}) == 403
        for path in ("/ws", "/static/js/textual.js", "/static/", "/static/../page.html", "/own/page.js", "/download/x"):
            assert await status(path) == 401, path
        async with web.post("/", data={"token": "x" * 200_000}) as answer:
            assert answer.status == 413

        assert await status(f"/?token={TOKEN}") == 303
        async with web.get("/") as answer:
            page = await answer.text()
            assert answer.status == 200
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert TOKEN not in page
        assert not re.search(r"https?://", page)
        assert await status("/static/") in (403, 404)
        assert await status("/download/x") == 404
        assert await status("/ws", headers={"Origin": "http://evil.example.org", "Upgrade": "websocket"}) == 403

        async with web.ws_connect("/ws?width=100&height=30", headers={"Origin": server.url}) as socket:
            await drawn(socket, "READ-ONLY")
            for odd in (
                "",
                "[",
                "[1]",
                '["stdin", 5]',
                '["resize", {"width": "x"}]',
                '["stdin"]',
                "{}",
                '["resize", {"width": 99999, "height": -5}]',
            ):
                await socket.send_str(odd)
            await socket.send_json(["resize", {"width": 100, "height": 30}])
            await socket.send_json(["stdin", "3"])
            await drawn(socket, "no worker")
            await socket.send_json(["stdin", "W"])
            await drawn(socket, "read-only now: no worker is started")
            assert len(server.consoles()) == 1
            assert q.url not in server.arguments(server.consoles()[0])
        wait_until(lambda: not server.consoles(), 10, "the console to end with its page")

        async with web.ws_connect("/ws") as socket:
            await drawn(socket, "Overview")
            assert server.end() == 0
    assert server.consoles() == []
    assert q.depths() == {"pending": 3}
    assert host in server.log_file.read_text()
    assert TOKEN not in server.log_file.read_text()


def test_a_proxy_is_known_by_the_address_that_was_given() -> None:
    access = Access.to(host="10.0.0.5", port=8080, token=TOKEN, public_url="https://tq.example.org/")
    assert access.has_our_host({"Host": "tq.example.org"})
    assert access.is_https({"Host": "tq.example.org"})
    assert access.is_of_our_page({"Origin": "https://tq.example.org"})
    assert not access.is_of_our_page({"Origin": "http://tq.example.org"})
    assert not access.is_of_our_page({"Origin": "null"})
    assert not access.has_our_host({"Host": "tq.example.org.evil.example"})
    assert access.has_our_host({"Host": "10.0.0.5:8080"})
    assert not access.has_our_host({})


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH")
async def test_a_browser_shows_the_console_obeys_keys_and_asks_nobody_else(
    q: QueueDriver, server: WebServer, tmp_path: Path
) -> None:
    q.put_many(3)
    async with chromium(tmp_path) as page:
        await page.open(f"{server.url}/?token={TOKEN}")
        await page.until("document.body.classList.contains('-first-byte')", "the first frame")
        first = await page.picture()
        await page.press("2")
        second = await page.another_picture(than=first)
        assert {address.split("/")[2] for address in page.requested} == {server.url.removeprefix("http://")}
        assert page.errors == []
        (tmp_path / "page.png").write_bytes(second)
        assert second[:8] == b"\x89PNG\r\n\x1a\n"
        server.end()
        await page.until("document.body.classList.contains('-closed')", "the page to say that the server has gone")
