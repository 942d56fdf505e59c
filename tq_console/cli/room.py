"""Says that a command waits for room in a full queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tq_core.errors import QueueFullError

if TYPE_CHECKING:
    from tq_console.cli.invocation import Invocation


def room_waits(invocation: Invocation, wait_for_room_s: float | None) -> Callable[[QueueFullError], None]:
    """What says on stderr that a full queue is waited for."""

    def tell(full: QueueFullError) -> None:
        invocation.out.talk(
            f"tq: {full.queue!r} holds {full.depth:,} of at most {full.max_size:,} waiting tasks: "
            f"waiting up to {wait_for_room_s:g} s for room"
        )

    return tell
