"""What queues did over some time, as series for charts and as rows for tables; of screens, commands and JSON alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tq_console.view.formats import NONE, count, duration, rate
from tq_console.view.tables import Cell, Column
from tq_core.roles.history import MINUTE_MS, Counts, Read, latency_hits, latency_ms

STEP_OF_A_DAY = 15
LONGEST_BY_MINUTE = 120
"""Up to so many minutes are shown one by one."""
YOUNGEST_SHARE = 1 / 6
"""A step that has lasted for less of its time says nothing about a rate yet."""
NOTHING: Counts = {}


def step_of(minutes: int) -> int:
    """How many minutes are added up for a chart of so many."""
    return 1 if minutes <= LONGEST_BY_MINUTE else STEP_OF_A_DAY


@dataclass(frozen=True)
class History:
    """Counts by step, of one queue or of several together; what is not known is None and not nothing."""

    now_ms: int
    step_ms: int
    starts_ms: tuple[int, ...]
    """Of each step, the present one last."""
    counts: tuple[Counts | None, ...]
    """Of each step; None where it was not read (yet)."""

    @cached_property
    def total(self) -> Counts:
        """Of all steps that are known."""
        total: dict[str, int] = {}
        for counts in self.counts:
            added(total, counts or NOTHING)
        return total

    @property
    def sums(self) -> Sums:
        """What was counted, and in how much time."""
        known = (start for start, counts in zip(self.starts_ms, self.counts, strict=True) if counts is not None)
        return Sums(self.total, sum(map(self._lasted_ms, known)))

    def rates_per_s(self, counter: str) -> tuple[float | None, ...]:
        """How often something was counted a second, by step."""
        found: list[float | None] = []
        for start, counts in zip(self.starts_ms, self.counts, strict=True):
            lasted_ms = self._lasted_ms(start)
            is_young = lasted_ms < self.step_ms * YOUNGEST_SHARE
            found.append(None if counts is None or is_young else counts.get(counter, 0) * 1000 / lasted_ms)
        return tuple(found)

    def latencies_ms(self, kind: str, share: float) -> tuple[int | None, ...]:
        """What a share of the `run` or `wait` times is below, by step; None where none was measured."""
        return tuple(None if counts is None else latency_ms(counts, kind, share) for counts in self.counts)

    def _lasted_ms(self, start_ms: int) -> int:
        return max(0, min(self.step_ms, self.now_ms - start_ms))


@dataclass(frozen=True, slots=True)
class Traffic:
    """One queue's time in numbers; None is not known or not measured."""

    name: str
    in_per_s: float
    done_per_s: float
    failures: int
    fail_share: float | None
    """Of the attempts that ended."""
    run_p50_ms: int | None
    run_p95_ms: int | None
    wait_p50_ms: int | None
    wait_p95_ms: int | None
    run_ms: int
    """All completed runs together."""
    time_share: float | None
    """Of the time that all queues' completed tasks ran."""


def histories(reads: Sequence[Read]) -> dict[str, History]:
    """What was read, by queue."""
    found = {}
    for read in reads:
        stretch = read.stretch
        starts = range(stretch.first // stretch.step * stretch.step, stretch.first + stretch.minutes, stretch.step)
        found[stretch.queue] = History(
            now_ms=read.now_ms,
            step_ms=stretch.step * MINUTE_MS,
            starts_ms=tuple(start * MINUTE_MS for start in starts),
            counts=tuple(read.steps.get(start, NOTHING) for start in starts),
        )
    return found


@dataclass(frozen=True, slots=True)
class Sums:
    """What was counted in some time."""

    counts: Counts
    measured_ms: int


def traffic(of: Mapping[str, Sums]) -> list[Traffic]:
    """A row for each queue, the one whose tasks ran longest first."""
    ran = {name: sums.counts.get("run_ms", 0) for name, sums in of.items()}
    whole = sum(ran.values())
    rows = []
    for name, sums in of.items():
        counts, measured_s = sums.counts, sums.measured_ms / 1000
        done, failures = counts.get("completed", 0), counts.get("failures", 0)
        rows.append(
            Traffic(
                name=name,
                in_per_s=counts.get("enqueued", 0) / measured_s if measured_s else 0.0,
                done_per_s=done / measured_s if measured_s else 0.0,
                failures=failures,
                fail_share=failures / (done + failures) if done + failures else None,
                run_p50_ms=latency_ms(counts, "run", 0.5),
                run_p95_ms=latency_ms(counts, "run", 0.95),
                wait_p50_ms=latency_ms(counts, "wait", 0.5),
                wait_p95_ms=latency_ms(counts, "wait", 0.95),
                run_ms=ran[name],
                time_share=ran[name] / whole if whole else None,
            )
        )
    return sorted(rows, key=lambda row: (-row.run_ms, -row.done_per_s, row.name))


TRAFFIC_COLUMNS = (
    Column("QUEUE", is_flexible=True),
    Column("IN", is_right=True),
    Column("OUT", is_right=True),
    Column("FAILURES", is_right=True),
    Column("FAIL%", is_right=True),
    Column("RUN P50", is_right=True),
    Column("RUN P95", is_right=True),
    Column("WAIT P50", is_right=True, is_optional=True),
    Column("WAIT P95", is_right=True),
    Column("TIME", is_right=True, is_optional=True),
)


def traffic_row(of: Traffic) -> list[str | Cell]:
    """A queue as a row under TRAFFIC_COLUMNS."""
    return [
        of.name,
        rate(of.in_per_s),
        rate(of.done_per_s),
        Cell(count(of.failures), "red" if of.failures else ""),
        share_text(of.fail_share),
        *map(below, (of.run_p50_ms, of.run_p95_ms, of.wait_p50_ms, of.wait_p95_ms)),
        NONE if of.time_share is None else f"{of.time_share:.0%}",
    ]


def below(ms: int | None) -> str:
    """A time that was measured in steps: what is known is that it is below this."""
    return NONE if ms is None else f"<{duration(ms).replace(' ', '')}"


def share_text(share: float | None) -> str:
    """A share that is mostly small, as a percentage."""
    return NONE if share is None else f"{share:.1%}"


@dataclass(frozen=True, slots=True)
class Bar:
    """How many times fell between two bounds."""

    below_ms: int
    hits: int
    share: float
    """Of all that were measured."""


def histogram(counts: Counts, kind: str, *, most: int = 99) -> list[Bar]:
    """How the `run` or `wait` times are spread, the shortest first; without gaps.

    Args:
        most: At most so many bars: what is shorter than the others is one.
    """
    hits = latency_hits(counts, kind)
    whole = sum(hits.values())
    if not whole:
        return []
    last = max(hits)
    first = max(min(hits), last - max(1, most) + 1)
    shortest = sum(n for bucket, n in hits.items() if bucket <= first)
    numbers = [shortest, *(hits.get(bucket, 0) for bucket in range(first + 1, last + 1))]
    return [Bar(2 ** (first + i), n, n / whole) for i, n in enumerate(numbers)]


def history_record(of: Mapping[str, History], *, minutes: int) -> dict[str, Any]:
    """All of it for programs: a row for each queue, and its series."""
    some = next(iter(of.values()), None)
    return {
        "now_ms": some.now_ms if some else None,
        "minutes": minutes,
        "step_ms": some.step_ms if some else None,
        "starts_ms": list(some.starts_ms) if some else [],
        "queues": [
            {
                "queue": row.name,
                **{name: getattr(row, name) for name in _RECORDED},
                "series": _series(of[row.name]),
                "run_below_ms": _spread(of[row.name], "run"),
                "wait_below_ms": _spread(of[row.name], "wait"),
            }
            for row in traffic({name: history.sums for name, history in of.items()})
        ],
    }


_RECORDED = (
    *("in_per_s", "done_per_s", "failures", "fail_share", "run_p50_ms", "run_p95_ms", "wait_p50_ms", "wait_p95_ms"),
    *("run_ms", "time_share"),
)


def _series(history: History) -> dict[str, list[Any]]:
    def counted(counter: str) -> list[int | None]:
        return [None if counts is None else counts.get(counter, 0) for counts in history.counts]

    return {
        "enqueued": counted("enqueued"),
        "completed": counted("completed"),
        "failures": counted("failures"),
        "failed": counted("failed"),
        **{
            f"{kind}_p{share * 100:.0f}_ms": list(history.latencies_ms(kind, share))
            for kind in ("run", "wait")
            for share in (0.5, 0.95)
        },
    }


def _spread(history: History, kind: str) -> dict[str, int]:
    return {str(bar.below_ms): bar.hits for bar in histogram(history.total, kind)}


def added(into: dict[str, int], counts: Counts, *, sign: int = 1) -> None:
    """Adds counts to sums, or takes them away."""
    for name, n in counts.items():
        into[name] = into.get(name, 0) + sign * n
