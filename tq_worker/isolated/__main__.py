"""Entry of a process for isolated tasks: `python -m tq_worker.isolated FD WORKER_PID`. Started by a worker."""

from __future__ import annotations

import signal

# Not SIG_IGN, which programs that a handler starts would inherit.
signal.signal(signal.SIGINT, lambda *_: None)

import faulthandler  # noqa: E402
import os  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402

from tq_worker.isolated.lifeline import die_with_parent  # noqa: E402
from tq_worker.isolated.zygote import serve  # noqa: E402

if __name__ == "__main__":
    die_with_parent(int(sys.argv[2]))
    # A terminal's or a service manager's signal to the whole group is for the supervisor; this one ends by EOF.
    signal.signal(signal.SIGTERM, lambda *_: None)
    # A task that takes its process down says where it was, and its log gets it.
    faulthandler.enable()
    os.set_inheritable(int(sys.argv[1]), False)
    serve(socket.socket(fileno=int(sys.argv[1])))
