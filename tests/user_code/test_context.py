"""What a handler can know and do about its own task."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest

from tq_core import TaskContext, current_context
from tq_core.errors import SoftTimeoutError, TaskInterruptedError
from tq_core.tasks.context import running_in


def a_context(**settings: Any) -> TaskContext:
    return TaskContext(task_id="id", task_type="work", queue="q", **settings)


def test_there_is_no_context_outside_of_a_task() -> None:
    assert current_context() is None


def test_the_context_is_that_of_the_task_being_run() -> None:
    outer, inner = a_context(), a_context()

    with running_in(outer):
        with running_in(inner):
            assert current_context() is inner
        assert current_context() is outer
    assert current_context() is None


def test_a_cancelled_handler_ends_at_its_next_check_even_if_it_catches_exceptions() -> None:
    context = a_context()
    context.check_cancelled()
    context.request_cancel("killed")
    context.request_cancel("later")

    def careless() -> None:
        try:
            context.check_cancelled()
        except Exception:  # noqa: BLE001 - that is what makes it careless
            return

    assert context.is_cancelled
    with pytest.raises(TaskInterruptedError, match="killed"):
        careless()


def test_a_sleeping_handler_wakes_when_it_is_cancelled() -> None:
    context = a_context()
    timer = threading.Timer(0.02, context.request_cancel, ["cancelled"])
    timer.start()

    assert context.wait_cancelled(30)
    assert not a_context().wait_cancelled(0)
    timer.join()


def test_the_soft_timeout_is_raised_once() -> None:
    context = a_context(timeout_s=10, soft_timeout_s=0)

    with pytest.raises(SoftTimeoutError, match="id has used its soft timeout"):
        context.check_cancelled()
    context.check_cancelled()


def test_the_time_that_is_left_is_known() -> None:
    left = a_context(timeout_s=60).remaining_s

    assert left is not None
    assert 50 < left <= 60
    assert a_context(timeout_s=0).remaining_s == 0
    assert a_context().remaining_s is None


def test_the_last_attempt_is_known() -> None:
    assert a_context(attempt=4, max_attempts=4).is_last_attempt
    assert not a_context(attempt=3, max_attempts=4).is_last_attempt


@pytest.mark.parametrize(
    ("fraction", "kept"), [(0.5, 0.5), (-1, 0), (7, 1), (math.nan, 0), (math.inf, 1), (1, 1)], ids=repr
)
def test_progress_is_clipped_and_its_text_cut(fraction: float, kept: float) -> None:
    told: list[tuple[float, str]] = []

    a_context(progress=lambda share, text: told.append((share, text))).progress(fraction, "x" * 1000)

    assert told == [(kept, "x" * 200)]


def test_log_lines_are_cut() -> None:
    told: list[str] = []

    a_context(log=told.append).log("y" * 5000)

    assert told == ["y" * 2000]


def test_a_context_without_a_worker_says_nothing_to_nobody() -> None:
    context = a_context()

    context.progress(0.5)
    context.log("hello")
    assert repr(context) == "<TaskContext work id attempt 1/1>"
