"""Handlers that fork, and whose child comes back out of them."""

from __future__ import annotations

import multiprocessing
import os
import select
import sys

from tq_core import RetryPolicy, TaskQueue

tq = TaskQueue(os.environ["TQ_URL"])
once = RetryPolicy(max_attempts=1)


def fork(how: str) -> int:
    if how == "pool":
        with multiprocessing.get_context("fork").Pool(1) as pool:  # its end is a SIGTERM
            pool.apply_async(select.select, ([], [], [], 60))
            return 0
    pid = os.fork()
    if pid == 0:
        if how == "exits":
            sys.exit(7)
        if how == "fails":
            raise ValueError("in the child")
        return -1
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


tq.task(name="in_thread", retry=once, timeout_s=5)(fork)
tq.task(name="in_process", retry=once, timeout_s=5, isolate=True)(fork)


@tq.task(retry=once, timeout_s=5)
async def in_loop(how: str) -> int:
    return fork(how)
