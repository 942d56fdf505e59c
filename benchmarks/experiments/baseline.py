"""Baseline: how long a task takes from submit to end while nothing is short."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.experiments import charts
from benchmarks.experiments.experiment import Experiment, Run
from benchmarks.experiments.lab import QUEUE
from benchmarks.experiments.result import Result, percentile
from tq_console.cli.progress import Progress
from tq_core.roles import producer

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

TASK_MS = 10.0


def measure(run: Run, result: Result) -> None:
    """Submits one task at a time at a steady pace, far below what the workers could do."""
    rate, seconds = run.pick((100, 3), (200, 30))
    result.setting = {"processes": 2, "slots": 10, "task": f"waits {TASK_MS:g} ms", "offered per s": rate}
    total = rate * seconds
    with run.open_lab() as lab, Progress("submitted", total=total) as progress:
        lab.start_node(processes=2, slots=10)
        submitted: dict[str, tuple[float, float]] = {}
        began = time.monotonic()
        for n in range(total):
            time.sleep(max(0.0, began + n / rate - time.monotonic()))
            before = time.monotonic()
            task_id = lab.runner.run(producer.enqueue_one(QUEUE, producer.new_task("wait", {"ms": TASK_MS})))
            submitted[task_id] = before - began, (time.monotonic() - before) * 1000
            progress.reach(n + 1)
        took_s = time.monotonic() - began
        for _ in lab.watch(every_s=0.05, until_s=30):
            pass
        for view in lab.ended(total):
            at_s, submit_ms = submitted[view.id]
            assert view.started_at_ms is not None
            assert view.finished_at_ms is not None
            result.rows.append(
                {
                    "at_s": round(at_s, 3),
                    "submit_ms": round(submit_ms, 3),
                    "wait_ms": max(0, view.started_at_ms - view.created_at_ms),
                    "total_ms": view.finished_at_ms - view.created_at_ms,
                }
            )
    result.rows.sort(key=lambda row: row["at_s"])
    result.tell("offered and completed", total / took_s, "tasks/s")
    for name, label in (("submit_ms", "submit, one call"), ("wait_ms", "wait for a worker"), ("total_ms", "in all")):
        values = [row[name] for row in result.rows]
        for share in (0.5, 0.95, 0.99):
            result.tell(f"{label}, p{share * 100:g}", percentile(values, share), "ms")
    result.notes.append("Waits and totals come from the server's clock, in whole milliseconds.")


def draw(result: Result, picture: Picture) -> None:
    """Distributions on the left, every task over time on the right."""
    left, right = picture.subplots(1, 2, gridspec_kw={"width_ratios": [3, 2]})
    names = (("submit_ms", "submit (client)"), ("wait_ms", "wait for a worker"), ("total_ms", "submit to end"))
    for colour, (name, label) in zip(charts.COLOURS, names, strict=False):
        values = sorted(max(0.1, row[name]) for row in result.rows)
        shares = [(n + 1) * 100 / len(values) for n in range(len(values))]
        left.step(values, shares, where="post", color=colour, label=label)
    left.set_xscale("log")
    left.set_ylim(0, 100)
    charts.label(left, x="milliseconds (log)", y="% of tasks within", title="How long it takes")
    charts.plain_ticks(left.xaxis)
    left.legend(loc="upper left")
    for colour, (name, label) in list(zip(charts.COLOURS, names, strict=False))[::2]:
        right.plot(
            [r["at_s"] for r in result.rows], [r[name] for r in result.rows], ".", ms=3, color=colour, label=label
        )
    right.set_ylim(bottom=0)
    charts.label(right, x="seconds", y="milliseconds", title="Each task (colours as on the left)")


EXPERIMENT = Experiment(
    "baseline", "Baseline", "How long does a task take from submit to end while nothing is short?", measure, draw
)
