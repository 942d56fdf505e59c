"""Addresses of brokers: taken apart, refused early where they would fail late, and shown without their secrets."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from tq_core.broker.folder import DEFAULT_NAME, check_name
from tq_core.errors import BrokerConfigError, InvalidInputError

MASK = "***"
EXAMPLES = (
    "redis://HOST:6379/0, rediss://USER:PASSWORD@HOST/0, unix:///PATH, redis+sentinel://HOST:26379,HOST:26379/SERVICE, "
    "redis+cluster://HOST:6379,HOST:6379, https://:KEY@GATEWAY, embedded://NAME or memory://NAME"
)
_PORTS = {"cluster": 6379, "sentinel": 26379}


class BrokerScheme(enum.StrEnum):
    """The kinds of broker that this version serves."""

    EMBEDDED = "embedded"
    MEMORY = "memory"
    REDIS = "redis"
    REDISS = "rediss"
    UNIX = "unix"
    SENTINEL = "redis+sentinel"
    SENTINEL_TLS = "rediss+sentinel"
    CLUSTER = "redis+cluster"
    CLUSTER_TLS = "rediss+cluster"
    GATEWAY = "http"
    GATEWAY_TLS = "https"

    @property
    def is_server(self) -> bool:
        """Whether redis-py takes the address as it is."""
        return self in {BrokerScheme.REDIS, BrokerScheme.REDISS, BrokerScheme.UNIX}

    @property
    def is_sentinel(self) -> bool:
        """Whether Sentinels are asked which server is the primary."""
        return self in {BrokerScheme.SENTINEL, BrokerScheme.SENTINEL_TLS}

    @property
    def is_cluster(self) -> bool:
        """Whether each queue is on one of several nodes."""
        return self in {BrokerScheme.CLUSTER, BrokerScheme.CLUSTER_TLS}

    @property
    def is_gateway(self) -> bool:
        """Whether the broker is behind tq's HTTP gateway: for everything but running tasks."""
        return self in {BrokerScheme.GATEWAY, BrokerScheme.GATEWAY_TLS}

    @property
    def has_tls(self) -> bool:
        """Whether what is sent to servers is encrypted."""
        return self.value.startswith("rediss") or self is BrokerScheme.GATEWAY_TLS


# redis-py lets options of an address win over those of the program, so what the client layer has to decide itself, as
# how long an answer is waited for, is left out.
_SERVER_OPTIONS = frozenset(
    {
        "client_name",
        "db",
        "health_check_interval",
        "max_connections",
        "password",
        "socket_connect_timeout",
        "socket_keepalive",
        "socket_read_size",
        "username",
    }
)
_TLS_OPTIONS = frozenset(
    {
        "ssl_ca_certs",
        "ssl_ca_data",
        "ssl_ca_path",
        "ssl_cert_reqs",
        "ssl_certfile",
        "ssl_check_hostname",
        "ssl_ciphers",
        "ssl_exclude_verify_flags",
        "ssl_include_verify_flags",
        "ssl_keyfile",
        "ssl_min_version",
        "ssl_password",
        "ssl_validate_ocsp",
        "ssl_validate_ocsp_stapled",
    }
)
_SENTINEL_OPTIONS = frozenset({"sentinel_username", "sentinel_password"})


@dataclass(frozen=True)
class Hosts:
    """What an address of several hosts says."""

    scheme: BrokerScheme
    places: tuple[tuple[str, int], ...]
    service: str
    """The name that Sentinels know the primary by; empty for a cluster."""
    database: int
    credentials: str = field(repr=False)
    """USER:PASSWORD as written, for the servers."""
    options: str = field(repr=False)
    """What stands after the question mark, but for the Sentinels' own."""
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)

    def server_url(self, host: str, port: int) -> str:
        """The address of one server of them, as redis-py takes it."""
        scheme = "rediss" if self.scheme.has_tls else "redis"
        bracketed = f"[{host}]" if ":" in host else host
        at = f"{self.credentials}@" if self.credentials else ""
        options = f"?{self.options}" if self.options else ""
        return f"{scheme}://{at}{bracketed}:{port}/{self.database}{options}"


def parse_hosts(url: str, *, shown: str = "") -> Hosts:
    """What an address of a cluster or of Sentinels says.

    Raises:
        BrokerConfigError: it is wrong.
    """
    shown = shown or masked_url(url)
    parts = urlsplit(url)
    scheme = BrokerScheme(parts.scheme)
    credentials, _, place_list = parts.netloc.rpartition("@")
    kind = "sentinel" if scheme.is_sentinel else "cluster"
    places = tuple(_place(text, _PORTS[kind], shown) for text in place_list.split(","))
    service, database = "", parts.path.strip("/")
    if scheme.is_sentinel:
        service, _, database = database.partition("/")
        if not service:
            raise BrokerConfigError(f"{shown} names no service; write {scheme}://HOST:26379,HOST:26379/SERVICE")
    if not re.fullmatch(r"[0-9]*", database):
        raise BrokerConfigError(f"{shown} does not end in the number of a database, as /0")
    if scheme.is_cluster and int(database or 0):
        raise BrokerConfigError(f"{shown}: a cluster has the database 0 only; leave {database} out")
    pairs = [pair for pair in parts.query.split("&") if pair]
    own = {n: v for n, v in parse_qsl(parts.query, keep_blank_values=True) if n in _SENTINEL_OPTIONS}
    return Hosts(
        scheme=scheme,
        places=places,
        service=unquote(service),
        database=int(database or 0),
        credentials=credentials,
        options="&".join(pair for pair in pairs if pair.partition("=")[0] not in _SENTINEL_OPTIONS),
        sentinel_username=own.get("sentinel_username"),
        sentinel_password=own.get("sentinel_password"),
    )


def _place(text: str, default_port: int, shown: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port == 0:
        # The text may be a part of a password that was not percent-encoded.
        raise BrokerConfigError(
            f"{shown} has no valid HOST:PORT,HOST:PORT; percent-encode / : @ ? # in a password"
        ) from None
    return host, port or default_port


@dataclass(frozen=True)
class ParsedUrl:
    """An address that was understood."""

    scheme: BrokerScheme
    url: str = field(repr=False)
    name: str | None
    """Of an embedded or in-memory broker."""


def parse_url(url: str, *, source: str) -> ParsedUrl:
    """Understand an address, or refuse it with a text that shows no secret.

    Args:
        url: The address.
        source: Where it comes from, for the message.

    Raises:
        BrokerConfigError: It is wrong.
    """
    url = url.strip()
    scheme, separator, _ = url.partition("://")
    scheme = scheme.lower()
    shown = masked_url(url)
    if not separator:
        raise BrokerConfigError(f"{source} {shown!r} has no scheme; write {EXAMPLES}")
    if scheme not in set(BrokerScheme):  # on 3.11 a text cannot be looked up in the class itself
        raise BrokerConfigError(f"{source} {shown!r}: {scheme!r} is not a scheme that tq knows; write {EXAMPLES}")
    kind = BrokerScheme(scheme)
    if kind.is_cluster or kind.is_sentinel:
        hosts = parse_hosts(url, shown=f"{source} {shown!r}")
        _check_options(urlsplit(url).query, kind, f"{source} {shown!r}")
        if "#" in url:
            raise BrokerConfigError(f"{source} {shown!r} ends in #...; percent-encode # as %23")
        return ParsedUrl(scheme=hosts.scheme, url=url, name=None)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # Its text may quote a part of a password that was not percent-encoded.
        raise BrokerConfigError(
            f"{source} {shown!r} has no valid host and port; percent-encode / : @ ? # in a password"
        ) from None
    if kind.is_gateway:
        _check_gateway(parts, port, f"{source} {shown!r}")
        return ParsedUrl(scheme=kind, url=url, name=None)
    if kind.is_server:
        _check_server(parts, kind, port, f"{source} {shown!r}")
        return ParsedUrl(scheme=kind, url=url, name=None)
    return ParsedUrl(scheme=kind, url=url, name=_check_local(parts, f"{source} {shown!r}"))


def is_loopback(url: str) -> bool:
    """Whether what is sent to an address stays on this machine."""
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


def masked_url(url: str) -> str:
    """The address with its password replaced, also where it is not well formed."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    # The last @ ends the user's part even where a password holds one that should have been encoded.
    credentials, at, place = rest.rpartition("@")
    if at:
        user, colon, _ = credentials.partition(":")
        if colon or scheme.lower() in {BrokerScheme.GATEWAY, BrokerScheme.GATEWAY_TLS}:
            # A key that was written where a user stands is a key all the same.
            credentials = f"{user if colon else ''}:{MASK}"
    place, question, query = place.partition("?")
    masked_query = "&".join(
        f"{name}={MASK}" if _is_secret(name) else f"{name}{equals}{value}"
        for name, equals, value in (pair.partition("=") for pair in query.split("&"))
    )
    return _printable(f"{scheme}{separator}{credentials}{at}{place}{question}{masked_query}")


def _is_secret(name: str) -> bool:
    lowered = unquote(name).lower()
    return "password" in lowered or lowered in {"key", "api_key", "apikey", "token"}


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _check_local(parts: SplitResult, shown: str) -> str:
    if parts.path not in {"", "/"} or parts.query or parts.fragment or "@" in parts.netloc:
        raise BrokerConfigError(
            f"{shown}: after {parts.scheme}:// comes a name and nothing else, as {parts.scheme}://work"
        )
    try:
        return check_name(parts.netloc or DEFAULT_NAME)
    except InvalidInputError as error:
        raise BrokerConfigError(f"{shown}: {error.message}") from error


def _check_server(parts: SplitResult, kind: BrokerScheme, port: int | None, shown: str) -> None:
    if parts.fragment:
        raise BrokerConfigError(f"{shown} ends in #...; percent-encode # as %23")
    if kind is BrokerScheme.UNIX:
        if parts.hostname or not parts.path.strip("/"):
            raise BrokerConfigError(f"{shown}: a socket's address has three slashes, as unix:///run/redis.sock")
    else:
        if not parts.hostname:
            raise BrokerConfigError(f"{shown} names no host; write {kind}://localhost:6379/0 for this machine")
        if port == 0:
            raise BrokerConfigError(f"{shown}: 0 is not a port; give a number from 1 to 65535")
        # redis-py silently takes database 0 where this is not a number.
        if not re.fullmatch(r"/?|/[0-9]+", parts.path):
            raise BrokerConfigError(f"{shown}: {parts.path[1:]!r} is not the number of a database; end it in /0")
    _check_options(parts.query, kind, shown)


def _check_gateway(parts: SplitResult, port: int | None, shown: str) -> None:
    if not parts.hostname or port == 0:
        raise BrokerConfigError(f"{shown} names no host; write {parts.scheme}://HOST:8000")
    if parts.username:
        raise BrokerConfigError(f"{shown}: a gateway knows keys and no users; write {parts.scheme}://:KEY@HOST")
    if parts.query or parts.fragment:
        raise BrokerConfigError(f"{shown} ends in ?... or #..., which the address of a gateway does not")


def _check_options(query: str, kind: BrokerScheme, shown: str) -> None:
    if not query:
        return
    from redis.connection import URL_QUERY_ARGUMENT_PARSERS

    allowed = _TLS_OPTIONS | _SERVER_OPTIONS if kind.has_tls else _SERVER_OPTIONS
    if kind.is_sentinel:
        allowed = allowed | _SENTINEL_OPTIONS
    if kind.is_cluster:
        allowed = allowed - {"db"}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in allowed:
            hint = (
                "it works with rediss:// only, or rediss+cluster:// and the like"
                if name in _TLS_OPTIONS
                else f"it may be {', '.join(sorted(allowed))}"
            )
            raise BrokerConfigError(f"{shown}: the option {name!r} is not for an address; {hint}")
        parser: Any = URL_QUERY_ARGUMENT_PARSERS.get(name)
        try:
            if parser is not None:
                parser(value)
        except (TypeError, ValueError):
            raise BrokerConfigError(f"{shown}: {value!r} is not a value for {name}; correct it") from None
