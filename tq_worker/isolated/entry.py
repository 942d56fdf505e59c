"""From the first line of a process for isolated tasks to its last."""

from __future__ import annotations

import faulthandler
import os
import signal
import socket

from tq_worker.isolated.lifeline import die_with_parent, outlive_parent
from tq_worker.isolated.zygote import serve


def run_isolated(channel: int, parent_pid: int, *, is_fork: bool = False) -> None:
    """Runs tasks until the worker is gone.

    Args:
        channel: The line to the worker.
        parent_pid: Who has made this process: the worker, or the node's zygote.
        is_fork: Whether it was the zygote, which ends this process when the worker dies. The zygote's own death must
            cost no task; while the code is loaded, and hangs perhaps, nobody else would end this process.
    """
    die_with_parent(parent_pid)
    # A terminal's or a service manager's signal to the whole group is for the supervisor; this one ends by EOF.
    # Not SIG_IGN, which programs that a handler starts would inherit.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    # A task that takes its process down says where it was, and its log gets it.
    faulthandler.enable()
    os.set_inheritable(channel, False)
    serve(socket.socket(fileno=channel), loaded=outlive_parent if is_fork else lambda: None)
