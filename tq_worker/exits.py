"""How a process ended, for people."""

from __future__ import annotations

import signal
from typing import Final

DUMP_SIGNAL: Final = signal.SIGUSR2
"""Makes a worker write down its threads' stacks, even while its interpreter is held up."""

UNKNOWN_EXIT: Final = 256
"""In place of an exit code that nobody could tell; none is so large."""


def describe_exit(code: int) -> str:
    """How a process ended, for people: `was killed by SIGKILL`, `exited with code 1`."""
    if code == UNKNOWN_EXIT:
        return "ended with an unknown exit code"
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
