"""Clients of Redis, made in one place, and what their errors mean.

redis-py's own retries are off: by default it sends a script again up to ten times, which for a claim would orphan
tasks. What may be sent again is known here only through `Script.is_idempotent` (tq_core.transport.runner).
"""

from __future__ import annotations

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

from tq_core.errors import BrokerError, BrokerRefusedError, BrokerTooOldError, BrokerUnreachableError

OLDEST_REDIS = (6, 2)
CONNECT_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 10.0
MAX_CONNECTIONS = 10_000
"""Of one client's pool: each of a program's threads and waits may have one; redis-py's own limit is 100."""

TRANSIENT_REPLIES = ("LOADING", "READONLY", "BUSY ", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN")
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


def endpoint(
    url: str, *, display: str, client_name: str = "tq", revive: Callable[[], object] | None = None
) -> Endpoint:
    """The endpoint of a server by redis-py's URL: redis://, rediss:// or unix://."""

    def open_async(timeout_s: float, is_shared: bool) -> redis.asyncio.Redis:
        return redis.asyncio.Redis.from_url(
            url,
            retry=AsyncRetry(NoBackoff(), 0),
            single_connection_client=is_shared,
            **_settings(timeout_s, client_name),
        )

    def open_sync(timeout_s: float) -> redis.Redis:
        return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **_settings(timeout_s, client_name))

    return Endpoint(display=display, open_async=open_async, open_sync=open_sync, revive=revive)


def _settings(timeout_s: float, client_name: str) -> dict[str, Any]:
    return {
        "protocol": 2,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_timeout": timeout_s,
        "client_name": client_name,
        "max_connections": MAX_CONNECTIONS,
    }


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
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "")
    return text if not code or text.startswith(code) else f"{code} {text}"


_OF_SCRIPT = re.compile(r"Error running script \(call to .*?: -([A-Z]+ .*)", re.DOTALL)
_CODES: tuple[tuple[type[Exception], str], ...] = (
    (redis_errors.BusyLoadingError, "LOADING"),
    (redis_errors.ReadOnlyError, "READONLY"),
    (redis_errors.OutOfMemoryError, "OOM"),
    (redis_errors.NoPermissionError, "NOPERM"),
    (redis_errors.TryAgainError, "TRYAGAIN"),
    (redis_errors.MasterDownError, "MASTERDOWN"),
    (redis_errors.ClusterDownError, "CLUSTERDOWN"),
)


def is_script_missing(error: object) -> bool:
    return isinstance(error, redis_errors.NoScriptError)


def translate(error: BaseException, display: str) -> BrokerError:
    """What a client's error means to the user of tq: which broker, what is wrong, what to do."""
    text = reply_of(error)
    if _is_unwelcome(error):
        return BrokerRefusedError(
            f"{display} does not accept this user and password ({text}): put them into the URL, redis://USER:PASSWORD@HOST"
        )
    if text.startswith("NOPERM") or "The user executing the script can't" in text:
        return BrokerRefusedError(
            f"{display} does not allow this user to do that ({text}): give it the commands and the keys tq:*"
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
    if is_connection_lost(error) or is_transient(error):
        return BrokerUnreachableError(f"no usable connection to {display} ({text}): {_cure(text, display)}")
    return BrokerError(f"{display} answered with an error: {text}")


def _cure(text: str, display: str) -> str:
    """What to do about a connection that did not come to be."""
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "name the authority of its certificate, ?ssl_ca_certs=FILE, and the host that the certificate is for"
    if display.startswith("rediss:"):
        return "is Redis running there, does it speak TLS, and are the files there that the address names?"
    if "closed by server" in text:
        return "is Redis running there? Where it speaks TLS, write rediss://"
    return "is Redis running there?"


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
