"""Fetching for tasks: only what is allowed, at every hop, within bounds, and without telling secrets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tq_core import tracing
from tq_core.errors import FatalError, InvalidInputError
from tq_worker.http_fetch import AllowedHost, allowed_hosts, fetch, is_public


@dataclass
class Site:
    """A server of this test: answers by path, and keeps what it was asked."""

    port: int = 0
    answers: dict[str, bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.requests.append((first, headers, body))
            answer = self.answers.get(first.split()[1].partition("?")[0], text("not here", status="404 Not Found"))
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)
        writer.close()


def text(body: str, *, status: str = "200 OK", headers: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}".encode()
    )


def redirect(to: str, status: str = "302 Found") -> bytes:
    return text("", status=status, headers=f"Location: {to}\r\n")


@contextlib.asynccontextmanager
async def a_site() -> AsyncIterator[Site]:
    site = Site()
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()
        await server.wait_closed()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with a_site() as found:
        yield found


async def get(url: str, allow: str, **settings: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "method": "GET",
        "headers": {},
        "body": None,
        "timeout_s": 10,
        "max_bytes": 1000,
        **settings,
    }
    return await fetch(url, allowed=allowed_hosts({"TQ_HTTP_ALLOW": allow}), **asked)


# --- what is allowed ---


@pytest.mark.parametrize(
    ("allow", "host", "port", "is_allowed"),
    [
        ("", "example.org", 443, False),
        ("example.org", "example.org", 443, True),
        ("example.org", "example.org", 80, True),
        ("example.org", "example.org", 8080, False),
        ("Example.ORG.", "example.org", 80, True),
        ("example.org:8443", "example.org", 8443, True),
        ("example.org:8443", "example.org", 443, False),
        ("example.org:*", "example.org", 5, True),
        ("*.example.org", "a.b.example.org", 80, True),
        ("*.example.org", "example.org", 80, False),
        ("*.example.org", "evilexample.org", 80, False),
        ("example.org", "example.org.evil.net", 80, False),
        ("*", "anything.at.all", 443, True),
        ("*", "anything.at.all", 22, False),
        ("[::1]:8080", "::1", 8080, True),
        (" a.org , b.org:1 ", "b.org", 1, True),
    ],
)
def test_hosts_and_ports_are_allowed_by_name(allow: str, host: str, port: int, is_allowed: bool) -> None:
    entries = allowed_hosts({"TQ_HTTP_ALLOW": allow})

    assert any(entry.matches(host, port) for entry in entries) == is_allowed


def test_only_what_is_named_may_be_private() -> None:
    entries = allowed_hosts({"TQ_HTTP_ALLOW": "localhost,10.0.0.1:80,intranet+private,intranet:81+private,a.org,*"})

    assert [entry.may_be_private for entry in entries] == [True, True, True, True, False, False]
    assert entries[3] == AllowedHost("intranet", 81, may_be_private=True)


@pytest.mark.parametrize("entry", ["http://a.org", "a.org:http", "a.org+secret", ":80", "a.org/x"])
def test_an_entry_that_cannot_be_understood_is_refused(entry: str) -> None:
    with pytest.raises(InvalidInputError, match="TQ_HTTP_ALLOW"):
        allowed_hosts({"TQ_HTTP_ALLOW": entry})


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a00:1", False),
        ("2002:7f00:1::", False),
        ("nonsense", False),
    ],
)
def test_public_addresses_are_told_from_others_also_where_they_are_wrapped(address: str, expected: bool) -> None:
    assert is_public(address) == expected


async def test_nothing_is_fetched_that_is_not_listed(site: Site) -> None:
    with pytest.raises(FatalError, match=r"127\.0\.0\.1:\d+ is not allowed: .* TQ_HTTP_ALLOW"):
        await get(site.url, "example.org")
    assert site.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]"])
async def test_however_this_machine_is_written_a_wildcard_does_not_allow_it(site: Site, host: str) -> None:
    with pytest.raises((FatalError, ConnectionError)):
        await get(f"http://{host}:{site.port}/", "*:*")
    assert site.requests == []


async def test_a_name_that_leads_to_a_private_address_must_be_listed_as_such(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.answers["/"] = text("inside")
    resolve_to(monkeypatch, "127.0.0.1")

    with pytest.raises(
        FatalError, match=r"intranet leads to 127\.0\.0\.1, which is not public: list it as intranet\+priv"
    ):
        await get(f"http://intranet:{site.port}/", "intranet:*")
    assert site.requests == []

    found = await get(f"http://intranet:{site.port}/", "intranet:*+private")

    assert found["body"] == "inside"
    assert site.requests[0][1]["host"] == f"intranet:{site.port}"


async def test_one_private_address_among_public_ones_is_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, "93.184.216.34", "10.0.0.1")

    with pytest.raises(FatalError, match=r"leads to 10\.0\.0\.1"):
        await get("http://example.org/", "*")


async def test_what_was_checked_is_what_is_connected_to(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.answers["/"] = text("ok")
    asked = resolve_to(monkeypatch, "127.0.0.1")

    await get(f"http://intranet:{site.port}/", "intranet:*+private")

    assert asked == ["intranet"], "resolved once, not again when connecting"


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Let every name lead to these addresses; returns the names that are asked for."""
    asked: list[str] = []
    real = asyncio.BaseEventLoop.getaddrinfo

    async def getaddrinfo(loop: asyncio.BaseEventLoop, host: Any, port: Any, **kind: Any) -> Any:
        if isinstance(host, str) and host.replace(".", "").isdigit():
            return await real(loop, host, port, **kind)
        asked.append(host)
        return [(2, 1, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://example.org/", "only addresses that begin with http"),
        ("file:///etc/passwd", "only addresses that begin with http"),
        ("/relative", "only addresses that begin with http"),
        ("http://", "only addresses that begin with http"),
        ("http://user:hunter2@example.org/", "give them as a header"),
        ("http://[bad/", "no name of a host"),
        ("http://example.org:99999/", "this is no URL"),
        ("http://example.org:x/", "this is no URL"),
        ("http://exa\x00mple.org/", "this is no URL"),
        ("http://exa mple.org/", "no name of a host"),
    ],
)
async def test_an_address_that_cannot_be_fetched_is_refused_without_repeating_it(url: str, message: str) -> None:
    with pytest.raises(FatalError, match=message) as refused:
        await get(url, "*")
    assert "hunter2" not in str(refused.value)


# --- redirects ---


async def test_redirects_are_followed(site: Site) -> None:
    site.answers |= {"/a": redirect("/b"), "/b": redirect("c?x=1"), "/c": text("there")}

    found = await get(f"{site.url}/a", "127.0.0.1:*")

    assert (found["status"], found["body"], found["redirects"]) == (200, "there", 2)
    assert found["url"] == f"{site.url}/c?…"


async def test_each_hop_is_checked(site: Site) -> None:
    async with a_site() as other:
        site.answers["/a"] = redirect(f"{other.url}/secret")
        other.answers["/secret"] = text("secret")

        with pytest.raises(FatalError, match="is not allowed"):
            await get(f"{site.url}/a", f"127.0.0.1:{site.port}")

        assert other.requests == []


@pytest.mark.parametrize("to", ["file:///etc/passwd", "http://user:pw@127.0.0.1/", "gopher://127.0.0.1:1/"])
async def test_a_redirect_to_what_cannot_be_fetched_is_refused(site: Site, to: str) -> None:
    site.answers["/a"] = redirect(to)

    with pytest.raises(FatalError):
        await get(f"{site.url}/a", "*:*,127.0.0.1:*")


async def test_redirects_without_end_are_given_up(site: Site) -> None:
    site.answers["/a"] = redirect("/a")

    with pytest.raises(FatalError, match="more than 5 times"):
        await get(f"{site.url}/a", "127.0.0.1:*")
    assert len(site.requests) == 6


async def test_headers_and_bodies_are_not_carried_to_another_origin(site: Site) -> None:
    async with a_site() as other:
        site.answers |= {"/a": redirect("/b", "307 Temporary Redirect"), "/b": redirect(f"{other.url}/c", "307 X")}
        other.answers["/c"] = text("there")

        await get(
            f"{site.url}/a",
            "127.0.0.1:*",
            method="POST",
            headers={"Authorization": "Bearer hunter2", "X-Key": "k", "Cookie": "c=1"},
            body={"secret": 1},
        )

        (first, second), (third,) = site.requests, other.requests
    assert first[1]["authorization"] == second[1]["authorization"] == "Bearer hunter2"
    assert first[2] == second[2] == b'{"secret":1}'
    assert third[0] == "GET /c HTTP/1.1"
    assert third[2] == b""
    assert not {"authorization", "x-key", "cookie"} & third[1].keys()


async def test_a_post_that_is_redirected_becomes_a_get(site: Site) -> None:
    site.answers |= {"/a": redirect("/b", "303 See Other"), "/b": text("there")}

    await get(f"{site.url}/a", "127.0.0.1:*", method="POST", body=[1])

    assert [request[0] for request in site.requests] == ["POST /a HTTP/1.1", "GET /b HTTP/1.1"]


# --- bounds and failures ---


async def test_an_answer_is_read_to_its_limit_only(site: Site) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 10_000)
            await writer.drain()

    site.answers["/a"] = endless

    found = await get(f"{site.url}/a", "127.0.0.1:*", max_bytes=25_000)

    assert (found["bytes"], found["is_cut"], set(found["body"])) == (25_000, True, {"x"})


async def test_a_compressed_answer_is_not_inflated(site: Site) -> None:
    site.answers["/a"] = text("not really gzip", headers="Content-Encoding: gzip\r\n")

    found = await get(f"{site.url}/a", "127.0.0.1:*")

    assert found["body"] == "not really gzip"
    assert site.requests[0][1]["accept-encoding"] == "identity"


async def test_a_server_that_dawdles_is_left(site: Site) -> None:
    released = asyncio.Event()

    async def slow(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        await writer.drain()
        await released.wait()

    site.answers["/a"] = slow

    with pytest.raises(ConnectionError, match=r"/a\?… had not answered after 0\.05 s"):
        await get(f"{site.url}/a?token=hunter2", "127.0.0.1:*", timeout_s=0.05)
    released.set()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("404 Not Found", FatalError),
        ("401 Unauthorized", FatalError),
        ("429 Too Many Requests", ConnectionError),
        ("500 Oops", ConnectionError),
        ("503 Busy", ConnectionError),
    ],
)
async def test_what_may_succeed_later_is_told_from_what_will_not(
    site: Site, status: str, error: type[Exception]
) -> None:
    site.answers["/a"] = text("x", status=status)

    with pytest.raises(error, match=f"/a\\?… answered {status[:3]}") as failed:
        await get(f"{site.url}/a?token=hunter2", "127.0.0.1:*")
    assert "hunter2" not in str(failed.value)


async def test_where_nobody_listens_may_be_tried_again() -> None:
    async with a_site() as gone:
        url = gone.url

    with pytest.raises(ConnectionError, match=r"/\?…: ConnectError") as failed:
        await get(f"{url}/?token=hunter2", "127.0.0.1:*")
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__


async def test_a_broken_answer_may_be_tried_again(site: Site) -> None:
    site.answers["/a"] = b"SSH-2.0-OpenSSH\r\n"

    with pytest.raises(ConnectionError, match="RemoteProtocolError"):
        await get(f"{site.url}/a", "127.0.0.1:*")


@pytest.mark.parametrize("headers", [{"a": "secret\r\nX: y"}, {"a b": "secret"}, {"a": "secret\0"}])
async def test_headers_that_are_none_are_refused_for_good(site: Site, headers: dict[str, str]) -> None:
    site.answers["/a"] = text("ok")

    with pytest.raises(FatalError, match="HTTP does not allow these headers") as failed:
        await get(f"{site.url}/a", "127.0.0.1:*", headers=headers)
    assert "secret" not in str(failed.value)
    assert site.requests == []


async def test_a_task_cannot_set_how_the_connection_works(site: Site) -> None:
    site.answers["/a"] = text("ok")

    await get(f"{site.url}/a", "127.0.0.1:*", headers={"Host": "evil", "Content-Length": "5", "X-Mine": "1"})

    headers = site.requests[0][1]
    assert headers["host"] == f"127.0.0.1:{site.port}"
    assert headers["x-mine"] == "1"
    assert "content-length" not in headers


async def test_proxies_and_netrc_of_the_environment_are_left_alone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    site.answers["/a"] = text("ok")

    assert (await get(f"{site.url}/a", "127.0.0.1:*"))["body"] == "ok"


async def test_the_active_trace_goes_on_to_the_server_that_was_asked_and_to_no_other(site: Site) -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    active = tracing.continued(traceparent)
    assert active is not None
    async with a_site() as other:
        site.answers["/"] = redirect(f"{other.url}/there")
        other.answers["/there"] = text("there")
        token = active.enter()
        try:
            await get(f"{site.url}/", "127.0.0.1:*")
            await get(f"{other.url}/there", "127.0.0.1:*", headers={"Traceparent": "mine"})
        finally:
            active.leave(token)
        await get(f"{other.url}/there", "127.0.0.1:*")

        assert site.requests[0][1]["traceparent"] == traceparent
        assert [headers.get("traceparent") for _, headers, _ in other.requests] == [None, "mine", None]
