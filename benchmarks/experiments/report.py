"""One page of Markdown with all that was found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.experiments.result import Result


def write(results: Sequence[Result], machine: dict[str, Any], folder: Path, *, command: str) -> Path:
    """Writes report.md beside the pictures and returns its path."""
    lines = ["# Experiments", "", f"`{command}`", "", "| measured on | |", "|---|---|"]
    lines += [f"| {name.replace('_', ' ')} | {value} |" for name, value in machine.items()]
    lines += ["", "Figures of different runs can be compared on a quiet machine only; ratios within a run always.", ""]
    for result in results:
        lines += _section(result)
    path = folder / "report.md"
    path.write_text("\n".join(lines).rstrip() + "\n", "utf-8")
    return path


def _section(result: Result) -> list[str]:
    state = "" if result.is_complete else " (interrupted: what was measured until then)"
    lines = [f"## {result.title}{state}", "", f"{result.question} Took {result.took_s:.1f} s.", ""]
    setting = "; ".join(f"{name}: {value}" for name, value in result.setting.items())
    lines += [f"*{setting}*", ""] if setting else []
    if result.figures:
        lines += ["| | |", "|---|---|", *(f"| {figure.label} | {figure.text} |" for figure in result.figures), ""]
    if result.rows:
        files = f"[{result.name}.csv]({result.name}.csv), [{result.name}.json]({result.name}.json)"
        lines += [f"![{result.title}]({result.name}.svg)", "", f"Data: {files}", ""]
    for note in result.notes:
        lines += [f"- {note}"]
    return [*lines, ""] if result.notes else lines
