"""States, priorities and the retry policy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tq_core.errors import InvalidInputError
from tq_core.model import (
    PRIORITIES,
    TERMINAL_STATES,
    WAITING_STATES,
    RetryPolicy,
    TaskState,
    parse_priority,
    priority_label,
)


def test_every_state_is_waiting_running_or_ended() -> None:
    assert set(TaskState) == WAITING_STATES | TERMINAL_STATES | {TaskState.RUNNING}
    assert [s for s in TaskState if s.is_terminal] == [TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED]


@pytest.mark.parametrize(("value", "number"), [*PRIORITIES.items(), (0, 0), (255, 255), ("7", 7), ("00255", 255)])
def test_a_priority_has_a_name_or_a_number(value: str | int, number: int) -> None:
    assert parse_priority(value) == number


@pytest.mark.parametrize(
    "value", [-1, 256, "256", "-1", "urgent", "", " 7", "\uff17", "1.5", True, False, 1.5, None, "9" * 5000]
)
def test_what_is_no_priority_is_refused_with_what_is(value: object) -> None:
    with pytest.raises(InvalidInputError, match="use critical, high, normal, low or an integer from 0"):
        parse_priority(value)  # type: ignore[arg-type]


@given(st.integers(0, 255))
def test_a_priority_is_read_back_from_its_label(number: int) -> None:
    assert parse_priority(priority_label(number)) == number


@given(
    st.builds(
        RetryPolicy,
        initial_delay_s=st.floats(0, 1000),
        multiplier=st.floats(1, 1000),
        max_delay_s=st.floats(0, 31_536_000),
    ),
    st.integers(1, 1000),
    st.floats(0, 1, exclude_max=True),
)
def test_a_delay_lies_in_the_upper_half_of_its_limit(policy: RetryPolicy, attempt: int, sample: float) -> None:
    delay = policy.delay_ms(attempt, sample)

    assert 0 <= delay <= policy.max_delay_s * 1000 + 1
    lowest, highest = policy.delay_ms(attempt, 0.0), policy.delay_ms(attempt, 1.0)
    assert lowest <= delay <= highest
    assert abs(highest - 2 * lowest) <= 2


def test_delays_double_up_to_the_limit() -> None:
    policy = RetryPolicy(initial_delay_s=5, multiplier=2, max_delay_s=60)

    assert [policy.delay_ms(n, 1.0) for n in range(1, 7)] == [5000, 10_000, 20_000, 40_000, 60_000, 60_000]
    assert [policy.delay_ms(n, 0.0) for n in range(1, 4)] == [2500, 5000, 10_000]
    assert policy.delay_ms(1000, 1.0) == 60_000


def test_delays_are_spread() -> None:
    assert len({RetryPolicy().delay_ms(3) for _ in range(50)}) > 10


@pytest.mark.parametrize(
    "values",
    [
        {"max_attempts": 0},
        {"max_attempts": 1001},
        {"initial_delay_s": -1},
        {"max_delay_s": 1e9},
        {"multiplier": 0.5},
        {"multiplier": 1001},
        {"initial_delay_s": float("nan")},
        {"multiplier": float("nan")},
        {"max_delay_s": float("inf")},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError):
        RetryPolicy(**values)  # type: ignore[arg-type]
