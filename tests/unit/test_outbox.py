"""What one round trip tells the broker: all that has ended, in calls of a size that holds up nobody."""

from __future__ import annotations

import types
from typing import Any

from tq_worker.worker.outbox import MAX_ACK_CALLS, MAX_ACKS, Outbox


def put(outbox: Outbox, queue: str, count: int) -> None:
    for n in range(count):
        run: Any = types.SimpleNamespace(task=types.SimpleNamespace(queue=queue), number=n)
        ack: Any = n
        outbox.ack(run, ack)


def sizes(outbox: Outbox) -> list[tuple[str, int]]:
    return [(delivery.runs[0].task.queue, len(delivery.runs)) for delivery in outbox.take()]


def test_all_that_a_round_trip_can_bring_goes_with_the_next_one() -> None:
    outbox = Outbox()
    put(outbox, "mail", 1_100)
    put(outbox, "rare", 1)

    assert sizes(outbox) == [("mail", MAX_ACKS)] * 11 + [("rare", 1)]
    assert not outbox


def test_what_a_long_outage_has_left_goes_in_portions_and_in_order() -> None:
    outbox = Outbox()
    put(outbox, "mail", MAX_ACKS * MAX_ACK_CALLS + 1)
    numbers = [run.number for delivery in outbox.take() for run in delivery.runs]  # type: ignore[attr-defined]

    assert numbers == list(range(MAX_ACKS * MAX_ACK_CALLS))
    put(outbox, "rare", 1)
    assert sizes(outbox) == [("mail", 1), ("rare", 1)]
