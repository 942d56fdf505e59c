"""The experiments, run as people run them: each writes all that it promises, an interruption leaves no process."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
PNG, TOKEN = b"\x89PNG", "EXPERIMENT_TEST"
pytestmark = pytest.mark.server


class Experiments:
    """`python -m benchmarks.experiments` in a process of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        self.log = folder.parent / "log"
        self._environment = {**os.environ, TOKEN: str(folder)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.experiments", *words, "--quick", "--out", str(folder)],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
                restore_signals=True,
            )

    def end(self, timeout_s: float) -> int:
        return self.process.wait(timeout_s)

    def left(self) -> list[str]:
        """Processes of the run that still live."""
        needle = f"{TOKEN}={self.folder}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if needle in (entry / "environ").read_bytes():
                    found.append((entry / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        return found

    def result(self, name: str) -> Any:
        """What it wrote, after a look at the other files."""
        result = json.loads((self.folder / f"{name}.json").read_text("utf-8"))
        with (self.folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            assert len(list(csv.DictReader(file))) == len(result["rows"])
        assert (self.folder / f"{name}.png").read_bytes().startswith(PNG)
        assert "</svg>" in (self.folder / f"{name}.svg").read_text("utf-8")
        assert f"![{result['title']}]({name}.svg)" in (self.folder / "report.md").read_text("utf-8")
        return result


def figures(result: Any) -> dict[str, Any]:
    return {figure["label"]: figure["value"] for figure in result["figures"]}


def test_an_experiment_writes_data_pictures_and_a_report(tmp_path: Path) -> None:
    run = Experiments(tmp_path / "out", "priority")
    assert run.end(40) == 0, run.log.read_text()
    result = run.result("priority")
    found = figures(result)
    assert result["is_complete"]
    assert found["starts out of order of priority"] == found["starts out of order within a priority"] == 0
    assert {"cpu", "cores", "python", "redis", "tq"} <= result["machine"].keys()
    assert run.left() == []


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_all_of_them_quickly(tmp_path: Path) -> None:
    run = Experiments(tmp_path / "out", "all")
    assert run.end(380) == 0, run.log.read_text()
    names = [path.stem for path in (tmp_path / "out").glob("*.json")]
    assert len(names) == 8
    missing = [figures(run.result(name)).get("tasks that are missing", 0) for name in names]
    assert missing == [0] * 8
    assert run.left() == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_no_process_and_what_was_measured(tmp_path: Path, number: signal.Signals) -> None:
    run = Experiments(tmp_path / "out", "failure", "baseline")
    wait_until(lambda: re.search(r"[1-9]\d* of \d+ completed", run.log.read_text()), 40, "some tasks to be completed")
    run.process.send_signal(number)

    assert run.end(30) == 130, run.log.read_text()
    assert run.left() == []
    result = run.result("failure")
    assert not result["is_complete"]
    assert result["rows"]
    assert "(interrupted" in (tmp_path / "out" / "report.md").read_text("utf-8")
    assert not (tmp_path / "out" / "baseline.json").exists()
