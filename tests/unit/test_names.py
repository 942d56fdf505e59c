"""Names: what may be one, and unique keys that hold anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tq_core import names
from tq_core.errors import InvalidInputError


@pytest.mark.parametrize("name", ["a", "mail", "A.b-c_9", "0", "x" * 64])
def test_a_queues_name_is_accepted(name: str) -> None:
    assert names.check_queue(name) == name


@pytest.mark.parametrize(
    "name", ["", "-a", ".a", "_a", "a" * 65, "a b", "a\n", "{a}", "a|b", "a:b", "ä", "a/b", "\x00"]
)
def test_what_cannot_be_a_queue_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(InvalidInputError, match="use 1 to 64 letters"):
        names.check_queue(name)


@pytest.mark.parametrize("name", ["send", "_x", "app.tasks:send-mail", "a" * 128])
def test_a_task_types_name_is_accepted(name: str) -> None:
    assert names.check_task_type(name) == name


@pytest.mark.parametrize("name", ["", "1a", "a b", "a|b", "a\n", "a" * 129, "é", "a\x1b[0m"])
def test_what_cannot_be_a_task_type_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(InvalidInputError, match="use 1 to 128 letters"):
        names.check_task_type(name)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=16))
def test_a_unique_key_survives_its_encoding_and_holds_no_separator(key: str) -> None:
    encoded = names.encode_unique_key(key)

    assert encoded.isascii()
    assert encoded.isprintable()
    assert "|" not in encoded
    assert names.decode_unique_key(encoded) == key


@given(st.text(max_size=8), st.text(max_size=8))
def test_two_unique_keys_never_share_an_encoding(one: str, other: str) -> None:
    try:
        encoded = [names.encode_unique_key(key) for key in (one, other)]
    except InvalidInputError:
        return
    assert (encoded[0] == encoded[1]) == (one == other)


@pytest.mark.parametrize("key", ["", "x" * 201, "ü" * 34, "\ud800"])
def test_a_unique_key_that_is_empty_too_long_or_no_text_is_refused(key: str) -> None:
    with pytest.raises(InvalidInputError, match="unique key"):
        names.encode_unique_key(key)


def test_the_longest_unique_key_is_accepted() -> None:
    assert names.encode_unique_key("x" * 200) == "x" * 200


def test_the_nearest_names_come_best_first() -> None:
    assert names.nearest("mial", ["mail", "mails", "sms", "email"])[0] == "mail"
    assert names.nearest("zzz", ["mail"]) == ()
