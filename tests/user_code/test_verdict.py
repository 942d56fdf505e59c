"""What an exception means for its task, and what is kept of it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

import tq_worker.code_version
from tq_core import FatalError, InvalidArgumentsError, RetryPolicy, TaskQueue
from tq_core.errors import (
    HardTimeoutError,
    InvalidResultError,
    MemoryLimitError,
    SoftTimeoutError,
    TaskInterruptedError,
)
from tq_core.tasks.task import TaskDefinition
from tq_worker.error_detail import error_detail, fingerprint
from tq_worker.verdict import classify


@pytest.fixture
def definition(memory_tq: TaskQueue) -> TaskDefinition:
    @memory_tq.task(retry=RetryPolicy(initial_delay_s=10, multiplier=2, max_delay_s=15))
    def work() -> None: ...

    return work


@pytest.mark.parametrize(
    ("error", "asked", "verdict", "reason"),
    [
        (ValueError("x"), None, "retry", "error"),
        (TimeoutError("its own"), None, "retry", "error"),
        (HardTimeoutError("ours"), None, "retry", "timeout"),
        (SoftTimeoutError("ours"), None, "retry", "timeout"),
        (MemoryError(), None, "retry", "error"),
        (MemoryLimitError("x", limit_mb=1, used_mb=2), None, "retry", "memory_limit"),
        (SystemExit(3), None, "retry", "error"),
        (KeyboardInterrupt(), None, "retry", "error"),
        (GeneratorExit(), None, "retry", "error"),
        (asyncio.CancelledError(), None, "retry", "error"),
        (asyncio.CancelledError(), "cancel", "cancel", "cancelled"),
        (TaskInterruptedError("x"), "kill", "cancel", "killed"),
        (ValueError("while cleaning up"), "cancel", "retry", "error"),
        (FatalError("x"), None, "fatal", "fatal"),
        (ExceptionGroup("several", [ValueError(), ExceptionGroup("inner", [FatalError("x")])]), None, "fatal", "fatal"),
        (ExceptionGroup("several", [ValueError()]), None, "retry", "error"),
        (InvalidArgumentsError("x", {"to": "missing"}), None, "fatal", "bad_arguments"),
        (InvalidResultError("x"), None, "fatal", "bad_result"),
    ],
    ids=repr,
)
def test_each_kind_of_exception_has_its_verdict(
    definition: TaskDefinition, error: BaseException, asked: str | None, verdict: str, reason: str
) -> None:
    found = classify(error, definition, 1, asked=asked)

    assert (found.verdict, found.reason) == (verdict, reason)


@pytest.mark.parametrize(("attempt", "low_ms", "high_ms"), [(1, 5_000, 10_000), (2, 7_500, 15_000), (9, 7_500, 15_000)])
def test_the_wait_grows_by_the_policy_of_the_type(
    definition: TaskDefinition, attempt: int, low_ms: int, high_ms: int
) -> None:
    waits = [classify(ValueError(), definition, attempt).delay_ms for _ in range(50)]

    assert low_ms <= min(waits) < max(waits) <= high_ms


def test_the_policy_of_the_task_beats_that_of_its_type(definition: TaskDefinition) -> None:
    assert classify(ValueError(), definition, 1, retry=RetryPolicy(initial_delay_s=0)).delay_ms == 0
    assert classify(FatalError("x"), definition, 1).delay_ms == 0
    assert 2_500 <= classify(ValueError(), None, 1).delay_ms <= 5_000


def test_problems_of_arguments_are_kept(definition: TaskDefinition) -> None:
    assert classify(InvalidArgumentsError("x", {"to": "missing"}), definition, 1).detail["problems"] == {
        "to": "missing"
    }


def raised(function: Callable[[], Any]) -> BaseException:
    try:
        function()
    except BaseException as error:  # noqa: BLE001 - whatever it raises is what is looked at
        return error
    raise AssertionError("nothing was raised")


def fail_with(message: str) -> None:
    raise ValueError(message)


def fail_elsewhere(message: str) -> None:
    raise ValueError(message)


def parse(text: str) -> Any:
    return json.loads(text)


def test_what_is_kept_says_what_where_and_by_which_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQ_CODE_VERSION", "2024.7+abc")

    detail = error_detail(raised(lambda: fail_with("boom")))

    assert (detail["type"], detail["message"], detail["code_version"]) == ("ValueError", "boom", "2024.7+abc")
    assert "in fail_with" in detail["traceback"]
    assert detail["host"]
    assert len(detail["fingerprint"]) == 12


def test_a_chain_of_causes_is_kept() -> None:
    def chained() -> None:
        try:
            fail_with("first")
        except ValueError as error:
            raise KeyError("second") from error

    text = error_detail(raised(chained))["traceback"]

    assert "ValueError: first" in text
    assert "KeyError: 'second'" in text


def test_failures_that_differ_in_data_only_have_one_fingerprint() -> None:
    alike = [
        "user 17 has no account 'a-1' (id 01jd7q0v3k0a19c8x7v6b5n4m2)",
        "user 9001 has no account 'b-2' (id 01zzzz0v3k0a19c8x7v6b5n4ff)",
        'user 3 has no  account "c" (id 6f9619ff-8b86-d011-b42d-00c04fc964ff)',
    ]

    assert len({fingerprint(raised(lambda text=text: fail_with(text))) for text in alike}) == 1  # type: ignore[misc]


def test_an_error_without_a_place_in_the_users_code_is_told_apart_by_its_handler() -> None:
    timeout = HardTimeoutError("ran longer than 5 s")
    assert fingerprint(timeout, handler="a") == fingerprint(HardTimeoutError("ran longer than 7 s"), handler="a")
    assert fingerprint(timeout, handler="a") != fingerprint(timeout, handler="b")


def test_failures_of_another_kind_have_another_fingerprint() -> None:
    def as_key() -> None:
        raise KeyError("boom")

    prints = {
        fingerprint(raised(lambda: fail_with("boom"))),
        fingerprint(raised(lambda: fail_with("bang"))),
        fingerprint(raised(lambda: fail_elsewhere("boom"))),
        fingerprint(raised(as_key)),
    }

    assert len(prints) == 4


def test_a_fault_in_a_library_counts_for_the_code_that_called_it() -> None:
    def through_another() -> None:
        json.loads("{")

    assert fingerprint(raised(lambda: parse("{"))) == fingerprint(raised(lambda: parse("{")))
    assert fingerprint(raised(lambda: parse("{"))) != fingerprint(raised(through_another))


class BrokenError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "error",
    [
        BrokenError(),
        ValueError("\ud800 lone surrogate"),
        ValueError("x" * 1_000_000),
        ValueError("\x1b[31m\x00"),
        OSError(2, "no"),
    ],
    ids=["broken", "surrogate", "long", "controls", "os"],
)
def test_any_exception_can_be_kept(error: BaseException) -> None:
    def fail() -> None:
        raise error

    detail = error_detail(raised(fail))

    assert len(msgspec.json.encode(detail)) < 40_000


def test_an_endless_recursion_is_kept_short() -> None:
    def deeper() -> None:
        deeper()

    detail = error_detail(raised(deeper))

    assert detail["type"] == "RecursionError"
    assert len(detail["traceback"]) < 10_000


def test_an_exception_that_was_never_raised_has_no_traceback() -> None:
    assert error_detail(HardTimeoutError("too long"))["traceback"] == ""


def test_the_version_of_the_code_is_that_of_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tq_worker.code_version.code_version("msgspec.json") == msgspec.__version__
    assert tq_worker.code_version.code_version("nowhere.at.all") == ""
    assert tq_worker.code_version.code_version() == ""
    monkeypatch.setattr(sys.modules[__name__.partition(".")[0]], "__version__", "7.1", raising=False)
    tq_worker.code_version._package_version.cache_clear()
    assert tq_worker.code_version.code_version(__name__) == "7.1"
    tq_worker.code_version._package_version.cache_clear()
