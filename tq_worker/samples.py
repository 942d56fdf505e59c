"""Tasks to try tq with, one of each kind: `tq-worker --samples` runs them.

They are written as any program's tasks would be, and do no harm to the machine they run on: what they compute is
bounded, what they fetch must be allowed. `crash` kills the process it runs in, which is what it is for.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from msgspec import Meta

from tq_core import FatalError, RetryPolicy, TaskContext, TaskQueue
from tq_worker.http_fetch import allowed_hosts, fetch

tq = TaskQueue()

QUICK = RetryPolicy(max_attempts=4, initial_delay_s=0.5, max_delay_s=2.0)
"""Retries that somebody who watches can wait for."""

Seconds = Annotated[float, Meta(ge=0, le=3600, description="How long it takes")]


@tq.task()
async def process(data: Any = None, seconds: Seconds = 0.05, **more: Any) -> dict[str, Any]:
    """Process any data: take a moment and say what came."""
    await asyncio.sleep(seconds)
    return {"processed": data, **more}


@tq.task()
def simple(data: Any = None, **more: Any) -> str:
    """Complete at once with a line of text."""
    return f"Completed: {more if data is None and more else data}"


@tq.task()
def calculate(data: Any = None, **more: Any) -> dict[str, float]:
    """Add up all numbers in the data, however deep they lie."""
    found = list(_numbers([data, more]))
    total = float(sum(found))
    return {"count": len(found), "sum": total, "mean": total / len(found) if found else 0.0}


@tq.task()
def math(
    operation: Literal["add", "subtract", "multiply", "divide", "power"] = "add", a: float = 0, b: float = 0
) -> float:
    """Calculate with two numbers; dividing by zero fails, and trying again does not help."""
    try:
        match operation:
            case "add":
                return a + b
            case "subtract":
                return a - b
            case "multiply":
                return a * b
            case "divide":
                return a / b
        power = a**b
    except ArithmeticError as error:
        raise FatalError(f"{operation} of {a:g} and {b:g}: {error}") from error
    if isinstance(power, complex):
        raise FatalError(f"{a:g} to the power of {b:g} is no real number")
    return float(power)


@tq.task(timeout_s=120)
def matrix_multiply(ctx: TaskContext, size: Annotated[int, Meta(ge=1, le=300)] = 10) -> dict[str, Any]:
    """Multiply two square matrices in plain Python: work for the processor, more of it the larger they are."""
    left = [[(row * size + column) % 7 for column in range(size)] for row in range(size)]
    right = [[(row + column) % 5 for row in range(size)] for column in range(size)]
    total = trace = 0
    for row in range(size):
        ctx.check_cancelled()
        products = [sum(x * y for x, y in zip(left[row], right[column], strict=True)) for column in range(size)]
        total += sum(products)
        trace += products[row]
        ctx.progress((row + 1) / size)
    return {"size": size, "sum": total, "trace": trace}


@tq.task()
async def sleep(seconds: Seconds = 1.0) -> float:
    """Wait without working, as tasks do that wait for others."""
    await asyncio.sleep(seconds)
    return seconds


@tq.task()
def echo(**fields: Any) -> dict[str, Any]:
    """Return whatever comes."""
    return fields


@tq.task(retry=QUICK)
def flaky(ctx: TaskContext, fails: Annotated[int, Meta(ge=0, le=1000)] = 1) -> str:
    """Fail so many times, then succeed."""
    if ctx.attempt <= fails:
        raise RuntimeError(f"attempt {ctx.attempt} fails on purpose; {fails} will")
    return f"succeeded at attempt {ctx.attempt}"


@tq.task(retry=QUICK)
def fail(message: str = "this task always fails", fatal: bool = False) -> None:
    """Fail, always; with `fatal` at once and for good."""
    if fatal:
        raise FatalError(message)
    raise RuntimeError(message)


@tq.task()
def crash() -> None:
    """Kill the process that runs this, as a fault in a C library would: it ends as poison, and nothing else does."""
    os.kill(os.getpid(), signal.SIGKILL)


@tq.task()
async def progress(
    ctx: TaskContext, steps: Annotated[int, Meta(ge=1, le=1000)] = 10, seconds: Seconds = 5.0
) -> dict[str, int]:
    """Go on step by step and show how far it is."""
    for step in range(1, steps + 1):
        await asyncio.sleep(seconds / steps)
        ctx.progress(step / steps, f"step {step} of {steps}")
        ctx.log(f"step {step} done")
    return {"steps": steps}


@tq.task(timeout_s=600)
def burn(ctx: TaskContext, seconds: Annotated[float, Meta(ge=0, le=300)] = 1.0) -> int:
    """Keep one processor busy for a while; stops when it is cancelled."""
    end = time.monotonic() + seconds
    rounds = 0
    while time.monotonic() < end:
        ctx.check_cancelled()
        sum(range(10_000))
        rounds += 1
    return rounds


@tq.task(timeout_s=300)
async def http(
    url: str,
    *,
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "GET",
    headers: dict[str, str] | None = None,
    body: Any = None,
    timeout_s: Annotated[float, Meta(gt=0, le=120)] = 15.0,
    max_bytes: Annotated[int, Meta(ge=0, le=500_000)] = 65_536,
) -> dict[str, Any]:
    """Fetch a web address, if the operator of the worker allows its host in TQ_HTTP_ALLOW."""
    return await fetch(
        url,
        method=method,
        headers=headers or {},
        body=body,
        timeout_s=timeout_s,
        max_bytes=max_bytes,
        allowed=allowed_hosts(),
    )


def _numbers(data: Any) -> Iterator[float]:
    if isinstance(data, int | float) and not isinstance(data, bool):
        yield data
    elif isinstance(data, list):
        for item in data:
            yield from _numbers(item)
    elif isinstance(data, dict):
        for item in data.values():
            yield from _numbers(item)
