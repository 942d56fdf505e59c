"""What an HTTP answer of the gateway means: replies, or an error that says what to do."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import msgspec
import redis.exceptions as redis_errors

from tq_core.errors import BrokerConfigError, BrokerError, BrokerRefusedError
from tq_core.transport.remote import wire

KEY_VARIABLE = "TQ_API_KEY"
KEY_HEADER = "X-API-Key"
VERSION_HEADER = "TQ-Version"
CONNECT_TIMEOUT_S = 5.0
_TEXT_MAX = 300


@dataclass(frozen=True)
class GatewayAddress:
    """Where the gateway is, and the key it is asked with."""

    url: str
    """Without the key, and without a slash at its end."""
    display: str
    key: str = field(default="", repr=False)

    def headers(self) -> dict[str, str]:
        from importlib.metadata import version

        told = {"Content-Type": wire.MEDIA_TYPE, "Accept": wire.MEDIA_TYPE, VERSION_HEADER: version("tq-console")}
        return {**told, KEY_HEADER: self.key} if self.key else told


def gateway_address(url: str, *, display: str, environ: Mapping[str, str] = os.environ) -> GatewayAddress:
    """Takes an address of the form https://:KEY@HOST/PATH apart; without a key in it, TQ_API_KEY is the key."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    key = unquote(parts.password) if parts.password else environ.get(KEY_VARIABLE, "")
    return GatewayAddress(f"{parts.scheme}://{place}{parts.path.rstrip('/')}", display, key)


def replies_of(response: httpx.Response, count: int, display: str) -> list[Any]:
    """The replies in an answer.

    Raises:
        BrokerRefusedError: key, role or rate.
        BrokerConfigError: there is no gateway, or one of another version.
        redis.exceptions.RedisError: the gateway's broker cannot be reached or is not ready.
        BrokerError: anything else.
    """
    if response.status_code == httpx.codes.OK and response.headers.get("content-type") == wire.MEDIA_TYPE:
        try:
            return wire.decode_replies(response.content, count)
        except wire.WireError as error:
            raise BrokerError(f"{display}: {error}") from None
    raise _error(response, display)


def broken(error: httpx.TransportError) -> Exception:
    """What a connection that broke is to the runner, which decides what is sent again."""
    text = str(error) or type(error).__name__
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return redis_errors.TimeoutError(text)
    return redis_errors.ConnectionError(text)


def _error(response: httpx.Response, display: str) -> Exception:
    status, told = response.status_code, _problem(response)
    match status:
        case 401:
            return BrokerRefusedError(
                f"{display} wants a key ({told}): put it into {KEY_VARIABLE}, or https://:KEY@HOST"
            )
        case 403:
            return BrokerRefusedError(f"{display} does not allow that with this key: {told}")
        case 404 | 405:
            return BrokerConfigError(f"{display} is no gateway of tq ({status}): is the path right?")
        case 409:
            return BrokerConfigError(f"{display}: {told}")
        case 413:
            return BrokerRefusedError(f"{display} takes no request of that size: {told}")
        case 429:
            # Nothing was done, so the runner may ask again.
            return redis_errors.TryAgainError(f"TRYAGAIN too many requests: {told}")
        case 502 | 503 | 504:
            return redis_errors.ConnectionError(told)
    if response.is_redirect:
        where = response.headers.get("location", "")[:_TEXT_MAX]
        return BrokerConfigError(f"{display} sends elsewhere, to {where!r}: write that address")
    return BrokerError(f"{display} answered with HTTP {status}: {told}")


def _problem(response: httpx.Response) -> str:
    """The gateway's words; of a page of somebody else only its status."""
    try:
        found = msgspec.json.decode(response.content)
    except (msgspec.MsgspecError, RecursionError):
        found = None
    detail = found.get("detail") or found.get("error") or found.get("title") if isinstance(found, dict) else None
    return str(detail or response.reason_phrase or response.status_code)[:_TEXT_MAX]
