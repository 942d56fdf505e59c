"""Entry of a worker that is a new interpreter; its supervisor starts it: `python -m tq_worker.worker ... ID`."""

from __future__ import annotations

import signal

# At once: what a terminal sends reaches all that was started from it and is meant for the supervisor.
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, for example
        signal.signal(number, lambda *_: None)

import argparse  # noqa: E402
import sys  # noqa: E402

from tq_worker.worker.entry import run_worker  # noqa: E402

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tq_worker.worker", description=__doc__)
    for name in ("--channel", "--board", "--dump"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("worker_id", help="for people who look at processes")
    given = parser.parse_args()
    sys.argv[1:] = []
    run_worker(channel=given.channel, board=given.board, dump=given.dump)
