"""Failure and recovery: a worker process is killed, then a whole machine, while tasks run."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

from benchmarks.experiments import charts
from benchmarks.experiments.experiment import Experiment, Run, rates
from benchmarks.experiments.lab import Lab, Sample
from benchmarks.experiments.result import Result
from tq_console.cli.progress import Progress
from tq_core.model import TaskView
from tq_core.roles import inspector, registry

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

TASK_MS, SLOTS, NODES, LEASE_S = 100.0, 4, 3, 3
SAMPLE_S, RATE_WINDOW_S = 0.1, 0.5
PER_NODE_S = SLOTS / (TASK_MS / 1000)
WHEN = ((0.15, "kill -9 a worker"), (0.35, "kill -9 a node"), (0.75, "a new node"))
"""Share of the time that all would take without a failure, and what is done then."""


def measure(run: Run, result: Result) -> None:
    """Kills twice, brings a node back, and counts what became of every task."""
    seconds = run.pick(7.0, 30.0)
    total = int(PER_NODE_S * NODES * seconds)
    result.setting = {"nodes": NODES, "processes a node": 1, "slots": SLOTS, "task": f"waits {TASK_MS:g} ms"}
    result.setting |= {"tasks": total, "lease s": LEASE_S}
    samples: list[Sample] = []
    done_at_ms: dict[str, float] = {}
    try:
        with run.open_lab() as lab, Progress("completed", total=total) as progress:
            nodes = [lab.start_node("--lease", str(LEASE_S), slots=SLOTS) for _ in range(NODES)]
            ids = lab.put("wait", [{"ms": TASK_MS}] * total)
            left = list(WHEN)
            for sample in lab.watch(every_s=SAMPLE_S, until_s=seconds * 4 + 20):
                samples.append(sample)
                progress.reach(sample.completed)
                at_s = sample.at_s - samples[0].at_s
                if left and at_s >= left[0][0] * seconds:
                    _, what = left.pop(0)
                    done_at_ms[what] = lab.runner.run(registry.server_time_ms())
                    result.marks.append((round(at_s, 3), what))
                    _do(lab, what, nodes)
            views = {view.id: view for view in lab.ended(total)}
            counters = lab.runner.run(inspector.stats(minutes=1))[0].counters
    finally:
        begin = samples[0].at_s if samples else 0.0
        for at, _, completed_per_s in rates(samples, RATE_WINDOW_S):
            result.rows.append({"at_s": round(at - begin, 3), "completed_per_s": round(completed_per_s, 1)})
    result.tell("tasks that are missing", len(set(ids) - views.keys()))
    result.tell("ends that were counted more than once", counters.get("completed", 0) - total)
    _tell_recovery(result, "killed worker", [v for v in views.values() if v.crashes], done_at_ms.get(WHEN[0][1]))
    _tell_recovery(result, "killed node", [v for v in views.values() if v.lost], done_at_ms.get(WHEN[1][1]))
    result.tell("attempts that were used up by it", sum(view.failures for view in views.values()))
    result.notes.append(
        "A killed worker is noticed by its supervisor at once, a lost node only when its leases end "
        f"({LEASE_S} s here, 30 s by default), and a second of grace after that."
    )


def _do(lab: Lab, what: str, nodes: list[subprocess.Popen[bytes]]) -> None:
    if what == WHEN[0][1]:
        os.kill(lab.worker_pids()[0], signal.SIGKILL)
    elif what == WHEN[1][1]:
        lab.kill_node(nodes[-1])
    else:
        lab.launch_node("--lease", str(LEASE_S), slots=SLOTS)


def _tell_recovery(result: Result, whose: str, views: list[TaskView], killed_at_ms: float | None) -> None:
    result.tell(f"tasks of the {whose} that ran again", len(views))
    if views and killed_at_ms:
        started = [(view.started_at_ms or 0) - killed_at_ms for view in views]
        result.tell("from the kill until the last of them had begun again", max(started) / 1000, "s")


def draw(result: Result, picture: Picture) -> None:
    """The rate over time, with what was done."""
    axes = picture.subplots()
    axes.plot(
        [r["at_s"] for r in result.rows],
        [r["completed_per_s"] for r in result.rows],
        color=charts.COLOURS[2],
        label=f"completed, over {RATE_WINDOW_S:g} s",
    )
    for count in (NODES - 1, NODES):
        axes.axhline(count * PER_NODE_S, color=charts.GREY, lw=0.8, ls="--")
        axes.annotate(
            f"{count} nodes at best", (1, count * PER_NODE_S), xycoords=("axes fraction", "data"), xytext=(0, 4),
            textcoords="offset points", ha="right", color=charts.DARK_GREY,
        )  # fmt: skip
    charts.marks(axes, result.marks)
    axes.set_ylim(bottom=0, top=NODES * PER_NODE_S * 1.3)
    charts.label(axes, x="seconds", y="tasks/s", title="")


EXPERIMENT = Experiment(
    "failure",
    "Failure and recovery",
    "What does it cost when a worker, and then a whole node, is killed?",
    measure,
    draw,
)
