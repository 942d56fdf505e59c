"""The log as far as it has been read: from the present back, and further back when that is looked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import merge

from tq_core.roles.log import Entry, Part, Stream, Want, streams

FIRST, NEW, OLDER = 400, 400, 600
"""Entries that are asked for at once, of all streams together: at the start, since the last time, further back."""
LEAST = 5
"""Of each stream, though."""
KEPT = 5_000
"""So many are kept while the newest are followed."""
HELD = 10_000
"""Beyond so many nothing more is read, until the newest are followed again."""


@dataclass(slots=True)
class _Read:
    """What is known of one stream."""

    entries: list[Entry] = field(default_factory=list)
    """The newest first."""
    newest: str = ""
    oldest: str = ""
    since: tuple[int, int] = (0, 0)
    """From here on nothing of it is missing."""
    is_whole: bool = False
    """Whether nothing is left further back."""


class LogBook:
    """Entries of all streams, in the order in which they were written."""

    def __init__(self) -> None:
        self._reads: dict[Stream, _Read] = {}
        self._order: list[Entry] | None = None
        self.is_held = False
        """Whether so much is kept that nothing new is read."""

    @property
    def entries(self) -> list[Entry]:
        """The newest first; those that are too far back for all streams to have been read that far are left out."""
        if self._order is None:
            since = self.since
            runs = [read.entries for read in self._reads.values()]
            ordered = merge(*runs, key=lambda entry: entry.at, reverse=True)
            self._order = [entry for entry in ordered if entry.at >= since]
        return self._order

    @property
    def since(self) -> tuple[int, int]:
        """From here on nothing is missing."""
        return max((read.since for read in self._reads.values() if not read.is_whole), default=(0, 0))

    @property
    def is_whole(self) -> bool:
        """Whether everything that the streams keep has been read."""
        return bool(self._reads) and all(read.is_whole for read in self._reads.values())

    @property
    def read_count(self) -> int:
        """Entries that are kept."""
        return sum(len(read.entries) for read in self._reads.values())

    def wanted(self, queues: Sequence[str], *, is_older: bool = False, is_following: bool = True) -> tuple[Want, ...]:
        """What to read next.

        Args:
            is_older: Further back, too.
            is_following: Whether the newest are looked at: then old ones are forgotten, else all are kept up to HELD.
        """
        there = streams(queues)
        for stream in set(self._reads) - set(there):
            del self._reads[stream]
            self._order = None
        self.is_held = not is_following and self.read_count >= HELD
        wants = []
        for stream in there:
            read = self._reads.get(stream)
            if read is None:
                wants.append(Want(stream, _share(FIRST, there)))
                continue
            if not self.is_held:
                wants.append(Want(stream, _share(NEW, there), after=read.newest))
            if is_older and not read.is_whole:
                wants.append(Want(stream, _share(OLDER, there), before=read.oldest))
        return tuple(wants)

    def accept(self, parts: Iterable[Part], *, is_following: bool = True) -> int:
        """Takes what was read; returns how many entries are new at the top."""
        new = 0
        for part in parts:
            read = self._reads.get(part.want.stream)
            if part.want.before:
                if read is not None and part.want.before == read.oldest:
                    self._append(read, part)
            elif read is None or part.want.after == read.newest:
                new += len(part.entries) if read is not None else 0
                self._reads[part.want.stream] = self._with_new(read, part)
        if is_following:
            self._forget()
        return new

    def _append(self, read: _Read, part: Part) -> None:
        read.entries += part.entries
        read.is_whole = part.is_all
        if part.entries:
            read.oldest, read.since = part.entries[-1].cursor, part.entries[-1].at
        self._order = None

    def _with_new(self, read: _Read | None, part: Part) -> _Read:
        found = list(part.entries)
        if read is not None and not found:
            return read
        self._order = None
        if read is not None and part.is_all:
            oldest = read.oldest or found[-1].cursor
            return _Read([*found, *read.entries], found[0].cursor, oldest, read.since, read.is_whole)
        # Where more has happened than was read, what is older does not follow on it and is read anew when looked for.
        if not found:
            return _Read(is_whole=True)
        return _Read(found, found[0].cursor, found[-1].cursor, found[-1].at, part.is_all)

    def _forget(self) -> None:
        if self.read_count <= KEPT:
            return
        last = self.entries[min(KEPT, len(self.entries)) - 1].at
        for read in self._reads.values():
            keep = [entry for entry in read.entries if entry.at >= last] or read.entries[:1]
            if len(keep) < len(read.entries):
                read.entries, read.oldest, read.is_whole = keep, keep[-1].cursor, False
                read.since = min(last, keep[-1].at)
        self._order = None


def _share(most: int, there: Sequence[Stream]) -> int:
    return max(LEAST, most // max(1, len(there)))
