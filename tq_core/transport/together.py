"""Runs several flows at once, so that they share their round trips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tq_core.transport.steps import Batch, Command, Flow, Script


def together(flows: Sequence[Flow[Any]]) -> Flow[list[Any]]:
    """The results of flows that do not depend on one another, in as many round trips as the longest of them takes.

    Each flow's next steps go out in one batch with those of the others. An error of any reply is raised in all of
    them.

    Raises:
        ValueError: a flow waits (Block, Pause); such a one must run alone.
    """
    runs = [_Run(flow) for flow in flows]
    for run in runs:
        run.advance(None)
    while asking := [run for run in runs if run.steps is not None]:
        try:
            replies = yield Batch([step for run in asking for step in run.steps or ()])
        except BaseException:
            for run in asking:
                run.flow.close()
            raise
        start = 0
        for run in asking:
            end = start + len(run.steps or ())
            run.advance(replies[start:end] if run.is_batch else replies[start])
            start = end
    return [run.result for run in runs]


class _Run:
    """One of the flows, and what it asks for now."""

    def __init__(self, flow: Flow[Any]) -> None:
        self.flow = flow
        self.steps: Sequence[Script | Command] | None = None
        """None = it has ended."""
        self.is_batch = False
        self.result: Any = None

    def advance(self, answer: Any) -> None:
        try:
            step = self.flow.send(answer)
        except StopIteration as stop:
            self.steps, self.result = None, stop.value
            return
        if isinstance(step, Batch):
            self.steps, self.is_batch = step.steps, True
        elif isinstance(step, (Script, Command)):
            self.steps, self.is_batch = [step], False
        else:
            self.flow.close()
            raise ValueError(f"a flow that waits ({type(step).__name__}) cannot share its round trips")  # noqa: TRY004 - it is its content, not its type
