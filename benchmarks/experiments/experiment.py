"""What an experiment is: a question, how it is measured, and how the answer is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from benchmarks.experiments.lab import Lab, Sample
from benchmarks.experiments.result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture


T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """How one run was asked for."""

    is_quick: bool
    open_lab: Callable[[], Lab]

    def pick(self, quick: T, whole: T) -> T:
        """The value for a quick run, or for a whole one."""
        return quick if self.is_quick else whole


@dataclass(frozen=True)
class Experiment:
    """One of them."""

    name: str
    title: str
    question: str
    measure: Callable[[Run, Result], None]
    draw: Callable[[Result, Picture], None]


def rates(samples: Sequence[Sample], window_s: float) -> list[tuple[float, float, float]]:
    """(second, enqueued per second, completed per second), each over the window before it."""
    found = []
    first = 0
    for last, sample in enumerate(samples):
        while sample.at_s - samples[first + 1].at_s >= window_s if first + 1 < last else False:
            first += 1
        span_s = sample.at_s - samples[first].at_s
        if last and span_s >= window_s * 0.5:
            before = samples[first]
            found.append(
                (
                    sample.at_s,
                    (sample.enqueued - before.enqueued) / span_s,
                    (sample.completed - before.completed) / span_s,
                )
            )
    return found


def steady_rate(samples: Sequence[Sample], *, begin: float = 0.1, end: float = 0.9) -> float:
    """Completed tasks a second over the middle of a drain; nan where it was too short to tell."""
    done = samples[-1].completed - samples[0].completed
    inner = [s for s in samples if begin * done <= s.completed - samples[0].completed <= end * done]
    if len(inner) < 2 or inner[-1].at_s <= inner[0].at_s:
        return float("nan")
    return (inner[-1].completed - inner[0].completed) / (inner[-1].at_s - inner[0].at_s)
