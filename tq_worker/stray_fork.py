"""The end of a process that a handler has forked and that comes back out of the handler.

It is a copy of ours, in the middle of our work: it would tell the end of the task a second time, or wait for ever for
the next one while whoever forked it waits for it.
"""

from __future__ import annotations

import contextlib
import os
import sys


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
