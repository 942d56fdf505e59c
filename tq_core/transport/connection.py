"""Clients of Redis, made in one place, and what their errors mean.

redis-py's own retries are off: by default it sends a script again up to ten times, which for a claim would orphan
tasks. What may be sent again is known here only through `Script.is_idempotent` (tq_core.transport.runner).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis
import redis.asyncio
import redis.exceptions as redis_errors
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from tq_core.broker_url import parse_hosts
from tq_core.errors import (
    BrokerConfigError,
    BrokerError,
    BrokerRefusedError,
    BrokerTooOldError,
    BrokerUnreachableError,
    SchemaTooNewError,
    TqError,
)

OLDEST_REDIS = (6, 2)
CONNECT_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 10.0
SENTINEL_TIMEOUT_S = 1.0
"""Of each Sentinel that is asked: the next one may be up."""
MAX_CONNECTIONS = 10_000
"""Of one client's pool: each of a program's threads and waits may have one; redis-py's own limit is 100."""

TRANSIENT_REPLIES = ("LOADING", "READONLY", "BUSY ", "MISCONF", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN")
"""First words of replies that mean: not now, nothing was done."""


@dataclass(frozen=True)
class Endpoint:
    """A broker that can be connected to: how to make its clients, and its name for people."""

    display: str
    """The address with secrets masked."""
    open_async: Callable[[float, bool], redis.asyncio.Redis]
    """Makes an asyncio client whose answers are waited for so many seconds; its callers share one connection, or
    each call has one of its own."""
    open_sync: Callable[[float], redis.Redis]
    clock_ms: Callable[[], int] | None = None
    """Replaces the server's clock; tests only."""
    revive: Callable[[], object] | None = None
    """Starts the server again where it has gone; blocks. Only our own embedded broker can be."""
    open_line: Callable[[float], Any] | None = None
    """Makes one bare connection of redis-py, not yet connected, where one server does all; see `SyncRunner`."""
    open_async_line: Callable[[float], Any] | None = None
    """The same for asyncio; see `tq_core.transport.async_line`."""
    is_cluster: bool = False
    """Whether queues are on several nodes, each of which is waited on by itself."""


def endpoint(
    url: str, *, display: str, client_name: str = "tq", revive: Callable[[], object] | None = None
) -> Endpoint:
    """The endpoint of a server by redis-py's URL (redis://, rediss:// or unix://), of Sentinels or of a cluster."""
    scheme = url.partition("://")[0]
    if scheme.endswith("+sentinel"):
        return _sentinel_endpoint(url, display, client_name)
    if scheme.endswith("+cluster"):
        return _cluster_endpoint(url, display, client_name)
    if scheme in ("http", "https"):
        return _gateway_endpoint(url, display)

    def open_async(timeout_s: float, is_shared: bool) -> redis.asyncio.Redis:
        return redis.asyncio.Redis.from_url(
            url,
            retry=AsyncRetry(NoBackoff(), 0),
            single_connection_client=is_shared,
            **_settings(url, timeout_s, client_name),
        )

    def open_sync(timeout_s: float) -> redis.Redis:
        return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **_settings(url, timeout_s, client_name))

    def open_line(timeout_s: float) -> Any:
        pool = open_sync(timeout_s).connection_pool
        return pool.connection_class(**pool.connection_kwargs)

    def open_async_line(timeout_s: float) -> Any:
        pool = open_async(timeout_s, False).connection_pool
        return pool.connection_class(**pool.connection_kwargs)

    return Endpoint(
        display=display,
        open_async=open_async,
        open_sync=open_sync,
        open_line=open_line,
        open_async_line=open_async_line,
        revive=revive,
    )


def _cluster_endpoint(url: str, display: str, client_name: str) -> Endpoint:
    from tq_core.transport.async_cluster import AsyncClusterClient
    from tq_core.transport.cluster import ClusterClient
    from tq_core.transport.cluster_slots import Place

    hosts = parse_hosts(url)
    seeds = [Place(*place) for place in hosts.places]

    def open_async(timeout_s: float, is_shared: bool) -> Any:
        def node(place: Place) -> redis.asyncio.Redis:
            of_node = endpoint(hosts.server_url(*place), display=display, client_name=client_name)
            return of_node.open_async(timeout_s, is_shared)

        return AsyncClusterClient(seeds, node)

    def open_sync(timeout_s: float) -> Any:
        def node(place: Place) -> redis.Redis:
            of_node = endpoint(hosts.server_url(*place), display=display, client_name=client_name)
            return of_node.open_sync(timeout_s)

        return ClusterClient(seeds, node)

    return Endpoint(display=display, open_async=open_async, open_sync=open_sync, is_cluster=True)


def _gateway_endpoint(url: str, display: str) -> Endpoint:
    from tq_core.transport.remote.answers import gateway_address
    from tq_core.transport.remote.clients import AsyncGatewayClient, GatewayClient

    address = gateway_address(url, display=display)

    def open_async(timeout_s: float, _is_shared: bool) -> Any:
        return AsyncGatewayClient(address, timeout_s)

    def open_sync(timeout_s: float) -> Any:
        return GatewayClient(address, timeout_s)

    return Endpoint(display=display, open_async=open_async, open_sync=open_sync)


def _sentinel_endpoint(url: str, display: str, client_name: str) -> Endpoint:
    import redis.connection as redis_connection
    from redis.asyncio.connection import parse_url as parse_async_url

    from tq_core.transport.sentinel import AsyncSentinelClient, SentinelClient

    parse_url: Any = redis_connection.parse_url
    hosts = parse_hosts(url)
    server_url = hosts.server_url("sentinel", 0)

    def told(parsed: Any, timeout_s: float, retry: Any) -> dict[str, dict[str, Any]]:
        of_url = {name: value for name, value in parsed.items() if name not in ("host", "port", "connection_class")}
        tls = {name: value for name, value in of_url.items() if name.startswith("ssl_")}
        if hosts.scheme.has_tls:
            tls["ssl"] = True
        return {
            "settings": {"retry": retry, **_settings(server_url, timeout_s, client_name), **of_url},
            "sentinel_settings": {
                "protocol": 2,
                "retry": retry,
                "socket_connect_timeout": SENTINEL_TIMEOUT_S,
                "socket_timeout": SENTINEL_TIMEOUT_S,
                "client_name": f"{client_name}-{os.getpid()}",
                "username": hosts.sentinel_username,
                "password": hosts.sentinel_password,
                **tls,
            },
        }

    def open_async(timeout_s: float, is_shared: bool) -> redis.asyncio.Redis:
        given = told(parse_async_url(server_url), timeout_s, AsyncRetry(NoBackoff(), 0))
        return AsyncSentinelClient(hosts, is_shared=is_shared, **given)

    def open_sync(timeout_s: float) -> redis.Redis:
        return SentinelClient(hosts, **told(parse_url(server_url), timeout_s, Retry(NoBackoff(), 0)))

    return Endpoint(display=display, open_async=open_async, open_sync=open_sync)


def _settings(url: str, timeout_s: float, client_name: str) -> dict[str, Any]:
    settings = {
        "protocol": 2,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_timeout": timeout_s,
        "client_name": f"{client_name}-{os.getpid()}",
        "max_connections": MAX_CONNECTIONS,
    }
    if not url.startswith("unix:"):
        settings["socket_keepalive"] = True
    return settings


def abandon(client: Any) -> None:
    """Leaves an asyncio client to the garbage collector whose loop is closed: redis-py would try, and complain."""
    if hasattr(client, "abandon"):
        client.abandon()
    else:
        client.connection = None


def is_connection_lost(error: BaseException) -> bool:
    """Whether the connection broke or no answer came: what was sent may or may not have been done."""
    if _is_unwelcome(error):
        return False
    return isinstance(error, (redis_errors.ConnectionError, redis_errors.TimeoutError, OSError))


def _is_unwelcome(error: BaseException) -> bool:
    """Whether user and password were refused; redis-py wraps that when it happens while it connects."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, redis_errors.AuthenticationError):
            return True
        if isinstance(seen, redis_errors.RedisError) and reply_of(seen).startswith(UNWELCOME):
            return True
        seen = seen.__cause__
    return False


UNWELCOME = ("NOAUTH", "WRONGPASS", "invalid username-password")
"""First words of replies to a user who is not let in."""


def is_transient(error: BaseException) -> bool:
    """Whether the server said: not now. Nothing was done, so anything may be sent again."""
    return isinstance(error, redis_errors.RedisError) and reply_of(error).startswith(TRANSIENT_REPLIES)


def reply_of(error: BaseException) -> str:
    """What the server said, its code first; the client's own words where no server spoke.

    redis-py takes known codes off the text, and Redis before 7 wraps what a script's command was answered with.
    """
    text = str(error).strip() or type(error).__name__
    wrapped = _OF_SCRIPT.match(text)
    if wrapped:
        return wrapped[1]
    if text == DEMOTED:
        return f"READONLY {text}"
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "")
    return text if not code or text.startswith(code) else f"{code} {text}"


DEMOTED = "The previous master is now a slave"
"""What redis-py makes of READONLY where Sentinels are asked: nothing was done, and the connection is closed."""
_OF_SCRIPT = re.compile(r"Error running script \(call to .*?: -([A-Z]+ .*)", re.DOTALL)
_CODES: tuple[tuple[type[Exception], str], ...] = (
    (redis_errors.BusyLoadingError, "LOADING"),
    (redis_errors.ReadOnlyError, "READONLY"),
    (redis_errors.OutOfMemoryError, "OOM"),
    (redis_errors.NoPermissionError, "NOPERM"),
    (redis_errors.TryAgainError, "TRYAGAIN"),
    (redis_errors.MasterDownError, "MASTERDOWN"),
    (redis_errors.ClusterDownError, "CLUSTERDOWN"),
    (redis_errors.MovedError, "MOVED"),  # also an AskError, so it comes first
    (redis_errors.AskError, "ASK"),
)


def is_script_missing(error: object) -> bool:
    return isinstance(error, redis_errors.NoScriptError)


def translate(error: BaseException, display: str) -> TqError:
    """What a client's error means to the user of tq: which broker or queue, what is wrong, what to do."""
    text = reply_of(error)
    if text.startswith("TQSCHEMA "):
        _, queue, version, known = text.split()[:4]
        return SchemaTooNewError.of(queue, int(version), int(known))
    if _is_unwelcome(error):
        return BrokerRefusedError(
            f"{display} does not accept this user and password ({text}): put them into the URL, redis://USER:PASSWORD@HOST"
        )
    if text.startswith("NOPERM") or "The user executing the script can't" in text:
        return BrokerRefusedError(
            f"{display} does not allow this user to do that ({text}): `tq broker acl --role ROLE` says what it needs"
        )
    if text.startswith("OOM"):
        return BrokerRefusedError(
            f"{display} is out of memory and takes no new tasks; running ones can finish: raise maxmemory or purge"
        )
    if text.startswith("MISCONF"):
        return BrokerRefusedError(
            f"{display} cannot save to its disk and refuses writes ({text}): free space on the server"
        )
    if text.startswith("READONLY"):
        return BrokerRefusedError(f"{display} is a read-only replica: connect to the primary")
    if text.startswith(("MOVED", "ASK ")):
        return BrokerConfigError(f"{display} is one node of a cluster ({text}): write redis+cluster://HOST:PORT")
    if is_connection_lost(error) or is_transient(error):
        return BrokerUnreachableError(f"no usable connection to {display} ({text}): {_cure(text, display)}")
    return BrokerError(f"{display} answered with an error: {text}")


def _cure(text: str, display: str) -> str:
    """What to do about a connection that did not come to be."""
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "name the authority of its certificate, ?ssl_ca_certs=FILE, and the host that the certificate is for"
    if display.startswith("rediss:"):
        return "is Redis running there, does it speak TLS, and are the files there that the address names?"
    if display.startswith(("http:", "https:")):
        return "is a gateway running there, and can it reach its broker?"
    if "closed by server" in text or "reset by peer" in text:
        return "is Redis running there? Where it speaks TLS, write rediss://"
    return "is Redis running there?"


def version_told(info: object) -> dict[str, Any]:
    """What `check_version` needs of INFO's text; empty where the server does not tell."""
    found = re.search(rb"^redis_version:(\S+)", info, re.MULTILINE) if isinstance(info, bytes) else None
    return {"redis_version": found[1].decode("ascii", "replace")} if found else {}


def check_version(info: dict[str, Any], display: str) -> None:
    """Refuses a server that is too old.

    Args:
        info: INFO's section `server`; empty where the server does not tell (fakeredis, some proxies): accepted.

    Raises:
        BrokerTooOldError: its version is below OLDEST_REDIS.
    """
    version = str(info.get("redis_version", ""))
    numbers = version.split(".")[:2]
    if len(numbers) == 2 and all(n.isdigit() for n in numbers) and tuple(map(int, numbers)) < OLDEST_REDIS:
        oldest = ".".join(map(str, OLDEST_REDIS))
        raise BrokerTooOldError(f"{display} runs Redis {version}; tq needs {oldest} or newer: upgrade the server")
