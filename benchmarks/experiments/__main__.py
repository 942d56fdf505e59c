"""The command: runs experiments and writes what they found."""

from __future__ import annotations

import argparse
import functools
import importlib
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from benchmarks.experiments import machine, report
from benchmarks.experiments.lab import Lab, LabError
from benchmarks.experiments.result import Result

if TYPE_CHECKING:
    from benchmarks.experiments.experiment import Experiment

NAMES = (
    "baseline",
    "high_load",
    "stress",
    "worker_scaling",
    "scale_while_running",
    "priority",
    "failure",
    "watching_redis",
)
INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Runs what was asked for; the exit code is 0, 1 where one failed, or 130 when it was interrupted."""
    given = _parse(arguments)
    names = NAMES if "all" in given.names else tuple(dict.fromkeys(name.replace("-", "_") for name in given.names))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        from benchmarks.experiments import charts
    except ModuleNotFoundError as error:
        print(f"plots need the package {error.name}: pip install '.[bench]'", file=sys.stderr)
        return 1
    given.out.mkdir(parents=True, exist_ok=True)
    open_lab = functools.partial(Lab, given.server)
    code, results = 0, []
    with open_lab() as lab:
        about = machine.describe(lab.redis_version)
    for name in names:
        experiment: Experiment = importlib.import_module(f"benchmarks.experiments.{name}").EXPERIMENT
        print(f"{experiment.title}: {experiment.question}", file=sys.stderr, flush=True)
        result, code = _run(experiment, open_lab, is_quick=given.quick)
        results.append(result)
        result.write(given.out, about)
        if result.rows:
            charts.save(experiment, result, given.out)
        for figure in result.figures:
            print(f"  {figure.label}: {figure.text}")
        if code:
            break
    command = f"python -m benchmarks.experiments {shlex.join(arguments)}"
    print(report.write(results, about, given.out, command=command))
    return code


def _run(experiment: Experiment, open_lab: functools.partial[Lab], *, is_quick: bool) -> tuple[Result, int]:
    from benchmarks.experiments.experiment import Run

    result, code = Result(experiment.name, experiment.title, experiment.question), 0
    began = time.monotonic()
    try:
        experiment.measure(Run(is_quick=is_quick, open_lab=open_lab), result)
        result.is_complete = True
    except KeyboardInterrupt:
        print("interrupted: what was measured until now is written", file=sys.stderr)
        code = INTERRUPTED
    except LabError as error:
        print(f"{experiment.name}: {error}", file=sys.stderr)
        result.notes.append(f"It failed: {error}")
        code = 1
    result.took_s = round(time.monotonic() - began, 1)
    return result, code


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.experiments",
        description="Experiments with a private Redis and real workers; JSON, CSV and a plot of each, and a report.",
    )
    parser.add_argument("names", nargs="+", choices=[*NAMES, "all"], metavar="NAME", help=f"{', '.join(NAMES)}, or all")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes: rough figures")
    parser.add_argument("--out", type=Path, default=Path("experiment_results"), help="where to write (%(default)s)")
    parser.add_argument("--server", help="the Redis or Valkey program; the newest that is found otherwise")
    return parser.parse_args(arguments)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
