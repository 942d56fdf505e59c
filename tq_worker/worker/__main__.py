"""Entry of a worker process: `python -m tq_worker.worker --channel FD --board FD WORKER_ID`. Started by a supervisor."""

from __future__ import annotations

import signal

signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; it is meant for the supervisor

import sys  # noqa: E402

from tq_worker.worker.entry import run_worker  # noqa: E402

if __name__ == "__main__":
    run_worker(sys.argv[1:])
