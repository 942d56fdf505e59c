"""Flows side by side: several flows of the queue layer share each round trip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tq_core.transport.steps import Batch, Command, Flow, Script


def together(flows: Sequence[Flow[Any]]) -> Flow[list[Any]]:
    """Runs flows at once; each of their steps must be one that a batch can hold. Returns their results in order.

    When the batch fails, all of them fail: nothing is known of any.
    """
    results: list[Any] = [None] * len(flows)
    waiting: list[tuple[int, Script | Command | Batch]] = []
    for i, flow in enumerate(flows):
        _advance(flow, None, i, results, waiting)
    while waiting:
        steps: list[Script | Command] = []
        for _, step in waiting:
            if isinstance(step, Batch):
                steps += step.steps
            else:
                steps.append(step)
        replies = yield Batch(steps)
        asked, waiting = waiting, []
        first = 0
        for i, step in asked:
            if isinstance(step, Batch):
                reply: Any = replies[first : first + len(step.steps)]
                first += len(step.steps)
            else:
                reply = replies[first]
                first += 1
            _advance(flows[i], reply, i, results, waiting)
    return results


def _advance(  # noqa: PLR0917 - private, and each is a different thing
    flow: Flow[Any], reply: Any, i: int, results: list[Any], waiting: list[tuple[int, Script | Command | Batch]]
) -> None:
    try:
        step = flow.send(reply)
    except StopIteration as stop:
        results[i] = stop.value
        return
    assert isinstance(step, Script | Command | Batch), step
    waiting.append((i, step))
