"""Durations and times as people write them."""

from __future__ import annotations

import datetime as dt
import re

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_TOO_LONG_S = 1e12
"""Longer than anything that is asked for; what is much longer cannot be counted in ms."""
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)")


def parse_duration_s(text: str) -> float:
    """Seconds from 90, 1.5s, 5m, 1h30m, 250ms.

    Raises:
        ValueError: it is none.
    """
    text = text.strip().replace(" ", "")
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        text += "s"
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(text)
    seconds = float(sum(float(number) * _UNITS_S[unit] for number, unit in parts))
    if not seconds < _TOO_LONG_S:
        raise ValueError(text)
    return seconds


def parse_moment_ms(text: str, *, now: dt.datetime | None = None) -> int:
    """Milliseconds since the epoch from an ISO date and time, a time of day (its next one) or seconds.

    Without a zone it is the local one.

    Args:
        text: What was written.
        now: The present, with a zone; taken from the clock when None.

    Raises:
        ValueError: it is none of these.
    """
    text = text.strip()
    if re.fullmatch(r"[0-9]{9,11}(\.[0-9]+)?", text):
        return round(float(text) * 1000)
    if re.fullmatch(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?", text):
        present = now or dt.datetime.now().astimezone()
        wanted = dt.time.fromisoformat(text.zfill(5) if text.count(":") == 1 else text.zfill(8))
        at = dt.datetime.combine(present.date(), wanted, tzinfo=present.tzinfo)
        return round((at if at > present else at + dt.timedelta(days=1)).timestamp() * 1000)
    try:
        return round(dt.datetime.fromisoformat(text).astimezone().timestamp() * 1000)
    except (OverflowError, OSError) as error:
        raise ValueError(text) from error
