"""Which node of a cluster serves what, and what its redirections mean.

redis-py's own client of a cluster sends again what failed, whatever it was: a claim that is sent twice orphans tasks.
Here a thing is sent again only where a node said that it did not do it, because the slot is another node's (MOVED).
A slot that is on its way (ASK) is waited for and never followed: half of a queue's keys are on either side, and a
script would see, and write, half a queue.
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import redis.exceptions as redis_errors
from redis.crc import key_slot

from tq_core.keyspace import keys

REDIRECTIONS_MAX = 5
XREAD_LINGER_S = 0.01
"""How much longer the other nodes are read once one had something: each has its own, and none may starve."""

_KEYLESS = frozenset({"ACL", "CLIENT", "CONFIG", "ECHO", "INFO", "LATENCY", "PING", "SLOWLOG", "TIME"})
BLOCKING = frozenset({"BLPOP", "BZPOPMIN", "XREAD"})
Args = Sequence[Any]
REPLY = (redis_errors.ResponseError, redis_errors.BusyLoadingError)
"""What a server answered with: the connection is as good as before."""


class Place(NamedTuple):
    """Where a node listens."""

    host: str
    port: int


def slot_of(key: str | bytes) -> int:
    """The slot of a key, by its hash tag where it has one."""
    return key_slot(key.encode() if isinstance(key, str) else key)


def key_of(args: Args) -> str | bytes:
    """The key by which a command finds its node; what has none goes where the fleet's keys are."""
    if args[0] == "EVALSHA":
        return args[3]  # type: ignore[no-any-return]
    if args[0] == "XREAD":
        return args[list(args).index("STREAMS") + 1]  # type: ignore[no-any-return]
    return keys.FLEET if args[0] in _KEYLESS else args[1]


def by_slot(args: Args) -> list[Args]:
    """A waiting command as one for each slot that its keys are in: no node waits for more than one."""
    slots: dict[int, list[int]] = {}
    if args[0] == "XREAD":
        first = list(args).index("STREAMS") + 1
        n = (len(args) - first) // 2
        for i in range(first, first + n):
            slots.setdefault(slot_of(args[i]), []).append(i)
        return [[*args[:first], *(args[i] for i in at), *(args[i + n] for i in at)] for at in slots.values()]
    for i in range(1, len(args) - 1):
        slots.setdefault(slot_of(args[i]), []).append(i)
    return [[args[0], *(args[i] for i in at), args[-1]] for at in slots.values()]


class SlotMap:
    """Which node serves which slot, as a node told."""

    def __init__(self, seeds: Sequence[Place]) -> None:
        self._seeds = tuple(seeds)
        self._ends: list[int] = []
        self._ranges: list[tuple[int, Place]] = []
        self._is_known = False

    def is_known(self) -> bool:
        """Whether nothing has happened that makes it doubtful."""
        return self._is_known

    def places(self) -> list[Place]:
        """Every node that is known, those named in the address last."""
        known = list(dict.fromkeys(place for _, place in self._ranges))
        random.shuffle(known)
        return [*known, *(seed for seed in self._seeds if seed not in known)]

    def primaries(self) -> list[Place]:
        """The nodes that serve slots."""
        return list(dict.fromkeys(place for _, place in self._ranges))

    def place(self, key: str | bytes) -> Place:
        """The node that serves a key.

        Raises:
            ClusterDownError: no node does.
        """
        slot = slot_of(key)
        at = bisect.bisect_left(self._ends, slot)
        if at == len(self._ends) or self._ranges[at][0] > slot:
            raise redis_errors.ClusterDownError(f"CLUSTERDOWN no node serves the slot {slot}")
        return self._ranges[at][1]

    def learn(self, reply: Iterable[Any], told_by: Place) -> None:
        """Takes over what a node answered to CLUSTER SLOTS."""
        ranges = []
        for first, last, primary, *_ in reply:
            host = primary[0].decode() if isinstance(primary[0], bytes) else primary[0]
            # A node that does not know its own address leaves it out: it is the one that was asked.
            ranges.append((int(last), int(first), Place(host if host and host != "?" else told_by.host, primary[1])))
        ranges.sort()
        self._ends = [last for last, _, _ in ranges]
        self._ranges = [(first, place) for _, first, place in ranges]
        self._is_known = True

    def doubt(self) -> None:
        """Asks again before the next thing is sent."""
        self._is_known = False


def judged(reply: Any) -> Any:
    """A reply as a runner understands it: what a redirection means is said in words that mean: not now."""
    if isinstance(reply, redis_errors.MovedError):
        return redis_errors.TryAgainError(f"TRYAGAIN the slot keeps moving ({reply})")
    if isinstance(reply, redis_errors.AskError):
        return redis_errors.TryAgainError(f"TRYAGAIN the slot is being moved to another node ({reply})")
    return reply


def is_moved(reply: Any) -> bool:
    return isinstance(reply, redis_errors.MovedError)


def makes_doubt(reply: Any) -> bool:
    """Whether the map may be old: the node is gone, or is no primary any more."""
    return isinstance(
        reply,
        (
            *(redis_errors.ConnectionError, redis_errors.TimeoutError, OSError),
            *(redis_errors.AskError, redis_errors.ClusterDownError, redis_errors.ReadOnlyError),
        ),
    )


def raised(reply: Any) -> Any:
    if isinstance(reply, Exception):
        raise reply
    return reply


def merged(found: Any, reply: Any) -> Any:
    return found + reply if isinstance(found, list) and isinstance(reply, list) and found and reply else found or reply
