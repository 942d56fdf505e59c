"""High load: a producer that submits as fast as it can, beside workers that do nothing else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.experiments import charts
from benchmarks.experiments.experiment import Experiment, Run, rates
from benchmarks.experiments.lab import BATCH, Sample
from benchmarks.experiments.result import Result
from tq_console.cli.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

SAMPLE_S = 0.1
RATE_WINDOW_S = 0.3


def measure(run: Run, result: Result) -> None:
    """Floods the queue while it is served, and waits until it is empty."""
    total = run.pick(40_000, 300_000)
    result.setting = {"processes": 2, "slots": 100, "task": "does nothing", "tasks": total, "batch": BATCH}
    samples: list[Sample] = []
    try:
        with run.open_lab() as lab, Progress("completed", total=total) as progress:
            lab.start_node(processes=2, slots=100)
            cpu_before = lab.cpu_s()
            samples.append(lab.look())
            for first in range(0, total, BATCH):
                lab.put("nothing", [{"n": n} for n in range(first, min(first + BATCH, total))])
                if time.monotonic() - lab.opened_at - samples[-1].at_s >= SAMPLE_S:
                    samples.append(lab.look())
                    progress.reach(samples[-1].completed)
            submitted = lab.look()
            for sample in lab.watch(every_s=SAMPLE_S, until_s=120):
                samples.append(sample)
                progress.reach(sample.completed)
            cpu = lab.cpu_s()
            result.tell("submitted, batches of 500", submitted.enqueued / (submitted.at_s - samples[0].at_s), "tasks/s")
            done_while_submitting = submitted.completed / (submitted.at_s - samples[0].at_s)
            result.tell("completed while it was flooded", done_while_submitting, "tasks/s")
            left, left_s = total - submitted.completed, samples[-1].at_s - submitted.at_s
            result.tell("completed afterwards", left / left_s, "tasks/s")
            result.tell("completed over all", total / (samples[-1].at_s - samples[0].at_s), "tasks/s")
            result.tell("deepest backlog", max(s.pending for s in samples), "tasks")
            result.tell("CPU of the workers", (cpu[0] - cpu_before[0]) / total * 1e6, "µs a task")
            result.tell("CPU of Redis, with the submits", (cpu[1] - cpu_before[1]) / total * 1e6, "µs a task")
            result.tell("tasks that are missing", total - samples[-1].completed)
    finally:
        begin = samples[0].at_s if samples else 0.0
        by_time = {round(at, 3): (e, c) for at, e, c in rates(samples, RATE_WINDOW_S)}
        for sample in samples:
            enqueued_per_s, completed_per_s = by_time.get(round(sample.at_s, 3), ("", ""))
            result.rows.append(
                {
                    "at_s": round(sample.at_s - begin, 3),
                    "enqueued_per_s": enqueued_per_s,
                    "completed_per_s": completed_per_s,
                    "pending": sample.pending,
                    "running": sample.running,
                }
            )


def draw(result: Result, picture: Picture) -> None:
    """Rates above, the backlog below."""
    above, below = picture.subplots(2, 1, sharex=True)
    rated = [row for row in result.rows if row["completed_per_s"] != ""]
    at = [row["at_s"] for row in rated]
    above.plot(at, [row["enqueued_per_s"] for row in rated], color=charts.COLOURS[0], label="submitted")
    above.plot(at, [row["completed_per_s"] for row in rated], color=charts.COLOURS[2], label="completed")
    charts.from_zero(above, room=1.3)
    above.legend(loc="upper left", ncols=2)
    charts.label(above, y="tasks/s", title="Rates")
    below.fill_between(
        [row["at_s"] for row in result.rows],
        [row["pending"] for row in result.rows],
        color=charts.COLOURS[1],
        alpha=0.35,
        lw=0,
    )
    charts.from_zero(below)
    charts.label(below, x="seconds", y="tasks", title="Backlog")


EXPERIMENT = Experiment(
    "high_load", "High load", "What happens when a producer floods the queue as fast as it can?", measure, draw
)
