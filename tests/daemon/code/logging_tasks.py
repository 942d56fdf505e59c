"""Tasks that use Python's own logging, as a library would: nothing is set up here."""

# A handler that waits for a file is what is tested.
# ruff: noqa: ASYNC110, ASYNC240

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from tq_core import RetryPolicy, TaskQueue, current_context

tq = TaskQueue()
once = RetryPolicy(max_attempts=1)
_trace = os.open(os.environ["TRACE_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
logger = logging.getLogger("shop.mail")


@tq.task(retry=once)
async def log_async(word: str) -> list[str]:
    """Returns which variables of a service manager it sees."""
    logger.info("async %s", word, extra={"order": 7, "odd": object})
    logger.debug("not shown")
    return sorted(name for name in os.environ if name.startswith(("NOTIFY_", "WATCHDOG_")))


@tq.task(retry=once)
def log_plain(word: str) -> None:
    try:
        int(f"{word} \x1b[31m \udc80")
    except ValueError:
        logger.exception("plain %s", word)


@tq.task(retry=once)
async def wait_for(path: str) -> None:
    os.write(_trace, f"start {current_context().task_id} {os.getpid()}\n".encode())  # type: ignore[union-attr]
    while not Path(path).exists():
        await asyncio.sleep(0.01)


@tq.task(retry=once, isolate=True)
def log_isolated(word: str) -> None:
    logger.info("isolated %s", word)
