"""Which tasks were submitted from here lately: ids only, for what they were made of stays with the broker."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

KEPT = 30


@dataclass(frozen=True, slots=True)
class Recent:
    """One of them."""

    task_id: str
    task_type: str
    queue: str
    at_s: float
    """Since 1970, by the clock of this machine."""


class Submitted:
    """The latest, in a file of their own where there is one."""

    def __init__(self, file: Callable[[], Path] | None) -> None:
        """Reads nothing yet.

        Args:
            file: Says where they are kept, when that is first needed; None = they are forgotten with the console.
        """
        self._file = file
        self._known: list[Recent] | None = None

    def latest(self) -> list[Recent]:
        """The latest first; a file that cannot be read counts for nothing."""
        if self._known is None:
            self._known = []
            with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeError):
                if self._file is not None:
                    self._known = msgspec.json.decode(self._file().read_bytes(), type=list[Recent])[:KEPT]
        return list(self._known)

    def add(self, task_id: str, task_type: str, queue: str) -> None:
        """Remembers one; where the file cannot be written, until the console ends."""
        self._known = [Recent(task_id, task_type, queue, time.time()), *self.latest()][:KEPT]
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            path = self._file()
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_suffix(".new")
            beside.write_bytes(msgspec.json.encode(self._known))
            beside.replace(path)
