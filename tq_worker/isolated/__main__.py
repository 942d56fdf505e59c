"""Entry of a process for isolated tasks: `python -m tq_worker.isolated FD WORKER_PID`. Started by a worker."""

from __future__ import annotations

import signal

# At once: what a terminal sends reaches all that was started from it.
signal.signal(signal.SIGINT, lambda *_: None)

import sys  # noqa: E402

from tq_worker.isolated.entry import run_isolated  # noqa: E402

if __name__ == "__main__":
    run_isolated(int(sys.argv[1]), int(sys.argv[2]))
