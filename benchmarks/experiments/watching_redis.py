"""Watching Redis: which commands a task costs, what is kept of it, and where."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any

from benchmarks.experiments import charts
from benchmarks.experiments.experiment import Experiment, Run
from benchmarks.experiments.lab import Lab, prefix
from benchmarks.experiments.result import Result
from tq_console.cli.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

WATCHED = 20
END_OF_WATCH = "end of watch"
SHOWN = 12


def measure(run: Run, result: Result) -> None:
    """Listens with MONITOR to a few tasks, and reads INFO around many."""
    total = run.pick(3_000, 50_000)
    result.setting = {"processes": 1, "slots": 50, "task": "does nothing", "tasks": total}
    with run.open_lab() as lab, Progress("steps", total=4) as progress:
        before = lab.raw.info("memory")["used_memory"]
        lab.put("nothing", [{"n": n} for n in range(total)])
        waiting = lab.raw.info("memory")["used_memory"]
        progress.advance(1)
        lab.raw.config_resetstat()
        bytes_before = _traffic(lab)
        lab.start_node(processes=1, slots=50)
        for _ in lab.watch(every_s=0.2, until_s=120):
            pass
        stats, bytes_after = lab.raw.info("commandstats"), _traffic(lab)
        done = lab.raw.info("memory")["used_memory"]
        progress.advance(1)
        for name, found in stats.items():
            if name.removeprefix("cmdstat_") in ("info", "config|resetstat", "ping"):
                continue
            result.rows.append(
                {
                    "command": name.removeprefix("cmdstat_").upper().replace("|", " "),
                    "calls_per_task": round(found["calls"] / total, 4),
                    "us_per_task": round(found["usec"] / total, 4),
                }
            )
        result.rows.sort(key=lambda row: -row["calls_per_task"])
        result.tell("memory of a task that waits", (waiting - before) / total, "bytes")
        result.tell("memory of one that has completed, with its result", (done - before) / total, "bytes")
        result.tell("bytes to and from Redis to run one", (bytes_after - bytes_before) / total, "bytes")
        scripts = sum(r["us_per_task"] for r in result.rows if r["command"] in ("EVALSHA", "EVAL"))
        result.tell("Redis' time for the scripts that run one", scripts, "µs")
        progress.advance(1)
        seen = _listen(lab)
        result.tell(f"commands of clients for {WATCHED} tasks one by one (MONITOR)", sum(seen["client"].values()))
        result.tell("commands inside scripts meanwhile", sum(seen["lua"].values()))
        result.notes.append("Keys there are: " + ", ".join(f"`{k}`" for k in _keys(lab)) + ".")
        progress.advance(1)
    result.notes.append(
        "`tq:{…}:pending` and its like are sorted sets of ids, `bodies` and `records` hashes with a field a task: "
        "`tq stats`, `tq tasks show` and `tq workers list` say what `LLEN`, `GET` and `SMEMBERS` would."
    )


def _traffic(lab: Lab) -> int:
    stats = lab.raw.info("stats")
    return int(stats["total_net_input_bytes"] + stats["total_net_output_bytes"])


def _listen(lab: Lab) -> dict[str, collections.Counter[str]]:
    """How often each command was seen, from clients and inside scripts."""
    seen: dict[str, collections.Counter[str]] = {"client": collections.Counter(), "lua": collections.Counter()}
    with lab.raw.monitor() as monitor:
        for n in range(WATCHED):
            lab.put("nothing", [{"n": n}])
        for _ in lab.watch(every_s=0.05, until_s=20):
            pass
        lab.raw.echo(END_OF_WATCH)
        while True:
            command: dict[str, Any] = monitor.next_command()
            if END_OF_WATCH in command["command"]:
                return seen
            seen["lua" if command["client_type"] == "lua" else "client"][command["command"].split()[0].upper()] += 1


def _keys(lab: Lab) -> list[str]:
    names = sorted({key.decode() for key in lab.raw.scan_iter(count=1000)})
    families = dict.fromkeys(name.replace(prefix(), "tq:{…}:") for name in names)
    minutes = [name for name in families if ":minute:" in name]
    return [name for name in families if name not in minutes] + (["tq:{…}:minute:…"] if minutes else [])


def draw(result: Result, picture: Picture) -> None:
    """Calls and time of each command, for one task."""
    left, right = picture.subplots(1, 2, sharey=True)
    rows = sorted((r for r in result.rows if r["calls_per_task"] >= 0.001), key=lambda r: -r["us_per_task"])[:SHOWN][
        ::-1
    ]
    names = [row["command"] for row in rows]
    for axes, field, unit, title, colour in (
        (left, "calls_per_task", "calls a task", "How often", charts.COLOURS[0]),
        (right, "us_per_task", "µs a task", "Time in Redis (EVALSHA holds what is inside scripts)", charts.COLOURS[1]),
    ):
        bars = axes.barh(names, [row[field] for row in rows], color=colour)
        axes.bar_label(bars, fmt="%.3g", padding=3, fontsize=8)
        axes.margins(x=0.15)
        axes.grid(visible=False, axis="y")
        charts.label(axes, x=unit, title=title)


EXPERIMENT = Experiment(
    "watching_redis", "Watching Redis", "Which commands does a task cost, and what is kept of it?", measure, draw
)
