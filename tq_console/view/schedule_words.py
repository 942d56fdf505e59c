"""A schedule in words: when it fires, in which zone, what becomes of fires that were missed."""

from __future__ import annotations

import datetime as dt
import zoneinfo

from tq_console.view.formats import duration
from tq_core.errors import InvalidInputError
from tq_core.model import DEFAULT_PRIORITY, priority_label
from tq_core.roles.schedules import Schedule, ScheduleView
from tq_core.timetable import ALIASES, Timetable, next_fire_ms

MISSED_WORDS = {
    "skip": "skipped",
    "once": "made up for once",
    "all": "all made up for, the latest 100",
}


def kind_of(rule: Timetable) -> str:
    """cron or every."""
    return "every" if rule.every_ms else "cron"


def when_words(rule: Timetable) -> str:
    """When it fires, as one says it; the expression itself where there are no words for it."""
    if rule.every_ms:
        return rule.label
    from cronsim import CronSim, CronSimError

    try:
        said = CronSim(ALIASES.get(rule.cron.lower(), rule.cron), dt.datetime(2024, 1, 1)).explain()  # noqa: DTZ001 - no time is read
    except (CronSimError, AssertionError, ValueError, IndexError, KeyError):
        return rule.label
    words = said[:1].lower() + said[1:]
    return words if rule.tz == "UTC" else f"{words}, {rule.tz}"


def next_fires_ms(rule: Timetable, after_ms: int, *, count: int = 5) -> list[int]:
    """The next times it fires; none where this machine cannot follow it."""
    fires: list[int] = []
    try:
        while len(fires) < count:
            fires.append(next_fire_ms(rule, fires[-1] if fires else after_ms))
    except InvalidInputError:
        return []
    return fires


def fire_text(rule: Timetable, at_ms: int) -> str:
    """A fire in the zone of its rule: Mon 2025-12-01 08:00:00 Europe/Rome."""
    try:
        zone: dt.tzinfo = dt.UTC if rule.tz == "UTC" else zoneinfo.ZoneInfo(rule.tz)
        at = dt.datetime.fromtimestamp(at_ms / 1000, tz=zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError, OverflowError):
        return f"{at_ms} ms"
    return f"{at:%a %Y-%m-%d %H:%M:%S} {rule.tz}"


def policy_words(schedule: Schedule) -> str:
    """Everything about its fires that is not when they are."""
    words = [f"missed fires are {MISSED_WORDS.get(schedule.missed, schedule.missed)}"]
    words.append("does not overlap itself" if schedule.unique_key else "may overlap itself")
    if schedule.jitter_ms:
        words.append(f"each up to {duration(schedule.jitter_ms)} later")
    return ", ".join(words)


def option_words(schedule: Schedule) -> str:
    """What its tasks are given beside arguments."""
    words = [f"{schedule.max_attempts} attempts"]
    if schedule.priority != DEFAULT_PRIORITY:
        words.append(f"priority {priority_label(schedule.priority)}")
    if schedule.timeout_s is not None:
        words.append(f"at most {duration(schedule.timeout_s * 1000)} each")
    if schedule.expires_in_s is not None:
        words.append(f"not started after {duration(schedule.expires_in_s * 1000)}")
    if schedule.limit_key is not None:
        words.append(f"limit key {schedule.limit_key}")
    return ", ".join(words)


def origin_words(view: ScheduleView) -> str:
    """Who says that there is this schedule."""
    if view.seen_at_ms is None:
        return "added by a person"
    ago = duration(view.now_ms - view.seen_at_ms)
    if view.state == "undeclared":
        return f"declared by code {ago} ago, and no longer: it fires on until somebody removes it"
    return f"declared by code, last {ago} ago"
