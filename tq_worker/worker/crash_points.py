"""Places where a test can have the process die as if the power had failed.

TQ_CRASH_AT=POINT[:FILE] with POINT one of POINTS. With a FILE it happens once: who makes the file dies.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

POINTS = ("after_claim", "in_handler", "before_ack", "after_ack")


def _read() -> tuple[str, str]:
    point, _, file = os.environ.get("TQ_CRASH_AT", "").partition(":")
    return (point, file) if point in POINTS else ("", "")


_point, _file = _read()


def reach(point: str) -> None:
    """Dies here when this is the place."""
    if point != _point:
        return
    if _file:
        try:
            Path(_file).touch(exist_ok=False)
        except FileExistsError:
            return
    os.kill(os.getpid(), signal.SIGKILL)
