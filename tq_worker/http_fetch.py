"""Fetches over HTTP for tasks whose addresses come from outside: only where the operator allows it.

TQ_HTTP_ALLOW lists the hosts, separated by commas; without it nothing is fetched.

    example.org            this host, on ports 80 and 443
    example.org:8443       on this port; example.org:* on any
    *.example.org          its subdomains; * alone means every host
    intranet+private       also where its name leads to an address that is not public
    127.0.0.1:9000         an address, or localhost, is taken as meant, public or not

Each hop of a redirect is checked like the first request, and what was resolved and checked is what is connected to, so
a name that changes its address in between gains nothing. Proxies, netrc and cookies are left alone; headers and bodies
are not carried to another origin; no text of an error holds a query, a header or a body.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tq_core import tracing
from tq_core.errors import FatalError, InvalidInputError

MAX_REDIRECTS = 5
USUAL_PORTS = (80, 443)
_REDIRECTS = (301, 302, 303, 307, 308)
_WORTH_A_RETRY = (408, 425, 429, 500, 502, 503, 504)
_SHOWN_HEADERS = ("content-type", "content-length", "date", "etag", "last-modified", "retry-after")
_OURS = frozenset(
    {"accept-encoding", "connection", "content-length", "host", "keep-alive", "te", "transfer-encoding", "upgrade"}
)
"""Headers that say how this connection works, which no task may set."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True)
class AllowedHost:
    """One entry of TQ_HTTP_ALLOW."""

    host: str
    """Lower case; `*` or `*.DOMAIN` for many."""
    port: int | None = None
    any_port: bool = False
    may_be_private: bool = False

    def matches(self, host: str, port: int) -> bool:
        """Whether it allows this host and port, as far as names go."""
        if self.host == "*":
            named = True
        elif self.host.startswith("*."):
            named = host.endswith(self.host[1:])
        else:
            named = host == self.host
        return named and (self.any_port or (port == self.port if self.port else port in USUAL_PORTS))


def allowed_hosts(environ: Mapping[str, str] = os.environ) -> tuple[AllowedHost, ...]:
    """Reads TQ_HTTP_ALLOW.

    Raises:
        InvalidInputError: an entry cannot be understood.
    """
    entries = (entry.strip().lower() for entry in environ.get("TQ_HTTP_ALLOW", "").split(","))
    return tuple(_allowed_host(entry) for entry in entries if entry)


def _allowed_host(entry: str) -> AllowedHost:
    text, plus, mark = entry.partition("+")
    host, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        host, port = text, ""
    host = host.strip("[]").rstrip(".")
    if not host or "/" in host or (plus and mark != "private") or not (port in ("", "*") or port.isdigit()):
        raise InvalidInputError(
            f"TQ_HTTP_ALLOW: {entry!r} is none of HOST, HOST:PORT, HOST:*, *.DOMAIN and HOST+private"
        )
    is_meant = host == "localhost" or _address(host) is not None
    return AllowedHost(host, int(port) if port.isdigit() else None, port == "*", bool(plus) or is_meant)


async def fetch(
    url: str,
    *,
    method: str,
    headers: Mapping[str, str],
    body: Any,
    timeout_s: float,
    max_bytes: int,
    allowed: tuple[AllowedHost, ...],
) -> dict[str, Any]:
    """Sends one request, follows redirects, and returns the answer as JSON can hold it.

    Args:
        body: Sent as JSON unless None.
        timeout_s: For everything together.
        max_bytes: How much of the answer's body is read.

    Raises:
        FatalError: it is not allowed, it is no HTTP, or the server refuses the request for good (most of 4xx).
        ConnectionError: it may succeed later: no connection, a broken one, too slow, 5xx, 408, 425, 429.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await _follow(url, method=method, headers=headers, body=body, max_bytes=max_bytes, allowed=allowed)
    except TimeoutError:
        # The library's own texts may hold the address with its query.
        raise ConnectionError(f"{_shown(url)} had not answered after {timeout_s:g} s") from None
    except httpx.LocalProtocolError:
        raise FatalError(f"{_shown(url)}: HTTP does not allow these headers") from None
    except httpx.HTTPError as error:
        raise ConnectionError(f"{_shown(url)}: {type(error).__name__}") from None


async def _follow(
    url: str,
    *,
    method: str,
    headers: Mapping[str, str],
    body: Any,
    max_bytes: int,
    allowed: tuple[AllowedHost, ...],
) -> dict[str, Any]:
    target = _target(url)
    sent = httpx.Headers({name: value for name, value in headers.items() if name.lower() not in _OURS})
    # Here, so that another server that redirects lead to gets none of it.
    for name, value in tracing.headers().items():
        sent.setdefault(name, value)
    for hops in range(MAX_REDIRECTS + 1):
        address = await _checked_address(target, allowed)
        async with httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=None) as client:
            request = client.build_request(
                method,
                target.copy_with(host=address),
                headers={**sent, "host": _host_header(target), "accept-encoding": "identity"},
                json=body,
                extensions={"sni_hostname": target.host},
            )
            answer = await client.send(request, stream=True)
            try:
                if answer.status_code not in _REDIRECTS or "location" not in answer.headers:
                    return await _read(answer, target, max_bytes=max_bytes, hops=hops)
                following = _target(_joined(target, answer.headers["location"]))
            finally:
                await answer.aclose()
        if answer.status_code == 303 or (answer.status_code in (301, 302) and method == "POST"):
            method, body = "HEAD" if method == "HEAD" else "GET", None
        if _origin(following) != _origin(target):
            # What was meant for one server is not shown to another.
            sent, body = httpx.Headers(), None
            method = method if method in ("GET", "HEAD") else "GET"
        target = following
    raise FatalError(f"{_shown(url)} redirects more than {MAX_REDIRECTS} times")


async def _read(answer: httpx.Response, target: httpx.URL, *, max_bytes: int, hops: int) -> dict[str, Any]:
    status = answer.status_code
    if status in _WORTH_A_RETRY:
        raise ConnectionError(f"{_shown(target)} answered {status}")
    if status >= 400:
        raise FatalError(f"{_shown(target)} answered {status}")
    content = bytearray()
    is_cut = False
    async for chunk in answer.aiter_raw():
        content += chunk
        if len(content) > max_bytes:
            is_cut = True
            del content[max_bytes:]
            break
    return {
        "status": status,
        "url": _shown(target),
        "redirects": hops,
        "headers": {name: answer.headers[name] for name in _SHOWN_HEADERS if name in answer.headers},
        "body": content.decode("utf-8", "replace"),
        "bytes": len(content),
        "is_cut": is_cut,
    }


async def _checked_address(target: httpx.URL, allowed: tuple[AllowedHost, ...]) -> str:
    """The address to connect to, once the name and every address it leads to are allowed.

    Raises:
        FatalError: they are not.
        ConnectionError: the name cannot be resolved.
    """
    host, port = _name(target), _port(target)
    entries = [entry for entry in allowed if entry.matches(host, port)]
    if not entries:
        raise FatalError(f"{host}:{port} is not allowed: the operator of this worker lists hosts in TQ_HTTP_ALLOW")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConnectionError(f"the name {host} cannot be resolved: {error.strerror}") from None
    addresses = [str(sockaddr[0]) for *_, sockaddr in found]
    if not any(entry.may_be_private for entry in entries):
        for address in addresses:
            if not is_public(address):
                raise FatalError(
                    f"{host} leads to {address}, which is not public: list it as {host}+private in TQ_HTTP_ALLOW if it "
                    "is meant"
                )
    return addresses[0]


def is_public(text: str) -> bool:
    """Whether an address is one of the public internet, also where it wraps another."""
    address = _address(text)
    if address is None:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        wrapped = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _NAT64:
            wrapped = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if wrapped is not None:
            address = wrapped
    return address.is_global and not address.is_multicast and not address.is_reserved


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _target(url: str) -> httpx.URL:
    try:
        target = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise FatalError(f"this is no URL: {type(error).__name__}") from None
    if target.scheme not in ("http", "https") or not target.host:
        raise FatalError("only addresses that begin with http://HOST or https://HOST are fetched")
    if not 0 < _port(target) < 65536:
        raise FatalError(f"this is no URL: there is no port {_port(target)}")
    if "%" in _name(target):
        raise FatalError("this is no URL: it has no name of a host")
    if target.userinfo:
        raise FatalError("an address with a user and password in it is not fetched: give them as a header")
    return target


def _joined(target: httpx.URL, location: str) -> str:
    try:
        return str(target.join(location))
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise FatalError(f"{_shown(target)} redirects to what is no URL: {type(error).__name__}") from None


def _name(target: httpx.URL) -> str:
    return target.raw_host.decode("ascii").lower().rstrip(".")


def _port(target: httpx.URL) -> int:
    return target.port or (443 if target.scheme == "https" else 80)


def _origin(target: httpx.URL) -> tuple[str, str, int]:
    return target.scheme, _name(target), _port(target)


def _host_header(target: httpx.URL) -> str:
    return target.netloc.decode("ascii")


def _shown(url: httpx.URL | str) -> str:
    """An address without what may be secret in it."""
    try:
        target = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        return "the address"
    query = "?…" if target.query else ""
    return f"{target.scheme}://{_host_header(target)}{target.path}{query}"
