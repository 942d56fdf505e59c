"""Which queues a node serves, and how much of its time each gets: `mail:3,reports:1`."""

from __future__ import annotations

import re
from typing import NamedTuple

from tq_core import names
from tq_core.errors import InvalidInputError

MAX_WEIGHT = 1000
_WEIGHT = re.compile(r"[0-9]{1,4}", re.ASCII)


class QueueShares(NamedTuple):
    """Queues in the order in which they were named, and the weights of those that were given one."""

    queues: tuple[str, ...]
    weights: dict[str, int]


def parse_queues(text: str) -> QueueShares:
    """Reads `A,B,...` or `A:3,B:1,...`; a queue without a weight has 1. No queue's name holds a colon.

    Raises:
        InvalidInputError: it names none, or one that cannot be a queue, a weight that is none, or two for one queue.
    """
    queues: list[str] = []
    weights: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, colon, said = (piece.strip() for piece in part.partition(":"))
        names.check_queue(name)
        weight = int(said) if _WEIGHT.fullmatch(said) else 0
        if colon and not 1 <= weight <= MAX_WEIGHT:
            raise InvalidInputError(
                f"{said!r} cannot be the weight of the queue {name!r}: use a whole number from 1 to {MAX_WEIGHT}, "
                f"as in {name}:3"
            )
        if name in queues and weights.get(name, 1) != (weight or 1):
            raise InvalidInputError(f"the queue {name!r} is named twice, with different weights: name it once")
        if name not in queues:
            queues.append(name)
        if colon:
            weights[name] = weight
    if not queues:
        raise InvalidInputError("name at least one queue")
    return QueueShares(tuple(queues), weights)
