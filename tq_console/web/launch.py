"""Starts the server of the page and says where it is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from tq_console.web.access import SHORTEST_TOKEN, TOKEN_PARAMETER, Access, new_token
from tq_console.web.server import WebConsole
from tq_console.web.visit import environment_of
from tq_core.errors import InvalidInputError, RefusedError
from tq_core.settings import BrokerAddress

TOKEN_VARIABLE = "TQ_WEB_TOKEN"


def serve_console(
    address: BrokerAddress,
    *,
    actor: str,
    host: str,
    port: int,
    public_url: str,
    is_read_only: bool,
    say: Callable[[str], None],
) -> None:
    """Serves consoles until SIGINT or SIGTERM.

    Args:
        actor: Who serves; visitors are written down beside it.
        public_url: By which a proxy is reached that stands before the server; "" = none does.
        say: Where a line for people goes.

    Raises:
        InvalidInputError: TQ_WEB_TOKEN is too short to be one.
        RefusedError: the port cannot be had.
    """
    given = os.environ.get(TOKEN_VARIABLE, "")
    if given and len(given) < SHORTEST_TOKEN:
        raise InvalidInputError(f"{TOKEN_VARIABLE} has {len(given)} characters; make it {SHORTEST_TOKEN} or more")
    token = given or new_token()

    async def serve() -> None:
        chosen = port or await _free_port(host)
        access = Access.to(host=host, port=chosen, token=token, public_url=public_url)
        console = WebConsole(
            access,
            title=f"tq {address.context.name if address.context else address.display_url}",
            is_read_only=is_read_only,
            environment=lambda visitor: environment_of(
                os.environ,
                url=address.url,
                context=address.context.name if address.context else None,
                actor=f"{actor} for {visitor}",
            ),
            log=say,
        )
        shown = public_url.rstrip("/") or f"http://{f'[{host}]' if ':' in host else host}:{chosen}"
        what = f"?{TOKEN_PARAMETER}={token}" if not given else f", with the token of {TOKEN_VARIABLE}"
        await console.serve(
            host,
            chosen,
            ready=lambda _: say(f"{'to look at only' if is_read_only else 'every key works'}: {shown}/{what}"),
        )

    try:
        asyncio.run(serve())
    except OSError as error:
        raise RefusedError(
            f"cannot serve on {host}:{port}: {error.strerror or error}; choose another --port"
        ) from error


async def _free_port(host: str) -> int:
    server = await asyncio.start_server(lambda _reader, _writer: None, host, 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port
