"""Who asks, and whether he may: decided from the head of a request, before any of its body is read.

Without any key, this machine may do everything and the others may look. A page in a browser of this machine is not this
machine: it is known by its Origin, or by a Host that is not ours. Nor is what a proxy passes on.
"""

from __future__ import annotations

import functools
import ipaddress
import math
from collections.abc import Mapping
from dataclasses import dataclass

from tq_console.gateway.keys import KeyRing, KeyRole
from tq_console.gateway.problems import ProblemError
from tq_console.gateway.rates import Rates
from tq_console.gateway.settings import GatewaySettings

READ_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
PUBLIC_PATHS = frozenset({"/", "/docs", "/openapi.json", "/info", "/health", "/api/v1/health", "/livez", "/readyz"})
"""What is answered to everybody: that there is a gateway, what it can be asked, and whether it is well."""
LOOKED_AT_BY_POST = frozenset({"/v1/redis"})
"""Where what is posted says whether something is written, which is checked there; for pages of others it is a write."""
WRONG_KEYS_PER_S, WRONG_KEYS_AT_ONCE = 1.0, 30.0
"""Of one address; who guesses is told to wait."""
_FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-real-ip")
_LOCAL_NAMES = frozenset({"localhost", "ip6-localhost"})


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    name: str
    role: KeyRole
    remote: str

    @property
    def actor(self) -> str:
        """Who is written down with each change."""
        return f"{self.name}@{self.remote}"

    def must_be(self, role: KeyRole) -> None:
        """Refuses whoever may not do that.

        Raises:
            ProblemError: 403.
        """
        if self.role < role:
            raise ProblemError(403, f"that is for {_article(role)}; {self.name} is {_article(self.role)}")


def _article(role: KeyRole) -> str:
    return f"{'a' if role is KeyRole.VIEWER else 'an'} {role.word}"


class Doorkeeper:
    """Decides for each request."""

    def __init__(self, settings: GatewaySettings, keys: KeyRing) -> None:
        self._settings, self._keys = settings, keys
        self._rates = Rates()

    def caller(self, *, method: str, path: str, headers: Mapping[bytes, bytes], remote: str) -> Caller:
        """Who it is.

        Args:
            method: Of the request, in capitals.
            path: Without a slash at its end.
            headers: By their names in lower case.
            remote: The address at the other end of the connection; "" where there is none.

        Raises:
            ProblemError: 401 without or with a wrong key, 403 where the role is not enough, 429 too often.
        """
        # Where no key is asked for, a client that has one all the same is as any other.
        shown = _key_of(headers) if self._keys.asks_writers else ""
        is_read = method in READ_METHODS
        may_look = is_read or path in LOOKED_AT_BY_POST
        if shown:
            key = self._keys.find(shown)
            if key is None:
                self._must_wait(f"wrong {remote}", WRONG_KEYS_PER_S, "too many wrong keys", burst=WRONG_KEYS_AT_ONCE)
                raise _unauthorised("there is no such key")
            self._must_wait(f"key {key.name}", key.rate_per_s or self._settings.rate_per_s, "too many requests")
            found = Caller(key.name, key.role, remote)
        else:
            self._must_wait(f"at {remote}", self._settings.rate_per_s, "too many requests")
            found = Caller("anonymous", self._role_without_key(headers, remote, is_read=is_read), remote)
            if path not in PUBLIC_PATHS:
                self._must_be_meant(headers)
            if self._keys.asks_readers and path not in PUBLIC_PATHS:
                raise _unauthorised("show a key: X-API-Key, or Authorization: Bearer")
            if not may_look and found.role < KeyRole.OPERATOR:
                raise _unauthorised(self._why_not(remote))
        if not may_look:
            found.must_be(KeyRole.OPERATOR)
        return found

    def _must_wait(self, name: str, rate_per_s: float | None, what: str, *, burst: float | None = None) -> None:
        if not rate_per_s:
            return
        wait_s = self._rates.wait_s(name, rate_per_s, burst=burst)
        if wait_s > 0:
            headers = {"Retry-After": str(math.ceil(wait_s))}
            raise ProblemError(429, f"{what}: ask again in {wait_s:.1f} s", headers=headers)

    def _role_without_key(self, headers: Mapping[bytes, bytes], remote: str, *, is_read: bool) -> KeyRole:
        if self._keys.asks_writers:
            return KeyRole.VIEWER
        is_foreign = _is_of_other_page(headers)
        if is_foreign and not is_read:
            raise ProblemError(403, "a page of another origin may not write without a key")
        is_here = is_local(remote) and not any(name in headers for name in _FORWARDED) and self._is_our_name(headers)
        if is_here or self._settings.is_open:
            return KeyRole.ADMIN if is_here else KeyRole.OPERATOR
        return KeyRole.VIEWER

    def _must_be_meant(self, headers: Mapping[bytes, bytes]) -> None:
        # What listens on this machine only, or was told its names, is reached by those, or by a page whose name was
        # pointed here. Elsewhere an address will do, which nobody can point: Prometheus asks by it.
        is_local_only = is_local(self._settings.host)
        is_meant = (
            self._is_our_name(headers)
            or not (is_local_only or self._settings.hosts)
            or (not is_local_only and _is_address(_host(headers.get(b"host", b""))))
        )
        if not is_meant:
            raise ProblemError(403, "this gateway does not go by that name: name it in TQ_GATEWAY_HOSTS, or show a key")

    def _is_our_name(self, headers: Mapping[bytes, bytes]) -> bool:
        # A name that somebody else's DNS points here would make his page one of our own origin.
        name = _host(headers.get(b"host", b""))
        return not name or is_local(name) or name in {self._settings.host.lower(), *self._settings.hosts}

    def _why_not(self, remote: str) -> str:
        if self._keys.asks_writers:
            return "a write needs a key: X-API-Key, or Authorization: Bearer"
        return (
            f"no key is set, so only this machine may write, and this came from {remote or 'elsewhere'}: set API_KEY "
            "or TQ_GATEWAY_KEYS (see `tq gateway new-key`) and show a key, or start it with TQ_GATEWAY_OPEN=1"
        )


def _unauthorised(detail: str) -> ProblemError:
    return ProblemError(401, detail, headers={"WWW-Authenticate": 'Bearer realm="tq"'})


def _key_of(headers: Mapping[bytes, bytes]) -> str:
    shown = headers.get(b"x-api-key", b"")
    if not shown:
        scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
        shown = value.strip() if scheme.lower() == b"bearer" else b""
    return shown.decode("utf-8", "surrogateescape")


def _is_of_other_page(headers: Mapping[bytes, bytes]) -> bool:
    if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
        return True
    origin = headers.get(b"origin")
    return origin is not None and origin.partition(b"://")[2].lower() != headers.get(b"host", b"").lower()


def _host(header: bytes) -> str:
    text = header.decode("latin-1").lower()
    return text.partition("]")[0].lstrip("[") if text.startswith("[") else text.partition(":")[0]


@functools.lru_cache(maxsize=1024)
def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_local(name: str) -> bool:
    """Whether an address, or a name that cannot be anything else, is this machine's own."""
    if name in _LOCAL_NAMES or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
