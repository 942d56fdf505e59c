"""Entry of a worker process; its supervisor starts it: `python -m tq_worker.worker ... ID`."""

from __future__ import annotations

import signal

# Ctrl-C reaches the whole terminal; it is meant for the supervisor. Not SIG_IGN, which programs that a handler starts
# would inherit.
signal.signal(signal.SIGINT, lambda *_: None)

import sys  # noqa: E402

from tq_worker.worker.entry import run_worker  # noqa: E402

if __name__ == "__main__":
    run_worker(sys.argv[1:])
