"""The deadline helper itself."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.waiting import WaitedTooLongError, wait_until, wait_until_async


def test_waiting_returns_the_first_true_answer() -> None:
    answers = iter([0, None, "there", "later"])

    assert wait_until(lambda: next(answers), 5, "an answer") == "there"


def test_waiting_sees_what_another_thread_does() -> None:
    done = threading.Event()
    timer = threading.Timer(0.02, done.set)
    timer.start()

    assert wait_until(done.is_set, 5, "the timer")
    timer.join()


def test_waiting_too_long_says_for_what_and_shows_the_last_answer() -> None:
    with pytest.raises(WaitedTooLongError, match=r"waited 0\.01 s for two workers; the last answer was \[\]"):
        wait_until(list, 0.01, "two workers")


async def test_waiting_lets_the_loop_run_on() -> None:
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(0.02, done.set)

    assert await wait_until_async(done.is_set, 5, "the timer")


async def test_waiting_accepts_a_coroutine_function() -> None:
    answers = iter([False, True])

    async def ask() -> bool:
        return next(answers)

    assert await wait_until_async(ask, 5, "an answer")


async def test_waiting_in_the_loop_too_long_is_an_error() -> None:
    with pytest.raises(WaitedTooLongError, match="waited 0 s for nothing"):
        await wait_until_async(lambda: False, 0, "nothing")
