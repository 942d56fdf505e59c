"""`tq console --web`: its options, and the server that they start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from tq_console.cli.invocation import Invocation

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--web", "is_web", is_flag=True, help="Serve the console to browsers; prints the address."),
    click.option("--host", default="127.0.0.1", show_default=True, help="With --web: the interface to serve on."),
    click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="With --web; 0 = any."),
    click.option("--public-url", default="", help="With --web: the address by which a proxy before it is reached."),
    click.option("--allow-changes", is_flag=True, help="With --web: let whoever has the token change things."),
)


def web_options(function: F) -> F:
    """Adds what is said of a page."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def serve(invocation: Invocation, *, host: str, port: int, public_url: str, is_read_only: bool) -> int:
    """Serves consoles until it is told to end.

    Raises:
        InvalidInputError: the address of the proxy is none.
        RefusedError: the extra is missing, or the port is taken.
    """
    from tq_core.errors import InvalidInputError, RefusedError

    if public_url and not public_url.startswith(("http://", "https://")):
        raise InvalidInputError(f"--public-url {public_url!r}: write the whole address, https://…")
    try:
        from tq_console.web.launch import serve_console
    except ModuleNotFoundError as error:
        raise RefusedError(f"{error.name} is missing: pip install 'tq-console[web]'") from error
    serve_console(
        invocation.address,
        actor=invocation.actor,
        host=host,
        port=port,
        public_url=public_url,
        is_read_only=is_read_only,
        say=lambda text: invocation.out.talk(f"tq: {text}"),
    )
    return 0
