"""The axes of a chart: a ceiling that reads well, and when its left and right edges were."""

from __future__ import annotations

import datetime as dt
import math

from tq_console.view.formats import duration

_STEPS = (1.0, 2.0, 5.0, 10.0)
_TIMES_MS = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000),
    *(60_000, 120_000, 300_000, 600_000, 1_200_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000, 43_200_000),
)
_DAY_MS = 86_400_000


def ceiling(top: float, *, is_time_ms: bool = False) -> float:
    """The next number that reads well, at least as large; 1 where there is nothing."""
    if top <= 0 or not math.isfinite(top):
        return 1.0
    if is_time_ms:
        for ms in _TIMES_MS:
            if ms >= top:
                return float(ms)
        return math.ceil(top / _DAY_MS) * float(_DAY_MS)
    power = 10.0 ** math.floor(math.log10(top))
    return next(step * power for step in _STEPS if step * power >= top * (1 - 1e-9))


def number(value: float) -> str:
    """A number in at most five cells: 0.05, 2, 500, 20k."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            scaled = value / (1e3 if unit == "k" else size)
            return f"{scaled:.0f}{unit}"
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"


def time_ms(value: float) -> str:
    """A duration on one axis: 50ms, 2s, 5m."""
    return duration(value).replace(" ", "")


def per_s(value: float) -> str:
    """A rate."""
    return f"{number(value)}/s"


def per_minute(value: float) -> str:
    """A rate that is mostly small."""
    return f"{number(value)}/m"


def time_labels(first_ms: int, last_ms: int, width: int) -> str:
    """Local times of day under a chart of so many cells: its edges and, where they fit, places between."""
    cells = [" "] * max(0, width)
    places = max(1, min(4, width // 14))
    taken = -1
    for place in range(places + 1):
        share = place / places
        text = _clock(round(first_ms + (last_ms - first_ms) * share))
        start = min(round(share * width) - (len(text) // 2 if 0 < place < places else 0), width - len(text))
        if start <= taken or start < 0:
            continue
        cells[start : start + len(text)] = text
        taken = start + len(text)
    return "".join(cells)


def _clock(at_ms: int) -> str:
    try:
        return dt.datetime.fromtimestamp(at_ms / 1000, tz=dt.UTC).astimezone().strftime("%H:%M")
    except (OverflowError, ValueError, OSError):
        return "--:--"
