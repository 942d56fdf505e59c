"""Scaling while it runs: two workers become five in the middle of a backlog."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

from benchmarks.experiments import charts
from benchmarks.experiments.experiment import Experiment, Run, rates
from benchmarks.experiments.lab import ACTOR, Sample
from benchmarks.experiments.result import Result, median
from tq_console.cli.progress import Progress
from tq_core.roles import registry

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

TASK_MS, SLOTS, BEFORE, AFTER = 50.0, 5, 2, 5
SAMPLE_S, RATE_WINDOW_S = 0.1, 0.5
PER_PROCESS_S = SLOTS / (TASK_MS / 1000)


def measure(run: Run, result: Result) -> None:
    """Orders three more workers after a while, as `tq workers scale 5` does, and watches the rate."""
    phase_s = run.pick(2.5, 12.0)
    total = int(PER_PROCESS_S * phase_s * (BEFORE + AFTER))
    result.setting = {"processes": f"{BEFORE}, then {AFTER}", "slots": SLOTS, "task": f"waits {TASK_MS:g} ms"}
    result.setting["tasks"] = total
    samples: list[Sample] = []
    try:
        with run.open_lab() as lab, Progress("completed", total=total) as progress:
            lab.start_node(processes=BEFORE, slots=SLOTS)
            first_workers = {w.id for w in lab.runner.run(registry.fleet()).workers}
            lab.put("wait", [{"ms": TASK_MS}] * total)
            ordered_s = ordered_ms = 0.0
            for sample in lab.watch(every_s=SAMPLE_S, until_s=phase_s * 6):
                samples.append(sample)
                progress.reach(sample.completed)
                if not ordered_s and sample.at_s - samples[0].at_s >= phase_s:
                    (node,) = lab.runner.run(registry.fleet()).nodes
                    ordered_ms = lab.runner.run(registry.server_time_ms())
                    lab.runner.run(registry.send_command(node.id, "scale", actor=ACTOR, args={"processes": AFTER}))
                    ordered_s = sample.at_s
                    result.marks.append((round(sample.at_s - samples[0].at_s, 3), f"{BEFORE} → {AFTER} workers"))
            views = lab.ended(total)
    finally:
        begin = samples[0].at_s if samples else 0.0
        for at, _, completed_per_s in rates(samples, RATE_WINDOW_S):
            result.rows.append({"at_s": round(at - begin, 3), "completed_per_s": round(completed_per_s, 1)})
    marked = result.marks[0][0]
    last = result.rows[-1]["at_s"]
    before = median([r["completed_per_s"] for r in result.rows if RATE_WINDOW_S < r["at_s"] <= marked])
    settled = marked + RATE_WINDOW_S + (last - marked) * 0.3
    after = median([r["completed_per_s"] for r in result.rows if settled <= r["at_s"] <= last - RATE_WINDOW_S])
    result.tell(f"with {BEFORE} workers", before, "tasks/s")
    result.tell(f"with {AFTER} workers", after, "tasks/s")
    result.tell("ratio", after / before, f"(there are {AFTER / BEFORE:g} times as many)")
    newcomers = [v.started_at_ms for v in views if v.worker_id not in first_workers and v.started_at_ms]
    if newcomers:
        result.tell("from the order to the first task of a new worker", min(newcomers) - ordered_ms, "ms")
    late = [v for v in views if (v.started_at_ms or 0) > ordered_ms + 1000]
    shares = collections.Counter(v.worker_id for v in late)
    if len(shares) == AFTER:
        result.tell(
            "busiest worker to the mean, a second later and on", max(shares.values()) / len(late) * AFTER, "times"
        )


def draw(result: Result, picture: Picture) -> None:
    """The rate over time."""
    axes = picture.subplots()
    at, rate = [r["at_s"] for r in result.rows], [r["completed_per_s"] for r in result.rows]
    axes.plot(at, rate, color=charts.COLOURS[2], label=f"completed, over {RATE_WINDOW_S:g} s")
    for count in (BEFORE, AFTER):
        axes.axhline(count * PER_PROCESS_S, color=charts.GREY, lw=0.8, ls="--")
        axes.annotate(
            f"{count} × {SLOTS} slots at best", (at[-1] if at else 1, count * PER_PROCESS_S), xytext=(0, 4),
            textcoords="offset points", ha="right", color=charts.DARK_GREY,
        )  # fmt: skip
    charts.marks(axes, result.marks)
    axes.set_ylim(bottom=0, top=AFTER * PER_PROCESS_S * 1.15)
    charts.label(axes, x="seconds", y="tasks/s", title="")


EXPERIMENT = Experiment(
    "scale_while_running",
    "Scaling while it runs",
    "How soon do more workers help in the middle of a backlog, and do they share it evenly?",
    measure,
    draw,
)
