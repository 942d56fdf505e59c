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
import threading

_masks = threading.local()


def let_forks_be_terminated() -> None:
    """Has SIGTERM end what is forked from this process from now on, without a word to this one."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_hold_signals, after_in_parent=_let_signals_come, after_in_child=_be_nobody)


def _hold_signals() -> None:
    # One that comes before the child is nobody would be noted for our own handler, and forgotten.
    _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _let_signals_come() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.before)


def _be_nobody() -> None:
    with contextlib.suppress(ValueError):
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _let_signals_come()


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
