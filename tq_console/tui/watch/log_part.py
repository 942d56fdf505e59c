"""Entries of the log, and which operations can be undone, as the part of a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tq_core.roles import log, undo
from tq_core.roles.log import Part, Want
from tq_core.roles.undo import Undoable
from tq_core.transport.steps import Flow
from tq_core.transport.together import together

UNDOABLE_MAX = 50
"""Operations a queue; older ones are undone with `tq undo`."""


@dataclass(frozen=True, slots=True)
class LogAnswer:
    """What was found."""

    parts: tuple[Part, ...]
    undoable: tuple[Undoable, ...]


@dataclass(frozen=True, slots=True)
class LogPart:
    """Which entries of which streams are to be read."""

    wants: tuple[Want, ...]

    def flow(self, queues: Sequence[str]) -> Flow[LogAnswer]:
        """Reads them, of queues that are still there."""
        there = {*queues, ""}
        flows: list[Flow[Any]] = [
            log.read([want for want in self.wants if want.stream.queue in there]),
            undo.undoable(queues, limit=UNDOABLE_MAX),
        ]
        parts, undoable = yield from together(flows)
        return LogAnswer(tuple(parts), tuple(undoable))
