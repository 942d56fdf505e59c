"""Stress to the limit: more and more is offered, until the workers do not keep up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.experiments import charts
from benchmarks.experiments.experiment import Experiment, Run
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.result import Result, percentile
from tq_console.cli.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

TICK_S = 0.02
KEEPS_UP = 0.95
LONGEST_WAIT_MS = 1_000
WARM_SHARE = 0.3
"""Of each step, before anything is counted."""
LOOKED_AT = 500


def measure(run: Run, result: Result) -> None:
    """Raises the offered rate step by step and stops after the first that is too much."""
    seconds, factor, steps = run.pick((1.2, 2.0, 6), (6.0, 1.4, 16))
    result.setting = {"processes": 2, "slots": 100, "task": "does nothing", "seconds a step": seconds}
    with run.open_lab() as lab, Progress("steps", total=steps) as progress:
        lab.start_node(processes=2, slots=100)
        rate = 2_000.0
        for step in range(steps):
            row = _step(lab, rate, seconds)
            result.rows.append(row)
            progress.reach(step + 1)
            if row["limit"]:
                break
            rate *= factor
    held = [row for row in result.rows if not row["limit"]]
    last = result.rows[-1]
    result.tell("highest rate that was kept up with", max((r["completed_per_s"] for r in held), default=0.0), "tasks/s")
    result.tell("p95 wait at that rate", held[-1]["wait_p95_ms"] if held else 0, "ms")
    result.tell("most that was completed", max(r["completed_per_s"] for r in result.rows), "tasks/s")
    result.tell("what ended it", last["limit"] or "nothing: the steps ran out")
    result.tell("CPUs busy then: workers", last["worker_cpus"])
    result.tell("CPUs busy then: Redis", last["redis_cpus"])
    result.notes.append(
        "Submitter, Redis and workers share the cores of this machine: the limit is that of all three together."
    )


def _step(lab: Lab, rate: float, seconds: float) -> dict[str, float | str]:
    before_cpu = begin = None
    began, put = time.monotonic(), 0
    while (now := time.monotonic()) - began < seconds:
        wanted = int((now - began + TICK_S) * rate)
        if wanted > put:
            lab.put("nothing", [{"n": n} for n in range(put, wanted)])
            put = wanted
        if begin is None and now - began >= seconds * WARM_SHARE:
            begin, before_cpu = lab.look(), lab.cpu_s()
        time.sleep(max(0.0, now + TICK_S - time.monotonic()))
    end, cpu = lab.look(), lab.cpu_s()
    assert begin is not None
    assert before_cpu is not None
    waits = [(v.started_at_ms or 0) - v.created_at_ms for v in lab.ended(LOOKED_AT)]
    for _ in lab.watch(every_s=0.1, until_s=120):
        pass
    span_s = end.at_s - begin.at_s
    offered, completed = (end.enqueued - begin.enqueued) / span_s, (end.completed - begin.completed) / span_s
    wait_p95_ms = percentile(waits, 0.95)
    limit = ""
    if completed < offered * KEEPS_UP:
        limit = "the workers did not keep up"
    elif wait_p95_ms > LONGEST_WAIT_MS:
        limit = "tasks waited for over a second"
    elif offered < rate * 0.8:
        limit = "the submitter could not offer more"
    return {
        "wanted_per_s": round(rate),
        "offered_per_s": round(offered, 1),
        "completed_per_s": round(completed, 1),
        "wait_p95_ms": wait_p95_ms,
        "worker_cpus": round((cpu[0] - before_cpu[0]) / span_s, 2),
        "redis_cpus": round((cpu[1] - before_cpu[1]) / span_s, 2),
        "backlog_at_end": end.pending,
        "limit": limit,
    }


def draw(result: Result, picture: Picture) -> None:
    """What was completed of what was offered, and how long tasks waited."""
    left, right = picture.subplots(1, 2)
    offered = [row["offered_per_s"] for row in result.rows]
    completed = [row["completed_per_s"] for row in result.rows]
    span = [min(offered), max(offered)]
    left.plot(span, span, "--", color=charts.GREY, lw=1, label="all that was offered")
    left.plot(offered, completed, "o-", color=charts.COLOURS[2], label="completed")
    for axes in (left, right):
        axes.set_xscale("log")
        charts.plain_ticks(axes.xaxis)
    left.set_yscale("log")
    charts.plain_ticks(left.yaxis)
    left.legend(loc="upper left")
    charts.label(left, x="offered tasks/s (log)", y="completed tasks/s (log)", title="Keeping up")
    right.plot(offered, [max(0.5, row["wait_p95_ms"]) for row in result.rows], "o-", color=charts.COLOURS[1])
    right.set_yscale("log")
    charts.plain_ticks(right.yaxis)
    charts.label(right, x="offered tasks/s (log)", y="ms (log)", title="p95 wait for a worker")


EXPERIMENT = Experiment(
    "stress", "Stress to the limit", "How much can be offered until the workers do not keep up?", measure, draw
)
