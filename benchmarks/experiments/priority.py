"""Priority: who is first, among those that wait and among those that come later."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

from benchmarks.experiments import charts
from benchmarks.experiments.experiment import Experiment, Run
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.result import Result, median
from tq_console.cli.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

TASK_MS = 10.0
ORDER = ("critical", "high", "normal", "low")
SUBMITTED = (("normal", 10), ("low", 5), ("high", 5), ("critical", 2))
"""In this order, the least urgent not last; times the size of the run."""


def measure(run: Run, result: Result) -> None:
    """One worker with one slot: the order of starts is the order of turns."""
    size = run.pick(1, 15)
    late_normal, late_high = run.pick((40, 5), (500, 25))
    result.setting = {"processes": 1, "slots": 1, "task": f"waits {TASK_MS:g} ms"}
    total = size * sum(count for _, count in SUBMITTED) + late_normal + late_high
    with run.open_lab() as lab, Progress("completed", total=total) as progress:
        lab.start_node(processes=1, slots=1)
        lab.order("pause")
        ids: dict[str, str] = {}
        for name, count in SUBMITTED:
            ids |= dict.fromkeys(lab.put("wait", [{"ms": TASK_MS}] * count * size, priority=name), name)
        lab.order("resume")
        _until_empty(lab, progress)
        _record(lab, ids, result)
        waits = _late(lab, late_normal, late_high, progress)
    starts = sorted(result.rows, key=lambda row: row["started"])
    ranks = [ORDER.index(row["priority"]) for row in starts]
    wrong = sum(earlier > later for earlier, later in itertools.pairwise(ranks))
    result.tell("starts out of order of priority", wrong, f"of {len(starts)}")
    of_band = [[row["submitted"] for row in starts if row["priority"] == name] for name in ORDER]
    crossed = sum(a > b for band in of_band for a, b in itertools.pairwise(band))
    result.tell("starts out of order within a priority", crossed, f"of {len(starts)}")
    result.tell(
        f"wait of {late_high} high ones that came to {late_normal} waiting normal ones", waits[0], "ms (median)"
    )
    result.tell("wait of a normal one in the same backlog", waits[1], "ms (median)")


def _until_empty(lab: Lab, progress: Progress) -> None:
    for sample in lab.watch(every_s=0.05, until_s=120):
        progress.reach(sample.completed)


def _record(lab: Lab, ids: dict[str, str], result: Result) -> None:
    place = {task_id: n for n, task_id in enumerate(ids)}
    views = sorted(lab.ended(len(ids)), key=lambda view: (view.started_at_ms or 0, view.finished_at_ms or 0))
    result.rows += [
        {"submitted": place[view.id], "started": n, "priority": ids[view.id]} for n, view in enumerate(views)
    ]


def _late(lab: Lab, normal: int, high: int, progress: Progress) -> tuple[float, float]:
    """Median waits of high and of normal tasks, when the high ones come to a backlog that is being worked on."""
    of_normal = set(lab.put("wait", [{"ms": TASK_MS}] * normal))
    time.sleep(normal * TASK_MS / 1000 * 0.2)
    lab.put("wait", [{"ms": TASK_MS}] * high, priority="high")
    _until_empty(lab, progress)
    waits: dict[bool, list[float]] = {True: [], False: []}
    for view in lab.ended(normal + high):
        waits[view.id in of_normal].append((view.started_at_ms or 0) - view.created_at_ms)
    return median(waits[False]), median(waits[True])


def draw(result: Result, picture: Picture) -> None:
    """When each was submitted, and when it had its turn."""
    axes = picture.subplots()
    for colour, name in zip((charts.COLOURS[3], charts.COLOURS[1], charts.COLOURS[0], charts.GREY), ORDER, strict=True):
        rows = [row for row in result.rows if row["priority"] == name]
        axes.plot(
            [r["submitted"] + 1 for r in rows], [r["started"] + 1 for r in rows], "o", ms=5, color=colour, label=name
        )
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_ylim(top=0)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), title="priority")
    charts.label(axes, x="submitted as the …th", y="started as the …th (first at the top)", title="")


EXPERIMENT = Experiment(
    "priority", "Priority", "Who is first, and how long do urgent tasks wait behind a backlog?", measure, draw
)
