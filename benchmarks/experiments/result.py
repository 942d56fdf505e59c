"""What an experiment found, and how it is written: one JSON and one CSV file each."""

from __future__ import annotations

import csv
import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Figure:
    """One number that answers a part of the question."""

    label: str
    value: float | str
    unit: str = ""

    @property
    def text(self) -> str:
        """The number with its unit, as people write it."""
        return f"{written(self.value)} {self.unit}".strip()


@dataclass
class Result:
    """All that one experiment measured; filled while it runs, so that an interruption loses nothing."""

    name: str
    title: str
    question: str
    setting: dict[str, Any] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    """What is drawn, and stands in the CSV file."""
    marks: list[tuple[float, str]] = field(default_factory=list)
    """What was done at which second."""
    notes: list[str] = field(default_factory=list)
    took_s: float = 0.0
    is_complete: bool = False

    def tell(self, label: str, value: float | str, unit: str = "") -> None:
        """Adds a figure."""
        self.figures.append(Figure(label, value, unit))

    def write(self, folder: Path, machine: dict[str, Any]) -> None:
        """Writes NAME.json and NAME.csv."""
        whole = {**asdict(self), "machine": machine}
        (folder / f"{self.name}.json").write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        with (folder / f"{self.name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(self.rows)


def written(value: float | str) -> str:
    """A number as people write it: three digits that count, thousands apart."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share is not above; nan of none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def median(values: Sequence[float]) -> float:
    """The middle one; nan of none."""
    return statistics.median(values) if values else math.nan
