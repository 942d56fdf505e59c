"""Runs several flows at once, so that they share their round trips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tq_core.transport.steps import Batch, Command, Flow, Script


def together(flows: Sequence[Flow[Any]]) -> Flow[list[Any]]:
    """The results of flows that do not depend on one another, in as many round trips as the longest of them takes.

    Each flow's next steps go out in one batch with those of the others. When the batch fails, all of them fail: nothing
    is known of any.

    Raises:
        ValueError: a flow waits (Block, Pause); such a one must run alone.
    """
    results: list[Any] = [None] * len(flows)
    asking: list[_Asking] = []
    for i, flow in enumerate(flows):
        _advance(flow, None, i, results, asking)
    while asking:
        steps: list[Script | Command] = []
        for _, step in asking:
            if isinstance(step, Batch):
                steps += step.steps
            else:
                steps.append(step)
        try:
            replies = yield Batch(steps)
        except BaseException:
            for i, _ in asking:
                flows[i].close()
            raise
        asked, asking = asking, []
        first = 0
        for i, step in asked:
            if isinstance(step, Batch):
                reply: Any = replies[first : first + len(step.steps)]
                first += len(step.steps)
            else:
                reply = replies[first]
                first += 1
            _advance(flows[i], reply, i, results, asking)
    return results


_Asking = tuple[int, Script | Command | Batch]
"""A flow by its number, and what it asks for now."""


def _advance(flow: Flow[Any], reply: Any, i: int, results: list[Any], asking: list[_Asking]) -> None:  # noqa: PLR0917 - private, each a different thing
    try:
        step = flow.send(reply)
    except StopIteration as stop:
        results[i] = stop.value
        return
    if not isinstance(step, Script | Command | Batch):
        flow.close()
        raise ValueError(f"a flow that waits ({type(step).__name__}) cannot share its round trips")  # noqa: TRY004 - it is its content, not its type
    asking.append((i, step))
