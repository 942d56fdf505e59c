"""What every route works with."""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from dataclasses import dataclass, field
from typing import cast

from starlette.requests import Request

from tq_console.gateway.link import Link
from tq_console.gateway.settings import GatewaySettings
from tq_console.gateway.submitting import Submitter
from tq_console.view.secrets import Masker


def _new_name() -> str:
    return f"gateway-{socket.gethostname()}-{secrets.token_hex(3)}"


@dataclass
class Services:
    """One gateway."""

    link: Link
    settings: GatewaySettings
    masker: Masker = field(default_factory=Masker.from_environment)
    name: str = field(default_factory=_new_name)
    started_at_s: float = field(default_factory=time.time)
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the gateway was told to stop: streams and waits end, and it is not ready any more."""
    streams: int = 0
    """Clients that follow events."""
    workers_by_name: dict[str, str] = field(default_factory=dict)
    """Workers that clients created under names of theirs, and the nodes that made room for them."""

    def __post_init__(self) -> None:
        self.submitter = Submitter(self.link)


def services_of(request: Request) -> Services:
    """The gateway that a request came to."""
    return cast("Services", request.app.state.services)
