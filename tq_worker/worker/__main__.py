"""Entry of a worker process; its supervisor starts it: `python -m tq_worker.worker --channel FD --board FD ID`."""

from __future__ import annotations

import signal

signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; it is meant for the supervisor

import sys  # noqa: E402

from tq_worker.worker.entry import run_worker  # noqa: E402

if __name__ == "__main__":
    run_worker(sys.argv[1:])
