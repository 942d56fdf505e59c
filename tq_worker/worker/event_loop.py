"""Which event loop a worker runs on."""

from __future__ import annotations

import asyncio

from tq_core.errors import RefusedError


def new_event_loop(kind: str) -> asyncio.AbstractEventLoop:
    """A loop of that kind; with `auto` uvloop's where it is installed, else asyncio's.

    Raises:
        RefusedError: uvloop is wanted and not there.
    """
    if kind != "asyncio":
        try:
            import uvloop
        except ImportError as error:
            if kind == "uvloop":
                raise RefusedError(
                    f"uvloop cannot be loaded ({error}): pip install 'tq-console[fast]', or leave out --loop uvloop"
                ) from error
        else:
            return uvloop.new_event_loop()
    return asyncio.new_event_loop()
