"""What a gateway is told at its start: where it listens, who may do what, and how much it takes from one client."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tq_core.errors import InvalidInputError

HOST = "127.0.0.1"
PORT = 8000
PORT_VARIABLE = "PORT"
KEY_VARIABLE = "API_KEY"
KEY_FILE_VARIABLE = "TQ_GATEWAY_KEYS"
OPEN_VARIABLE = "TQ_GATEWAY_OPEN"
RATE_VARIABLE = "TQ_GATEWAY_RATE"
BODY_VARIABLE = "TQ_GATEWAY_MAX_BODY_BYTES"
HOSTS_VARIABLE = "TQ_GATEWAY_HOSTS"
MAX_BODY_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class GatewaySettings:
    """All of it, checked."""

    host: str = HOST
    port: int = PORT
    api_key: str = ""
    """One key that may do everything; "" = there is none."""
    key_file: Path | None = None
    is_open: bool = False
    """Whether who has no key may write from everywhere, where no key is asked for at all."""
    rate_per_s: float | None = None
    """Requests of one key, or of one address without a key; None = no limit."""
    max_body_bytes: int = MAX_BODY_BYTES
    hosts: frozenset[str] = frozenset()
    """Names under which this machine's own proxy passes requests on."""
    body_timeout_s: float = 30.0
    """How long a body may take to come in."""
    send_timeout_s: float = 60.0
    """How long a client may take to read what waits for it."""
    head_timeout_s: float = 10.0
    """How long the head of a request may take to come in."""
    drain_s: float = 10.0
    """How long requests under way may take once the gateway is told to stop."""


def settings_of(
    environ: Mapping[str, str] = os.environ,
    *,
    host: str | None = None,
    port: int | None = None,
    key_file: Path | None = None,
    rate_per_s: float | None = None,
) -> GatewaySettings:
    """The settings of the command line, and where it says nothing those of the environment.

    Raises:
        InvalidInputError: a variable is set to what cannot be used.
    """
    named = environ.get(KEY_FILE_VARIABLE, "")
    return GatewaySettings(
        host=host or HOST,
        port=int(_number(environ, PORT_VARIABLE, default=PORT, low=1, high=65_535)) if port is None else port,
        api_key=environ.get(KEY_VARIABLE, ""),
        key_file=key_file or (Path(named) if named else None),
        is_open=_is_on(environ, OPEN_VARIABLE),
        rate_per_s=_rate(environ) if rate_per_s is None else rate_per_s,
        max_body_bytes=int(_number(environ, BODY_VARIABLE, default=MAX_BODY_BYTES, low=1024, high=2**30)),
        hosts=frozenset(name.strip().lower() for name in environ.get(HOSTS_VARIABLE, "").split(",") if name.strip()),
    )


def _rate(environ: Mapping[str, str]) -> float | None:
    return _number(environ, RATE_VARIABLE, default=0, low=0.01, high=1e6) or None


def _is_on(environ: Mapping[str, str], variable: str) -> bool:
    text = environ.get(variable, "")
    if text not in ("", "0", "1"):
        # What opens a door must not be guessed.
        raise InvalidInputError(f"{variable}={text!r}: must be 0 or 1")
    return text == "1"


def _number(environ: Mapping[str, str], variable: str, *, default: float, low: float, high: float) -> float:
    text = environ.get(variable, "")
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not low <= number <= high:
        raise InvalidInputError(f"{variable}={text!r}: must be a number from {low:g} to {high:g}")
    return number
