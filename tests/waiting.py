"""Wait for a condition with a deadline: the one place in the tests that polls.

A test that must wait names what it waits for. A fixed pause is either too short on a busy machine or too long on a
free one, and says nothing when it fails.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

_T = TypeVar("_T")

_FIRST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.05


class WaitedTooLongError(AssertionError):
    """A condition did not come true before its deadline."""

    def __init__(self, what: str, timeout_s: float, last: object) -> None:
        super().__init__(f"waited {timeout_s:g} s for {what}; the last answer was {last!r}")


def wait_until(predicate: Callable[[], _T], timeout_s: float, what: str) -> _T:
    """Return the first true answer of `predicate`.

    Args:
        predicate: Asked at once, then again and again with short pauses; asked once more at the deadline.
        timeout_s: The deadline, in seconds from now.
        what: Completes the sentence "waited 5 s for ...".

    Raises:
        WaitedTooLongError: no answer was true in time.
    """
    pauses = _Pauses(timeout_s)
    while True:
        is_last = pauses.is_over()
        answer = predicate()
        if answer:
            return answer
        if is_last:
            raise WaitedTooLongError(what, timeout_s, answer)
        time.sleep(pauses.next_s())  # noqa: TID251 - the one place


@overload
async def wait_until_async(predicate: Callable[[], Awaitable[_T]], timeout_s: float, what: str) -> _T: ...
@overload
async def wait_until_async(predicate: Callable[[], _T], timeout_s: float, what: str) -> _T: ...
async def wait_until_async(predicate: Callable[[], object], timeout_s: float, what: str) -> object:
    """Return the first true answer of `predicate`, which may be a coroutine function; the loop runs on meanwhile.

    Args and Raises as for `wait_until`.
    """
    pauses = _Pauses(timeout_s)
    while True:
        is_last = pauses.is_over()
        answer = predicate()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        if is_last:
            raise WaitedTooLongError(what, timeout_s, answer)
        await asyncio.sleep(pauses.next_s())


class _Pauses:
    """Pauses that double up to a limit and never reach beyond the deadline."""

    def __init__(self, timeout_s: float) -> None:
        self._deadline_s = time.monotonic() + timeout_s
        self._pause_s = _FIRST_PAUSE_S

    def is_over(self) -> bool:
        return time.monotonic() >= self._deadline_s

    def next_s(self) -> float:
        pause_s = min(self._pause_s, max(0.0, self._deadline_s - time.monotonic()))
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
        return pause_s
