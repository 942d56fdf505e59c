"""The command `tq-worker` from its first moment: Ctrl-C while it loads ends it without a word.

SIGINT stays as in a C program until the node takes it over; there is nothing to give back before.
"""

from __future__ import annotations

import gc
import signal


def main() -> None:
    """Runs the command `tq-worker`."""
    # Where it is ignored, as below nohup or `&` in a script, it stays so.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # What is imported stays: the collector would look at it again and again, and find nothing. A node enables it.
    gc.disable()
    from tq_worker.cli import main as run

    run()
