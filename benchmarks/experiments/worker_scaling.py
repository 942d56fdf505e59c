"""Worker scaling: the same work with more and more worker processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from benchmarks.experiments import charts
from benchmarks.experiments.experiment import Experiment, Run, steady_rate
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.result import Result, median
from tq_console.cli.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

SAMPLE_S = 0.05
KINDS = {
    "wait": ("waits 20 ms", {"ms": 20.0}, 10, 10 / 0.020),
    "compute": ("computes for 5 ms", {"ms": 5.0}, 1, 1 / 0.005),
}
"""Type -> in words, arguments, slots a process, tasks a second that one process could do at best."""


def measure(run: Run, result: Result) -> None:
    """Drains a backlog with each number of processes, in turn, several times."""
    counts, rounds, seconds = run.pick(((1, 2, 4), 1, 1.2), ((1, 2, 3, 4, 8), 3, 5.0))
    cores = len(os.sched_getaffinity(0))
    result.setting = {"processes": list(counts), "rounds": rounds, "cores": cores}
    result.setting |= {kind: f"{words}, {slots} slots a process" for kind, (words, _, slots, _) in KINDS.items()}
    with run.open_lab() as lab, Progress("drains", total=len(KINDS) * len(counts) * rounds) as progress:
        for round_number in range(rounds):
            for kind, (_, args, slots, best_per_s) in KINDS.items():
                for count in counts:
                    useful = count if kind == "wait" else min(count, cores)
                    total = int(best_per_s * useful * seconds)
                    rate = _drain(lab, kind, args, total=total, processes=count, slots=slots)
                    result.rows.append(
                        {"round": round_number, "kind": kind, "processes": count, "tasks_per_s": round(rate, 1)}
                    )
                    progress.advance(1)
    for kind, (words, _, _, best_per_s) in KINDS.items():
        medians = _medians(result, kind)
        for count, rate in medians.items():
            text = f"{rate / medians[counts[0]]:.2f} times one process"
            result.tell(f"{words}: {count} process{'es' * (count > 1)}", rate, f"tasks/s, {text}")
        result.tell(f"{words}: one process, of what its slots could do", medians[counts[0]] / best_per_s * 100, "%")
    result.notes.append(f"Computing can grow up to the {cores} cores of this machine, which Redis and others share.")


def _drain(lab: Lab, kind: str, args: dict[str, float], *, total: int, processes: int, slots: int) -> float:
    node = lab.start_node(processes=processes, slots=slots)
    lab.order("pause")
    lab.put(kind, [args] * total)
    before = lab.look()
    lab.order("resume")
    samples = [before, *lab.watch(every_s=SAMPLE_S, until_s=120)]
    lab.stop_node(node)
    return steady_rate(samples)


def _medians(result: Result, kind: str) -> dict[int, float]:
    counts = dict.fromkeys(row["processes"] for row in result.rows if row["kind"] == kind)
    return {
        count: median([r["tasks_per_s"] for r in result.rows if (r["kind"], r["processes"]) == (kind, count)])
        for count in counts
    }


def draw(result: Result, picture: Picture) -> None:
    """How many times as fast as one process, for both kinds of work."""
    axes = picture.subplots()
    counts = sorted({row["processes"] for row in result.rows})
    axes.plot(counts, counts, "--", color=charts.GREY, lw=1, label="as many times as processes")
    for colour, (kind, (words, _, slots, _)) in zip(charts.COLOURS[::2], KINDS.items(), strict=False):
        medians = _medians(result, kind)
        if not medians:
            continue
        base = medians[min(medians)]
        axes.plot(
            list(medians), [r / base for r in medians.values()], "o-", color=colour, label=f"{words}, {slots} slots"
        )
        for row in result.rows:
            if row["kind"] == kind:
                axes.plot(row["processes"], row["tasks_per_s"] / base, ".", color=colour, alpha=0.4)
        for count, rate in medians.items():
            place: dict[str, Any] = (
                {"xytext": (-5, 6), "ha": "right"} if kind == "wait" else {"xytext": (5, -13), "ha": "left"}
            )
            axes.annotate(f"{rate:,.0f}/s", (count, rate / base), textcoords="offset points", color=colour, **place)
    cores = result.setting.get("cores")
    if isinstance(cores, int) and cores < max(counts, default=0):
        axes.axhline(cores, color=charts.GREY, lw=0.8, ls=":")
        axes.annotate(
            f"{cores} cores",
            (0.01, cores),
            xycoords=("axes fraction", "data"),
            xytext=(0, 3),
            textcoords="offset points",
        )
    axes.set_xticks(counts)
    axes.set_ylim(bottom=0)
    axes.margins(x=0.08)
    axes.legend(loc="upper left")
    charts.label(axes, x="worker processes", y="times as fast as one", title="")


EXPERIMENT = Experiment(
    "worker_scaling", "Worker scaling", "How much faster is the same work with more worker processes?", measure, draw
)
