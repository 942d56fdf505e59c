"""Which broker to use, from the command line, the environment and the configuration file.

The first of these that is set decides:

1. the address or the context given on the command line,
2. TQ_URL,
3. the context named by TQ_CONTEXT, else by `context = "NAME"` in the configuration file,
4. REDIS_HOST and REDIS_PORT,
5. the embedded broker.

A context on the command line beats TQ_URL: who types `--context prod` means it, whatever the shell exports. A context
beats REDIS_HOST, which other programs set for themselves too.

    # $XDG_CONFIG_HOME/tq/config.toml
    context = "staging"

    [contexts.staging]
    url = "rediss://tq@redis.staging.example.org/0"
    color = "yellow"
    protected = true
    read_only = false
    password_file = "~/.config/tq/staging.password"
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tq_core.broker_url import BrokerScheme, ParsedUrl, masked_url, parse_url
from tq_core.errors import BrokerConfigError, InvalidInputError

DEFAULT_URL = "embedded://"
CONTEXT_FIELDS = ("url", "color", "protected", "read_only", "password_file", "password_command")
_YES = ("1", "true", "yes", "on")
_NO = ("", "0", "false", "no", "off")


@dataclass(frozen=True)
class BrokerContext:
    """One `[contexts.NAME]` of the configuration file."""

    name: str
    url: str = field(repr=False)
    color: str | None = None
    """For the console's frame, so that production never looks like a laptop."""
    is_protected: bool = False
    """`protected`: nothing is written until somebody says why; what cannot be undone asks for the context's name."""
    is_read_only: bool = False
    """`read_only`: nothing is written."""
    password_file: str | None = field(default=None, repr=False)
    """`password_file`: its first line is the password, which then need not stand in the address."""
    password_command: tuple[str, ...] = field(default=(), repr=False)
    """`password_command`: a program that prints the password, as a password store's."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """The fields that are not known here."""


@dataclass(frozen=True)
class BrokerAddress:
    """The broker that was chosen, and what chose it."""

    scheme: BrokerScheme
    url: str = field(repr=False)
    """As redis-py takes it where the scheme is one of its own; may hold a password."""
    source: str
    """`flag`, `TQ_URL`, `context NAME`, `REDIS_HOST` or `default`."""
    name: str | None = None
    """Of an embedded or in-memory broker."""
    context: BrokerContext | None = None

    @property
    def display_url(self) -> str:
        """The address with secrets masked, for every screen and log."""
        return masked_url(self.url)

    @property
    def is_default(self) -> bool:
        """Whether nobody chose this broker."""
        return self.source == "default"

    @property
    def notice(self) -> str | None:
        """One line for people where nobody chose this broker; else None."""
        if not self.is_default:
            return None
        return f"using the embedded broker {self.name!r} of this machine; set TQ_URL or pass --url for another"


def resolve_broker(
    url: str | None = None, *, context: str | None = None, environ: Mapping[str, str] = os.environ
) -> BrokerAddress:
    """Choose the broker; connects to nothing and reads the configuration file only where a context may decide.

    Args:
        url: From the command line or the program.
        context: Name of a context, from the command line or the program.
        environ: TQ_URL, TQ_CONTEXT, TQ_REQUIRE_URL, REDIS_HOST, REDIS_PORT, XDG_CONFIG_HOME, HOME.

    Raises:
        BrokerConfigError: An address, the file or the context's name is wrong, or nothing is set and TQ_REQUIRE_URL is.
        InvalidInputError: Both an address and a context were given.
    """
    if url and context:
        raise InvalidInputError(f"an address and the context {context!r} were both given; give one of them")
    if url:
        return _address(parse_url(url, source="the address given"), source="flag")
    if context:
        return _of_context(context, named_by="--context", environ=environ)
    if from_environ := environ.get("TQ_URL", ""):
        return _address(parse_url(from_environ, source="TQ_URL"), source="TQ_URL")
    if named := environ.get("TQ_CONTEXT", ""):
        return _of_context(named, named_by="TQ_CONTEXT", environ=environ)
    if chosen := _chosen_context(environ):
        return _of_context(chosen, named_by=str(config_file(environ)), environ=environ)
    if environ.get("REDIS_HOST", "") or environ.get("REDIS_PORT", ""):
        return _address(_of_redis_host(environ), source="REDIS_HOST")
    if _is_set(environ, "TQ_REQUIRE_URL"):
        raise BrokerConfigError("no broker is chosen and TQ_REQUIRE_URL is set; set TQ_URL or pass --url")
    return _address(parse_url(DEFAULT_URL, source="the default"), source="default")


def config_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Path of the configuration file, which may be missing."""
    chosen = environ.get("XDG_CONFIG_HOME", "")
    # A relative path is to be ignored: XDG Base Directory Specification 0.8.
    folder = Path(chosen) if chosen.startswith("/") else Path(environ.get("HOME") or Path.home()) / ".config"
    return folder / "tq" / "config.toml"


def contexts(environ: Mapping[str, str] = os.environ) -> dict[str, BrokerContext]:
    """Every context of the configuration file by name; empty where there is no file.

    Raises:
        BrokerConfigError: The file cannot be read or is not as it must be.
    """
    path = config_file(environ)
    tables = read_config(path).get("contexts", {})
    if not isinstance(tables, dict):
        raise BrokerConfigError(f"{path}: `contexts` must hold one table for each context, as [contexts.NAME]")
    return {name: _context(path, name, table) for name, table in tables.items()}


@dataclass(frozen=True)
class RetryDefaults:
    """How often and how soon failed tasks run again where neither the task nor its type says so."""

    max_attempts: int = 4
    initial_delay_ms: int = 5_000
    multiplier: float = 2.0
    max_delay_ms: int = 3_600_000


def retry_defaults(environ: Mapping[str, str] = os.environ) -> RetryDefaults:
    """Read MAX_RETRIES, INITIAL_RETRY_DELAY, RETRY_BACKOFF_MULTIPLIER and MAX_RETRY_DELAY (seconds).

    Raises:
        InvalidInputError: One of them is not a number in its range.
    """
    retries = _number(environ, "MAX_RETRIES", default=3, low=0, high=999)
    if not retries.is_integer():
        raise InvalidInputError(f"MAX_RETRIES={environ['MAX_RETRIES']!r}: must be a whole number")
    year_s = 31_536_000.0
    return RetryDefaults(
        max_attempts=int(retries) + 1,
        initial_delay_ms=round(1000 * _number(environ, "INITIAL_RETRY_DELAY", default=5, low=0, high=year_s)),
        multiplier=_number(environ, "RETRY_BACKOFF_MULTIPLIER", default=2, low=1, high=1000),
        max_delay_ms=round(1000 * _number(environ, "MAX_RETRY_DELAY", default=3600, low=0, high=year_s)),
    )


def _address(parsed: ParsedUrl, *, source: str, context: BrokerContext | None = None) -> BrokerAddress:
    return BrokerAddress(scheme=parsed.scheme, url=parsed.url, source=source, name=parsed.name, context=context)


def _of_redis_host(environ: Mapping[str, str]) -> ParsedUrl:
    host = environ.get("REDIS_HOST", "") or "localhost"
    port = environ.get("REDIS_PORT", "") or "6379"
    bracketed = f"[{host}]" if ":" in host and not host.startswith("[") else host
    if any(letter in host for letter in "/@?# "):
        raise BrokerConfigError(
            "REDIS_HOST must be the name of a host and nothing else; put a whole address into TQ_URL"
        )
    if not (port.isascii() and port.isdigit()):
        raise BrokerConfigError(f"REDIS_PORT={port!r} is not a port; give a number from 1 to 65535")
    return parse_url(f"redis://{bracketed}:{port}", source="REDIS_HOST and REDIS_PORT")


def _of_context(name: str, *, named_by: str, environ: Mapping[str, str]) -> BrokerAddress:
    found = contexts(environ)
    if name not in found:
        known = f"known are {', '.join(sorted(found))}" if found else "it has none"
        raise BrokerConfigError(f"the context {name!r} ({named_by}) is not in {config_file(environ)}; {known}")
    context = found[name]
    parsed = parse_url(context.url, source=f"the context {name!r} of {config_file(environ)}")
    return _address(parsed, source=f"context {name}", context=context)


def _chosen_context(environ: Mapping[str, str]) -> str:
    path = config_file(environ)
    chosen = read_config(path).get("context", "")
    if not isinstance(chosen, str):
        raise BrokerConfigError(f'{path}: `context` must be the name of a context in quotes, as context = "staging"')
    return chosen


def read_config(path: Path) -> dict[str, Any]:
    """The configuration file as it stands; empty where there is none.

    Raises:
        BrokerConfigError: It cannot be read or is no TOML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BrokerConfigError(f"{path} cannot be read: {error.strerror}; make it readable, or delete it") from error
    except UnicodeDecodeError as error:
        raise BrokerConfigError(f"{path} is not UTF-8 text: {error}; correct it") from error
    import tomllib  # most people have no such file

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BrokerConfigError(f"{path} is not valid TOML: {error}; correct it") from error


def _context(path: Path, name: str, table: object) -> BrokerContext:
    where = f"{path}: [contexts.{name}]"
    if not isinstance(table, dict):
        raise BrokerConfigError(f"{where} must be a table")
    url = table.get("url")
    if not isinstance(url, str) or not url:
        raise BrokerConfigError(f'{where} needs url = "redis://..."')
    color = table.get("color")
    if not isinstance(color, str | None):
        raise BrokerConfigError(f"{where}: color must be a text")
    for name_of_flag in ("protected", "read_only"):
        if not isinstance(table.get(name_of_flag, False), bool):
            raise BrokerConfigError(f"{where}: {name_of_flag} must be true or false")
    password_file = table.get("password_file")
    if not isinstance(password_file, str | None):
        raise BrokerConfigError(f"{where}: password_file must be the path of a file in quotes")
    return BrokerContext(
        name=name,
        url=url,
        color=color,
        is_protected=table.get("protected", False),
        is_read_only=table.get("read_only", False),
        password_file=password_file,
        password_command=_password_command(where, table),
        extra={key: value for key, value in table.items() if key not in CONTEXT_FIELDS},
    )


def _password_command(where: str, table: Mapping[str, Any]) -> tuple[str, ...]:
    found = table.get("password_command", [])
    if not isinstance(found, list) or not all(isinstance(word, str) and word for word in found):
        raise BrokerConfigError(f'{where}: password_command must be a list of words, as ["pass", "show", "redis/prod"]')
    if found and "password_file" in table:
        raise BrokerConfigError(f"{where} has both a password_file and a password_command; keep one of them")
    return tuple(found)


def _is_set(environ: Mapping[str, str], variable: str) -> bool:
    value = environ.get(variable, "").strip().lower()
    if value not in (*_YES, *_NO):
        raise BrokerConfigError(f"{variable}={value!r} is neither yes nor no; set it to 1 or 0")
    return value in _YES


def _number(environ: Mapping[str, str], variable: str, *, default: float, low: float, high: float) -> float:
    text = environ.get(variable, "").strip()
    try:
        value = float(text) if text else float(default)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise InvalidInputError(f"{variable}={text!r}: must be a number from {low:g} to {high:g}")
    return value
