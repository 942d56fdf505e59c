"""What is left to do when the terminal that a program was started from has been closed."""

from __future__ import annotations

import errno
import os


def let_go_of_a_closed_terminal() -> None:
    """Has what is printed from now on go nowhere, where it went to a terminal that is gone.

    Each write to it would fail, and a handler that only prints something would fail with it.
    """
    import termios

    for stream in (1, 2):
        try:
            termios.tcgetattr(stream)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream)
                os.close(nowhere)
