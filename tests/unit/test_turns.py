"""Whose turn it is among queues, and what `--queues` may say."""

from __future__ import annotations

import collections
import random

import pytest

from tq_core.errors import InvalidInputError
from tq_worker.queue_shares import parse_queues
from tq_worker.worker.turns import Turns


def taken(turns: Turns, ripe: set[str], claims: int, sizes: random.Random | None = None) -> collections.Counter[str]:
    """How many tasks each queue gives in so many claims, while all of them have more than anybody can take."""
    counts: collections.Counter[str] = collections.Counter()
    for _ in range(claims):
        queue = turns.next(ripe)
        assert queue is not None
        size = sizes.randint(1, 50) if sizes else 1
        turns.took(queue, size)
        counts[queue] += size
    return counts


def test_shares_are_kept_in_tasks_whatever_a_claim_brings() -> None:
    turns = Turns(("a", "b", "c"), {"a": 3, "b": 2}, is_strict=False)

    counts = taken(turns, {"a", "b", "c"}, 3000, random.Random(1))

    total = counts.total()
    assert counts["a"] / total == pytest.approx(3 / 6, abs=0.01)
    assert counts["b"] / total == pytest.approx(2 / 6, abs=0.01)
    assert counts["c"] / total == pytest.approx(1 / 6, abs=0.01)


def test_turns_are_smooth_and_equal_without_weights() -> None:
    turns = Turns(("a", "b"), {}, is_strict=False)
    assert [next(iter(taken(turns, {"a", "b"}, 1))) for _ in range(6)] == ["a", "b", "a", "b", "a", "b"]

    turns = Turns(("a", "b"), {"a": 1000}, is_strict=False)
    assert taken(turns, {"a", "b"}, 1001)["b"] == 1


def test_a_queue_that_was_empty_makes_up_for_nothing() -> None:
    turns = Turns(("a", "b"), {}, is_strict=False)
    taken(turns, {"a"}, 500)

    assert taken(turns, {"a", "b"}, 10) == {"a": 5, "b": 5}
    assert turns.next(set()) is None


def test_a_claim_takes_not_all_from_one_queue_while_others_have_tasks_too() -> None:
    turns = Turns(("a", "b"), {"a": 3}, is_strict=False)

    assert [turns.portion({"a", "b"}, wanted) for wanted in (1, 16, 100)] == [1, 16, 16]
    assert turns.portion({"b"}, 100) == 100
    assert Turns(("a", "b"), {}, is_strict=True).portion({"a", "b"}, 100) == 100


def test_strict_order_gives_the_first_queue_all_that_it_has() -> None:
    turns = Turns(("b", "a"), {}, is_strict=True)

    assert taken(turns, {"a", "b"}, 5) == {"b": 5}
    assert turns.next({"a"}) == "a"


def test_queues_are_read_with_their_shares() -> None:
    assert parse_queues(" a:3, b ,c.d-e_f:1 ,,b") == (("a", "b", "c.d-e_f"), {"a": 3, "c.d-e_f": 1})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "at least one"),
        (" , ", "at least one"),
        ("a:", "weight of the queue 'a'"),
        ("a:0", "from 1 to 1000"),
        ("a:1001", "from 1 to 1000"),
        ("a:-1", "from 1 to 1000"),
        ("a:1.5", "from 1 to 1000"),
        ("a:nan", "from 1 to 1000"),
        ("a:٣", "from 1 to 1000"),
        ("a:" + "9" * 5000, "from 1 to 1000"),
        ("a:1:2", "from 1 to 1000"),
        (":3", "cannot be a queue"),
        ("a b:3", "cannot be a queue"),
        ("a:3,a:2", "named twice"),
        ("a:3,a", "named twice"),
    ],
)
def test_what_is_no_list_of_queues_is_refused_with_why(text: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        parse_queues(text)
