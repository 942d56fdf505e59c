"""What a producer is told before anything is sent."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tq_core.errors import InvalidInputError, PayloadTooLargeError
from tq_core.model import TaskOptions
from tq_core.roles import producer
from tq_core.roles.producer import encode_payload, new_task

ARGS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
    max_size=5,
)


@given(ARGS)
def test_arguments_are_read_back_from_their_payload(args: dict[str, Any]) -> None:
    payload = encode_payload(args)

    assert msgspec.json.decode(payload) == args
    assert encode_payload(payload) == payload


@pytest.mark.parametrize(
    "args",
    [
        [],
        "text",
        5,
        None,
        b"[]",
        b"5",
        b"",
        b"{",
        b"\xff",
        b'{"a":1}x',
        b'{"a":"\xff"}',
        {"a": object()},
        {"a": "\ud800"},
        {"\ud800": 1},
    ],
)
def test_what_is_no_json_object_is_refused(args: Any) -> None:
    with pytest.raises(InvalidInputError):
        new_task("work", args)


def test_nested_and_cyclic_arguments_are_refused_not_crashed_on() -> None:
    cyclic: dict[str, Any] = {}
    cyclic["self"] = cyclic
    with pytest.raises(InvalidInputError):
        new_task("work", cyclic)
    with pytest.raises(InvalidInputError):
        new_task("work", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


def test_the_limit_of_a_payload_is_exact_and_named() -> None:
    fits = {"a": "x" * 92}
    assert len(encode_payload(fits, max_bytes=100)) == 100
    with pytest.raises(PayloadTooLargeError, match="take 101 bytes, the limit is 100"):
        encode_payload({"a": "x" * 93}, max_bytes=100)
    with pytest.raises(PayloadTooLargeError):
        encode_payload(b"x" * 101, max_bytes=100)
    with pytest.raises(PayloadTooLargeError):
        new_task("work", {"a": "x" * producer.MAX_PAYLOAD_BYTES})


@pytest.mark.parametrize(
    "options",
    [
        {"priority": "urgent"},
        {"priority": 256},
        {"delay_s": -1},
        {"delay_s": math.nan},
        {"delay_s": math.inf},
        {"delay_s": 1e12},
        {"at_ms": -1},
        {"at_ms": 2**52},
        {"max_attempts": 0},
        {"max_attempts": 1001},
        {"max_attempts": True},
        {"unique_key": ""},
        {"unique_key": "x" * 201},
        {"unique_key": "\ud800"},
        {"options": TaskOptions(timeout_s=0)},
        {"options": TaskOptions(timeout_s=-5)},
        {"options": TaskOptions(timeout_s=math.nan)},
        {"options": TaskOptions(timeout_s=math.inf)},
    ],
    ids=str,
)
def test_an_option_that_is_not_allowed_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        new_task("work", {}, **options)


def test_a_bad_type_name_or_task_name_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        new_task("no type", {})
    with pytest.raises(InvalidInputError):
        next(producer.enqueue("mail", [new_task("work", {}, name="a b")], number=1))
    with pytest.raises(InvalidInputError):
        next(producer.enqueue("no queue", [new_task("work", {})]))


def test_a_delay_is_kept_in_whole_milliseconds() -> None:
    assert new_task("work", {}, delay_s=0.0015).delay_ms == 2
    assert new_task("work", {}, delay_s=1.5).delay_ms == 1500
