"""Who may use the console over the web: whoever has the token, from our own page, by a name that is ours.

Loopback is no protection: any page in the same browser can ask 127.0.0.1, and a name of somebody else's can be made to
point there. So the page wants the token once and leaves a cookie, and every request names our host and, where it comes
from a page, our page.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

COOKIE = "tq_console"
TOKEN_PARAMETER = "token"
SHORTEST_TOKEN = 16
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Access:
    """What requests are measured by."""

    token: str
    hosts: frozenset[str]
    """`HOST:PORT` as browsers write it; without the port where it is the usual one."""
    origins: frozenset[str]

    @classmethod
    def to(cls, *, host: str, port: int, token: str, public_url: str = "") -> Access:
        """Access to a server at an address, or by the address of the proxy before it."""
        names = set(_LOOPBACK) if host in ("127.0.0.1", "localhost", "::1") else {_bracketed(host), *_LOOPBACK}
        hosts = {f"{name}:{port}" for name in names} | (names if port == 80 else set())
        origins = {f"http://{name}" for name in hosts}
        if public_url:
            parts = urlsplit(public_url)
            hosts.add(parts.netloc)
            origins.add(f"{parts.scheme}://{parts.netloc}")
        return cls(token, frozenset(hosts), frozenset(origins))

    @property
    def pass_word(self) -> str:
        """What the cookie holds: not the token itself, which would be of use elsewhere."""
        return hmac.new(self.token.encode(), b"tq console cookie", hashlib.sha256).hexdigest()

    def has_our_host(self, headers: Mapping[str, str]) -> bool:
        """Whether the browser believes to talk to us."""
        return headers.get("Host", "").lower() in self.hosts

    def is_of_our_page(self, headers: Mapping[str, str]) -> bool:
        """Whether a page of ours asks; programs that are no browsers name none."""
        origin = headers.get("Origin")
        return origin is None or origin.lower() in self.origins

    def is_https(self, headers: Mapping[str, str]) -> bool:
        """Whether the browser reached us by the encrypted address of a proxy."""
        return f"https://{headers.get('Host', '').lower()}" in self.origins

    def is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())

    def is_pass_word(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.pass_word.encode())


def new_token() -> str:
    """A token for one run of the server."""
    return secrets.token_urlsafe(24)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
