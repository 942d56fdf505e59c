"""Metrics as text that Prometheus reads (format 0.0.4).

Put together by hand because it is this little: with prometheus-client each increment would be a library call under a
lock, and `--http` would need an extra to be installed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

from tq_core.metric_names import Metric

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_IN_LABELS: Final = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})
_IN_HELP: Final = str.maketrans({"\\": "\\\\", "\n": "\\n"})


class Exposition:
    """One answer to a scrape, line by line."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, metric: Metric, samples: Iterable[tuple[Sequence[str], float]]) -> None:
        """Adds a counter or gauge: the values of its labels, in order, and the number of each series."""
        self._head(metric)
        for values, number in samples:
            self._lines.append(f"{metric.name}{_braces(_pairs(metric.labels, values))} {_number(number)}")

    def add_histogram(self, metric: Metric, samples: Iterable[tuple[Sequence[str], Sequence[float], float]]) -> None:
        """Adds a histogram: the values of its labels, how many fell into each bucket, and the sum of all."""
        self._head(metric)
        ends = [*map(_number, metric.bounds), "+Inf"]
        for values, counts, total in samples:
            labels = _pairs(metric.labels, values)
            up_to = list(accumulate(counts))
            for end, count in zip(ends, up_to, strict=True):
                bucket = _braces([*labels, f'le="{end}"'])
                self._lines.append(f"{metric.name}_bucket{bucket} {_number(count)}")
            self._lines.append(f"{metric.name}_sum{_braces(labels)} {_number(total)}")
            self._lines.append(f"{metric.name}_count{_braces(labels)} {_number(up_to[-1])}")

    def text(self) -> bytes:
        """All of it."""
        return ("\n".join(self._lines) + "\n").encode("utf-8", "replace")

    def _head(self, metric: Metric) -> None:
        self._lines.append(f"# HELP {metric.name} {metric.help.translate(_IN_HELP)}")
        self._lines.append(f"# TYPE {metric.name} {metric.kind}")


def _pairs(names: Sequence[str], values: Sequence[str]) -> list[str]:
    return [f'{name}="{value.translate(_IN_LABELS)}"' for name, value in zip(names, values, strict=True)]


def _braces(pairs: Sequence[str]) -> str:
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _number(value: float) -> str:
    if isinstance(value, int) or (math.isfinite(value) and value == int(value) and abs(value) < 1e15):
        return str(int(value))
    return (
        "NaN" if math.isnan(value) else "+Inf" if value == math.inf else "-Inf" if value == -math.inf else repr(value)
    )
