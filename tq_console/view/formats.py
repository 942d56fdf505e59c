"""Durations, ages, sizes, counts, rates and times in the words that people read."""

from __future__ import annotations

import datetime as dt

NONE = "-"
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000))
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB")


def duration(ms: float | None) -> str:
    """A duration in at most two units: 340 ms, 2.5 s, 42 s, 3 m 20 s, 1 h 5 m, 2 d."""
    if ms is None:
        return NONE
    whole = max(0, round(ms))
    if whole < 1000:
        return f"{whole} ms"
    if whole < 10_000 and whole % 1000 >= 100:
        return f"{whole // 100 / 10:.1f} s"
    for position, (unit, size) in enumerate(_UNITS):
        if whole >= size:
            first, rest = divmod(whole, size)
            if position + 1 < len(_UNITS):
                next_unit, next_size = _UNITS[position + 1]
                if rest >= next_size:
                    return f"{first} {unit} {rest // next_size} {next_unit}"
            return f"{first} {unit}"
    return f"{whole} ms"


def span_ahead(ms: float) -> str:
    """How far ahead a time is, or how long ago: in 3 m, 12 s ago."""
    return f"in {duration(ms)}" if ms >= 0 else f"{duration(-ms)} ago"


def age(ms: float | None) -> str:
    """How old something is, in one coarse unit: 3s, 12m, 5h, 2d."""
    if ms is None:
        return NONE
    whole = max(0, int(ms))
    for unit, size in _UNITS:
        if whole >= size:
            return f"{whole // size}{unit}"
    return "0s"


def count(number: int | None) -> str:
    """A whole number with its thousands set apart."""
    return NONE if number is None else f"{number:,}"


def size(size_bytes: int | None) -> str:
    """A size in bytes: 512 B, 1.5 KiB, 83 MiB."""
    if size_bytes is None:
        return NONE
    value = float(max(0, size_bytes))
    for unit in _SIZES:
        if value < 1024 or unit == _SIZES[-1]:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def rate(per_s: float) -> str:
    """How often per second; per minute where that is easier to read."""
    if per_s <= 0:
        return "0/s"
    if per_s >= 100:
        return f"{per_s:,.0f}/s"
    if per_s >= 1:
        return f"{per_s:.1f}/s"
    return f"{per_s * 60:.1f}/m"


def percent(share: float) -> str:
    """A share of one as a percentage."""
    return f"{share * 100:.0f}%"


def clock(at_ms: int | None) -> str:
    """A time of the server in the local zone, with that zone's offset."""
    if at_ms is None:
        return NONE
    try:
        at = dt.datetime.fromtimestamp(at_ms / 1000, tz=dt.UTC).astimezone()
    except (OverflowError, ValueError, OSError):
        return f"{at_ms} ms"
    return at.isoformat(sep=" ", timespec="milliseconds")


def time_of_day(at_ms: int) -> str:
    """The local time of day with milliseconds."""
    return clock(at_ms)[11:23]


def short_id(task_id: str) -> str:
    """What a screen shows of a task's id: the last characters of a generated one, for the first are the time."""
    return task_id if "@" in task_id else task_id[-8:]


def plural(number: int, noun: str, many: str = "") -> str:
    """A number with its noun: 1 task, 2 tasks, 12,431 tasks; `many` where an s does not do."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {many or noun + 's'}"
