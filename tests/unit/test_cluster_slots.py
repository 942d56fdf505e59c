"""Which node gets what, by a map that a node told."""

from __future__ import annotations

import pytest
import redis.exceptions as redis_errors

from tq_core.keyspace import keys
from tq_core.transport.cluster_slots import Place, SlotMap, by_slot, judged, key_of, slot_of

A, B, SEED = Place("a", 1), Place("b", 2), Place("seed", 3)


def told(*ranges: tuple[int, int, bytes | None, int]) -> list[object]:
    return [[first, last, [host, port, b"id"], [b"replica", 9, b"id"]] for first, last, host, port in ranges]


def test_a_queue_is_in_one_slot_and_a_command_goes_where_its_key_is() -> None:
    prefix = keys.queue_prefix("mail")
    assert slot_of(prefix) == slot_of(prefix + "wake") == slot_of(b"mail")
    assert key_of(("EVALSHA", "sha", 1, prefix, "")) == prefix
    assert key_of(("XREVRANGE", prefix + "events", "+", "-")) == prefix + "events"
    assert key_of(("XREAD", "COUNT", 1, "BLOCK", 1, "STREAMS", "k", "0-0")) == "k"
    assert {key_of((word,)) for word in ("INFO", "TIME", "PING")} == {keys.FLEET}


def test_waiting_commands_are_cut_by_slot_and_keep_what_belongs_together() -> None:
    assert by_slot(("BZPOPMIN", "{a}1", "{b}1", "{a}2", 5)) == [
        ["BZPOPMIN", "{a}1", "{a}2", 5],
        ["BZPOPMIN", "{b}1", 5],
    ]
    assert by_slot(("XREAD", "BLOCK", 1, "STREAMS", "{a}1", "{b}1", "{a}2", "7", "8", "9")) == [
        ["XREAD", "BLOCK", 1, "STREAMS", "{a}1", "{a}2", "7", "9"],
        ["XREAD", "BLOCK", 1, "STREAMS", "{b}1", "8"],
    ]


def test_a_node_that_does_not_know_its_own_address_is_the_one_that_was_asked() -> None:
    slots = SlotMap([SEED])
    assert (slots.is_known(), slots.places()) == (False, [SEED])
    slots.learn(told((8001, 16383, b"b", 2), (0, 8000, None, 1)), A)

    assert slots.is_known()
    assert slots.primaries() == [Place("a", 1), B]
    assert slots.place("{mail}") == (A if slot_of("{mail}") <= 8000 else B)
    assert set(slots.places()) == {A, B, SEED}
    slots.doubt()
    assert not slots.is_known()


def test_a_slot_that_nobody_serves_is_said_to_be_down() -> None:
    slots = SlotMap([SEED])
    slot = slot_of("{mail}")
    slots.learn(told((0, slot - 1, b"a", 1), (slot + 1, 16383, b"b", 2)), A)
    with pytest.raises(redis_errors.ClusterDownError):
        slots.place("{mail}")


def test_redirections_that_are_not_followed_mean_not_now() -> None:
    for error in (redis_errors.MovedError("7 h:1"), redis_errors.AskError("7 h:1")):
        assert isinstance(judged(error), redis_errors.TryAgainError)
    other = redis_errors.ResponseError("x")
    assert judged(other) is other
