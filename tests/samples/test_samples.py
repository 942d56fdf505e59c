"""The sample tasks: each does what its name says, and what it publishes can be checked by those who submit it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tq_core import TaskFailedError, TaskQueue
from tq_core.tasks.schema import check_against
from tq_worker import InlineWorker, samples

NAMES = {
    *("process", "simple", "calculate", "math", "matrix_multiply", "sleep", "echo", "flaky", "fail", "crash"),
    *("progress", "burn", "http"),
}


@pytest.fixture
def tq(monkeypatch: pytest.MonkeyPatch) -> Iterator[TaskQueue]:
    """The samples' own queue, on an empty broker inside this process."""
    samples.tq.close()
    monkeypatch.setattr(samples.tq, "_url", f"memory://{uuid.uuid4().hex}")
    monkeypatch.setattr(samples.tq, "_address", None)
    yield samples.tq
    samples.tq.close()


def run(tq: TaskQueue, task_type: str, args: dict[str, Any]) -> Any:
    handle = tq.enqueue_sync(task_type, args)
    InlineWorker(tq).run_until_empty(skip_delays=True)
    return handle.result_sync()


def test_there_is_one_of_each_kind_and_each_explains_itself() -> None:
    assert set(samples.tq.tasks) == NAMES
    assert all(task.doc for task in samples.tq.tasks.values())


@pytest.mark.parametrize(
    ("task_type", "args", "result"),
    [
        ("process", {"data": "Hello Distributed Systems!"}, {"processed": "Hello Distributed Systems!"}),
        ("process", {"data": [1, {"a": None}], "seconds": 0, "user": 7}, {"processed": [1, {"a": None}], "user": 7}),
        ("process", {}, {"processed": None}),
        ("simple", {"data": "Hello World"}, "Completed: Hello World"),
        ("simple", {"name": "x"}, "Completed: {'name': 'x'}"),
        ("calculate", {"data": [1, 2, {"a": 3.5}]}, {"count": 3, "sum": 6.5, "mean": 6.5 / 3}),
        ("calculate", {"a": 1, "b": [2]}, {"count": 2, "sum": 3, "mean": 1.5}),
        ("calculate", {"data": "none"}, {"count": 0, "sum": 0, "mean": 0}),
        ("math", {"operation": "add", "a": 2, "b": 3}, 5),
        ("math", {"operation": "subtract", "a": 2, "b": 3}, -1),
        ("math", {"operation": "multiply", "a": 2, "b": 3}, 6),
        ("math", {"operation": "divide", "a": 3, "b": 2}, 1.5),
        ("math", {"operation": "power", "a": 2, "b": 10}, 1024),
        ("matrix_multiply", {"size": 1}, {"size": 1, "sum": 0, "trace": 0}),
        ("matrix_multiply", {"size": 2}, {"size": 2, "sum": 14, "trace": 9}),
        ("sleep", {"seconds": 0}, 0),
        ("echo", {"a": 1, "b": [True]}, {"a": 1, "b": [True]}),
        ("echo", {}, {}),
        ("flaky", {"fails": 2}, "succeeded at attempt 3"),
        ("flaky", {"fails": 0}, "succeeded at attempt 1"),
        ("progress", {"steps": 2, "seconds": 0}, {"steps": 2}),
    ],
)
def test_a_sample_returns_what_it_should(tq: TaskQueue, task_type: str, args: dict[str, Any], result: Any) -> None:
    assert check_against(samples.tq.tasks[task_type].schema, args) == {}
    assert run(tq, task_type, args) == result


def test_matrices_of_ten_are_multiplied_as_anyone_would(tq: TaskQueue) -> None:
    left = [[(row * 10 + column) % 7 for column in range(10)] for row in range(10)]
    right = [[(row + column) % 5 for column in range(10)] for row in range(10)]
    product = [[sum(left[i][k] * right[k][j] for k in range(10)) for j in range(10)] for i in range(10)]

    result = run(tq, "matrix_multiply", {"size": 10})

    assert result["sum"] == sum(map(sum, product))
    assert result["trace"] == sum(product[i][i] for i in range(10))


def test_burning_keeps_busy_for_about_as_long_as_asked(tq: TaskQueue) -> None:
    assert run(tq, "burn", {"seconds": 0.02}) >= 1


@pytest.mark.parametrize(
    ("task_type", "args", "reason", "text"),
    [
        ("fail", {"message": "on purpose"}, "error", "on purpose"),
        ("fail", {"fatal": True}, "fatal", "always fails"),
        ("flaky", {"fails": 9}, "error", "attempt 4 fails on purpose"),
        ("math", {"operation": "divide", "a": 1, "b": 0}, "fatal", "divide of 1 and 0: float division by zero"),
        ("math", {"operation": "power", "a": 10, "b": 400}, "fatal", "power of 10 and 400"),
        ("math", {"operation": "power", "a": -1, "b": 0.5}, "fatal", "no real number"),
        ("http", {"url": "http://example.org/"}, "fatal", "example.org:80 is not allowed"),
    ],
)
def test_a_sample_that_fails_says_why(
    tq: TaskQueue, task_type: str, args: dict[str, Any], reason: str, text: str
) -> None:
    with pytest.raises(TaskFailedError, match=text) as failed:
        run(tq, task_type, args)
    assert failed.value.reason == reason


def test_a_fatal_failure_is_not_tried_again(tq: TaskQueue) -> None:
    handle = tq.enqueue_sync("fail", {"fatal": True})
    report = InlineWorker(tq).run_until_empty(skip_delays=True)

    assert len(report.outcomes) == 1
    assert handle.status_sync().attempt == 1


@pytest.mark.parametrize(
    ("task_type", "args"),
    [
        ("matrix_multiply", {"size": 301}),
        ("sleep", {"seconds": -1}),
        ("burn", {"seconds": 301}),
        ("math", {"operation": "modulo"}),
        ("progress", {"steps": 0}),
        ("http", {}),
        ("http", {"url": "http://example.org", "max_bytes": 10**9}),
    ],
)
def test_what_would_cost_too_much_is_refused_before_it_is_sent(task_type: str, args: dict[str, Any]) -> None:
    assert check_against(samples.tq.tasks[task_type].schema, args)


def test_progress_is_told_step_by_step() -> None:
    import asyncio

    from tq_core import TaskContext

    told: list[tuple[float, str]] = []
    lines: list[str] = []
    context = TaskContext(
        task_id="id", task_type="progress", queue="q", progress=lambda s, t: told.append((s, t)), log=lines.append
    )
    asyncio.run(samples.progress.handler(context, steps=4, seconds=0.004))

    assert told == [(i / 4, f"step {i} of 4") for i in (1, 2, 3, 4)]
    assert lines == [f"step {i} done" for i in (1, 2, 3, 4)]


def test_crash_kills_the_process_it_runs_in() -> None:
    code = "from tq_worker.samples import crash; crash()"

    ended = subprocess.run([sys.executable, "-c", code], check=False, timeout=30, env={**os.environ})

    assert ended.returncode == -signal.SIGKILL
