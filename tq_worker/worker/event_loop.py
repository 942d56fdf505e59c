"""Which event loop a worker runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tq_core.errors import RefusedError

T = TypeVar("T")


class ProcessOver(SystemExit):
    """The process has to end, and is not to be kept."""


def run_to_end(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, T], say: Callable[[str], None]) -> T:
    """Runs the loop until `main` is done, whatever handlers do to it.

    A loop ends with SystemExit or KeyboardInterrupt when a task or callback raises it that is not the handler itself,
    and it can be stopped by anybody. Both would cost all tasks of this process a run; the loop can go on after either,
    and whoever waits for what has raised gets the exception all the same.

    Args:
        say: Is told of each.
    """
    task = loop.create_task(main)
    while True:
        try:
            return loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:
            if isinstance(error, ProcessOver) or task.done():
                raise
            say(f"a task or callback that a handler has started raised {type(error).__name__}: it ends nothing else")
        except RuntimeError:
            if task.done() or loop.is_closed():
                raise
            say("a handler has stopped the event loop: it goes on")


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
