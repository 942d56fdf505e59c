"""The slot board: which tasks a worker has begun, in memory that outlives it.

The worker writes a task down before its handler starts and wipes it off after its acknowledgement was recorded. When
the worker dies, the supervisor reads what is left: these tasks were running, all others that it held had not started.

    entry   1 byte state | 1 byte length of the id | 8 bytes started_at_ms | id          ENTRY_BYTES in all

The state byte is written last and wiped first, so that a death in between never shows half an entry.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from typing import NamedTuple

ENTRIES = 4096
ENTRY_BYTES = 192
_HEAD = struct.Struct("<xBq")
_MAX_ID_BYTES = ENTRY_BYTES - _HEAD.size

_FREE = 0
_IN_COMPANY = 1
_ALONE = 2


class Noted(NamedTuple):
    """One task on the board."""

    task_id: str
    started_at_ms: int
    is_alone: bool
    """It has a process of its own."""


def new_file() -> int:
    """Makes the memory of a board; returns a file descriptor, which a child may be given."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("tq-board")
    else:
        with tempfile.TemporaryFile(buffering=0) as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, ENTRIES * ENTRY_BYTES)
    return fd


class Board:
    """The worker's side."""

    def __init__(self, fd: int) -> None:
        self._memory = mmap.mmap(fd, ENTRIES * ENTRY_BYTES)
        self._free = list(range(ENTRIES - 1, -1, -1))

    @property
    def has_room(self) -> bool:
        return bool(self._free)

    def note(self, task_id: str, started_at_ms: int, *, is_alone: bool) -> int:
        """Writes a task down; returns its place. The caller sees to it that there is room."""
        place = self._free.pop()
        start = place * ENTRY_BYTES
        raw = task_id.encode()[:_MAX_ID_BYTES]
        text = _HEAD.pack(len(raw), started_at_ms) + raw
        self._memory[start + 1 : start + len(text)] = text[1:]
        self._memory[start] = _ALONE if is_alone else _IN_COMPANY
        return place

    def wipe(self, place: int) -> None:
        """Takes a task off."""
        self._memory[place * ENTRY_BYTES] = _FREE
        self._free.append(place)


def read(fd: int) -> list[Noted]:
    """What stands on a board whose worker is dead."""
    found = []
    with mmap.mmap(fd, ENTRIES * ENTRY_BYTES, access=mmap.ACCESS_READ) as memory:
        for start in range(0, ENTRIES * ENTRY_BYTES, ENTRY_BYTES):
            state = memory[start]
            if state != _FREE:
                length, started_at_ms = _HEAD.unpack_from(memory, start)
                first = start + _HEAD.size
                task_id = memory[first : first + length].decode("utf-8", "replace")
                found.append(Noted(task_id, started_at_ms, state == _ALONE))
    return found
