"""What has just happened, as the part of a question: only what is new since the last answer is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tq_core.roles import events
from tq_core.roles.events import Event
from tq_core.transport.steps import Flow

FEW_QUEUES, EACH, EACH_OF_MANY = 20, 20, 3
"""Up to so many queues, the last so many events of each are read a refresh; of more queues fewer."""


@dataclass(frozen=True, slots=True)
class EventsPart:
    """The events after those that are known."""

    cursors: tuple[tuple[str, str], ...] = ()
    """Of each stream the last entry that is known."""

    def flow(self, queues: Sequence[str]) -> Flow[tuple[list[Event], dict[str, str]]]:
        """Asks in one round trip."""
        each = EACH if len(queues) <= FEW_QUEUES else EACH_OF_MANY
        return events.since(dict(self.cursors), queues, limit=each)


class RecentEvents:
    """The last events, put together from answer to answer."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._cursors: dict[str, str] = {}
        self.events: list[Event] = []
        """The newest last."""

    @property
    def part(self) -> EventsPart:
        """What to ask for next."""
        return EventsPart(tuple(self._cursors.items()))

    def accept(self, answer: tuple[list[Event], dict[str, str]]) -> None:
        """Takes an answer; one that comes twice adds nothing twice."""
        found, cursors = answer
        known = {(event.queue, event.cursor) for event in self.events}
        new = [event for event in found if (event.queue, event.cursor) not in known]
        self.events = sorted([*self.events, *new], key=events.order)[-self._kept :]
        self._cursors |= cursors
