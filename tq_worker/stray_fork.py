"""Processes that a handler forks: copies of ours, which must not go on as if they were it.

One that comes back out of the handler would tell the end of the task a second time, or wait for ever for the next one
while whoever forked it waits for it. One that gets a SIGTERM, as those of `multiprocessing.Pool` do at its end, would
not end of it, and have our event loop told by the pipe that both share: a worker would begin to leave.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys


def let_forks_be_terminated() -> None:
    """Has SIGTERM end what is forked from this process from now on, without a word to this one."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_be_nobody)


def _be_nobody() -> None:
    with contextlib.suppress(ValueError):
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def end_stray_fork(own_pid: int, error: BaseException | None) -> None:
    """Ends this process unless it is the one in which the handler was called.

    Args:
        own_pid: That one.
        error: What the handler raised here; `sys.exit(CODE)` gives the exit code.
    """
    if os.getpid() == own_pid:
        return
    code: object = 0 if error is None else error.code if isinstance(error, SystemExit) else 1
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    os._exit(code & 0xFF if isinstance(code, int) else 0 if code is None else 1)
