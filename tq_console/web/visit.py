"""The process of one visitor: a console whose terminal is the page."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from typing import Any

from textual_serve.app_service import AppService

COMMAND = (sys.executable, "-m", "tq_console.web.console")
ENDS_WITHIN_S = 5.0
LARGEST = (400, 200)
"""Columns and rows that a page may ask for."""
FPS = "15"


class Visit(AppService):
    """As the library's, but without a shell, with an environment that we choose, and an end in time."""

    def __init__(self, *, environment: Mapping[str, str], is_read_only: bool, **kept: Any) -> None:
        """Starts nothing yet.

        Args:
            environment: All that the process is told.
            kept: What the library asks for.
        """
        super().__init__("", **kept)
        self._environment, self._is_read_only = environment, is_read_only

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *(("--read-only",) if self._is_read_only else ()),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env={**self._build_environment(*within(width, height)), "TEXTUAL_FPS": FPS},
            # What a terminal sends to all of its processes is for the server, which tells each in order.
            start_new_session=True,
        )
        self._process, self._stdin = process, process.stdin
        return process

    def _build_environment(self, width: int = 80, height: int = 24) -> dict[str, str]:
        of_library: dict[str, str] = super()._build_environment(width, height)
        added = {name: value for name, value in of_library.items() if name.startswith(("TEXTUAL_", "TERM_PROGRAM"))}
        return {**self._environment, **added, "COLUMNS": str(width), "ROWS": str(height)}

    async def set_terminal_size(self, width: int, height: int) -> None:
        """Tells the console how large its page is."""
        await super().set_terminal_size(*within(width, height))

    async def stop(self) -> None:
        """Asks the console to leave, and ends it where it does not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ENDS_WITHIN_S):
                await super().stop()
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await process.wait()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def within(width: int, height: int) -> tuple[int, int]:
    """A size that a page may have."""
    return min(max(width, 20), LARGEST[0]), min(max(height, 5), LARGEST[1])


def environment_of(environ: Mapping[str, str], *, url: str, context: str | None, actor: str) -> dict[str, str]:
    """What tells a console its broker: never its command line, which everybody on the machine can read."""
    kept = {name: value for name, value in environ.items() if name not in ("TQ_URL", "TQ_CONTEXT", "TQ_WEB_TOKEN")}
    return {**kept, **({"TQ_CONTEXT": context} if context else {"TQ_URL": url}), "TQ_ACTOR": actor}
