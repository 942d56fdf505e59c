"""What became of tasks, waiting to be told to the broker; kept until it is.

Successes are put together, one call a queue. Everything here may be sent twice: the token makes the second time do
nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tq_core.roles import consumer
from tq_core.transport.steps import Flow
from tq_worker.worker.run import Run

MAX_ACKS = 100
"""Acknowledgements in one script call: more would hold up the server."""
MAX_ACK_CALLS = 12
"""Such calls for a queue in one round trip. They must carry as many tasks as a round trip can bring (1,100): else what
has ended and is not recorded grows for as long as there is a backlog."""
MAX_OTHERS = 50


class Delivery(NamedTuple):
    """One thing to tell: a flow that can be run again and again until it gets through."""

    flow: Callable[[], Flow[Any]]
    told: Callable[[Any], None]
    """Gets the flow's result."""
    runs: Sequence[Run]


def _nobody(_run: Run, _word: str) -> None:
    """Listens until somebody does."""


class Outbox:
    """The queue of what is to be told, in order."""

    def __init__(self) -> None:
        self._acks: dict[str, list[tuple[Run, consumer.Ack]]] = {}
        self._others: deque[Delivery] = deque()
        self.changed = asyncio.Event()
        self.recorded: Callable[[Run, str], None] = _nobody
        """Gets each success with the broker's word: K, S or G."""

    def __bool__(self) -> bool:
        return bool(self._acks or self._others)

    def ack(self, run: Run, ack: consumer.Ack) -> None:
        """Adds a success."""
        acks = self._acks.get(run.task.queue)
        if acks is None:
            acks = self._acks[run.task.queue] = []
        acks.append((run, ack))
        self.changed.set()

    def add(self, delivery: Delivery) -> None:
        """Adds anything else."""
        self._others.append(delivery)
        self.changed.set()

    def take(self) -> list[Delivery]:
        """As much as one round trip should carry."""
        out: list[Delivery] = []
        for queue, acks in list(self._acks.items()):
            calls = min(MAX_ACK_CALLS, -(-len(acks) // MAX_ACKS))
            out += [self._completion(queue, acks[n * MAX_ACKS : (n + 1) * MAX_ACKS]) for n in range(calls)]
            if left := acks[calls * MAX_ACKS :]:
                self._acks[queue] = left
            else:
                del self._acks[queue]
        for _ in range(min(len(self._others), MAX_OTHERS)):
            out.append(self._others.popleft())
        return out

    def put_back(self, deliveries: Sequence[Delivery]) -> None:
        """Keeps what did not get through."""
        self._others.extendleft(reversed(deliveries))

    def _completion(self, queue: str, pairs: list[tuple[Run, consumer.Ack]]) -> Delivery:
        acks = [ack for _, ack in pairs]

        def told(words: list[str]) -> None:
            for (run, _), word in zip(pairs, words, strict=True):
                self.recorded(run, word)

        return Delivery(lambda: consumer.complete(queue, acks), told, [run for run, _ in pairs])
