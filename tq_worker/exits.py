"""How a process ended, for people."""

from __future__ import annotations

import signal


def describe_exit(code: int) -> str:
    """How a process ended, for people: `was killed by SIGKILL`, `exited with code 1`."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
