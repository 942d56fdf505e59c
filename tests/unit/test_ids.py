"""Task ids: what they carry, and what is none."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tq_core import ids, names
from tq_core.errors import InvalidInputError

NAMES = st.from_regex(names.CHOSEN_ID, fullmatch=True)
QUEUES = st.from_regex(names.QUEUE, fullmatch=True)


@given(st.integers(0, ids.MAX_QUEUE_NUMBER), st.integers(1, 20))
def test_a_generated_id_carries_its_queue_and_its_time(number: int, count: int) -> None:
    before_ms = time.time_ns() // 1_000_000
    made = ids.new_ids(number, count)
    after_ms = time.time_ns() // 1_000_000

    assert len(set(made)) == len(made) == count
    for task_id in made:
        assert len(task_id) == 26
        assert task_id == task_id.lower()
        assert ids.home_of(task_id) == number
        created = ids.created_at_ms(task_id)
        assert created is not None
        assert before_ms <= created <= after_ms


def test_a_generated_id_is_a_ulid() -> None:
    """By the specification's own alphabet, most significant character first."""
    (task_id,) = ids.new_ids(0xABCD, 1)
    value = 0
    for character in task_id.upper():
        value = value * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(character)

    assert value < 2**128
    assert value >> 64 & 0xFFFF == 0xABCD
    assert value >> 80 == ids.created_at_ms(task_id)


def test_ids_of_later_milliseconds_sort_after_earlier_ones() -> None:
    (first,) = ids.new_ids(65_535, 1)
    begun = ids.created_at_ms(first)
    while ids.created_at_ms((later := ids.new_ids(0, 1))[0]) == begun:
        pass
    assert first < later[0]


def test_many_ids_are_all_different() -> None:
    assert len(set(ids.new_ids(1, 100_000))) == 100_000


@given(NAMES, QUEUES)
def test_a_chosen_id_says_its_queue(name: str, queue: str) -> None:
    task_id = ids.chosen_id(name, queue)

    assert task_id == f"{name}@{queue}"
    assert ids.home_of(task_id) == queue
    assert ids.chosen_id(task_id, queue) == task_id
    assert ids.created_at_ms(task_id) is None


def test_a_chosen_id_for_another_queue_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="belongs to the queue 'mail', but the task goes to 'sms'"):
        ids.chosen_id("report@mail", "sms")


@pytest.mark.parametrize("name", ["", "a b", "a|b", "a" * 101, "ä", "a\n", "a/b", "a:b", "@", "a@", "{x}", "a\x00"])
def test_a_name_that_an_id_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError):
        ids.chosen_id(name, "mail")


NO_IDS = [
    "",
    "x",
    "a" * 25,
    "a" * 27,
    "u" * 26,
    "01JD7Q0V3K0A19C8X7V6B5N4M2",
    "0" * 25 + "\n",
    "@",
    "a@",
    "@b",
    "a b@c",
    "a@b@c",
    "a@-b",
    "a@b\n",
    "\u06f0" * 26,
]


@pytest.mark.parametrize("text", NO_IDS)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="is no task id"):
        ids.home_of(text)


@given(st.text(max_size=40))
def test_any_text_has_a_home_or_is_refused(text: str) -> None:
    try:
        home = ids.home_of(text)
    except InvalidInputError:
        return
    assert isinstance(home, int) or text.endswith(f"@{home}")
