"""When a schedule fires: a cron expression in a time zone, or every so many seconds. Pure: no clock is read here.

Cron expressions are read by cronsim, which does what Debian's cron does when clocks change: a time of day that is
skipped fires right after the gap, one that comes twice fires the first time, and what has `*` as its minute or hour
goes by real time. Intervals count from 1970, so that all workers agree without having to remember a beginning.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Iterator

import msgspec

from tq_core.errors import InvalidInputError

LONGEST_EVERY_MS = 366 * 86_400_000
MAX_EXPRESSION_CHARS = 200
NO_FIRE_WAIT_MS = 366 * 86_400_000
"""When a timetable without a fire in the next fifty years is looked at again."""

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIRST_LOOK_MS = 120_000
_MAX_MS = 250_000_000_000_000
"""Beyond the year 9000 Python's dates come to their end."""


class Timetable(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A checked rule; made by `timetable`."""

    cron: str = ""
    every_ms: int = 0
    tz: str = "UTC"
    """Of the cron expression; intervals have none."""

    @property
    def label(self) -> str:
        """The rule in a few words."""
        if self.every_ms:
            whole_s = self.every_ms // 1000
            units = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
            return next(f"every {whole_s // size} {unit}" for unit, size in units if whole_s % size == 0)
        return self.cron if self.tz == "UTC" else f"{self.cron} {self.tz}"


def timetable(*, cron: str | None = None, every_s: float | None = None, tz: str = "UTC") -> Timetable:
    """A checked rule.

    Args:
        cron: Five fields (minute, hour, day of month, month, day of week) or an alias such as @daily.
        every_s: Whole seconds from 1 to a year.
        tz: IANA name, such as Europe/Rome.

    Raises:
        InvalidInputError: not exactly one of both was given, or it cannot be used; says why.
    """
    if (cron is None) == (every_s is None):
        raise InvalidInputError("say when: either cron='*/5 * * * *' or every_s=300")
    if every_s is not None:
        if isinstance(every_s, bool) or not 1000 <= every_s * 1000 <= LONGEST_EVERY_MS or every_s != int(every_s):
            raise InvalidInputError(f"every {every_s} s: must be whole seconds, from 1 to a year")
        if tz != "UTC":
            raise InvalidInputError(f"the time zone {tz!r} is for cron expressions: an interval has none")
        return Timetable(every_ms=int(every_s) * 1000)
    assert cron is not None
    checked = Timetable(cron=" ".join(cron.split()), tz=tz)
    check(checked)
    return checked


def check(rule: Timetable) -> None:
    """Refuses a rule that cannot be followed on this machine.

    Raises:
        InvalidInputError: it cannot; says why.
    """
    if not rule.every_ms and next(_cron_fires(rule, 0), None) is None:
        raise InvalidInputError(f"the cron expression {rule.cron!r} never fires: there is no such date")


def next_fire_ms(rule: Timetable, after_ms: int) -> int:
    """The first time after the given one, both in ms since the epoch.

    Raises:
        InvalidInputError: the rule cannot be followed on this machine.
    """
    if rule.every_ms:
        return (after_ms // rule.every_ms + 1) * rule.every_ms
    return next(_cron_fires(rule, after_ms), after_ms + NO_FIRE_WAIT_MS)


def last_fires_ms(rule: Timetable, first_ms: int, last_ms: int, *, limit: int) -> list[int]:
    """The last fires of a span, its ends included, oldest first.

    Args:
        first_ms: Begin of the span.
        last_ms: End of the span.
        limit: At most so many; the earlier ones are left out.

    Raises:
        InvalidInputError: the rule cannot be followed on this machine.
    """
    if rule.every_ms:
        end = last_ms // rule.every_ms
        begin = max(-(-first_ms // rule.every_ms), end - limit + 1)
        return [n * rule.every_ms for n in range(begin, end + 1)]
    # A year of missed minutes is not walked to find the last few: the look back is doubled until it holds enough.
    look_ms = _FIRST_LOOK_MS
    while True:
        begin = max(first_ms, last_ms - look_ms)
        found: deque[int] = deque(maxlen=limit)
        for fire_ms in _cron_fires(rule, begin - 1):
            if fire_ms > last_ms:
                break
            found.append(fire_ms)
        if len(found) == limit or begin == first_ms:
            return list(found)
        look_ms *= 2


def _cron_fires(rule: Timetable, after_ms: int) -> Iterator[int]:
    """All fires after a time, each later than the one before."""
    import zoneinfo

    import cronsim

    if not 0 <= after_ms + 1 <= _MAX_MS:
        raise InvalidInputError(f"{after_ms} ms is no time that a schedule can go by")
    try:
        zone: dt.tzinfo = dt.UTC if rule.tz == "UTC" else zoneinfo.ZoneInfo(rule.tz)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInputError(
            f"there is no time zone {rule.tz!r} on this machine: use a name such as Europe/Rome, or install tzdata"
        ) from error
    expression = ALIASES.get(rule.cron.lower(), rule.cron)
    if len(expression) > MAX_EXPRESSION_CHARS or len(expression.split()) != 5:
        raise InvalidInputError(
            f"{rule.cron[:MAX_EXPRESSION_CHARS]!r} is no cron expression: write five fields (minute, hour, day, month, "
            f"weekday) such as '*/5 * * * *', or one of {', '.join(ALIASES)}"
        )
    # Before the epoch's first second there is nothing; a second is the finest that cron knows.
    after = dt.datetime.fromtimestamp(max(after_ms, 0) // 1000, tz=zone)
    try:
        fires = cronsim.CronSim(expression, after)
    except (cronsim.CronSimError, AssertionError, ValueError) as error:
        raise InvalidInputError(f"the cron expression {rule.cron!r} cannot be read: {error}") from error
    last_ms = after_ms
    try:
        for fire in fires:
            # In the hour that comes twice cronsim goes back to the first of both.
            fire_ms = int(fire.timestamp()) * 1000
            if fire_ms > last_ms:
                last_ms = fire_ms
                yield fire_ms
    except (OverflowError, RuntimeError):
        return
